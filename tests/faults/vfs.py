"""A faulty disk for SQLite: a VFS made with ctypes, over the library that the module ``sqlite3`` uses.

It is a copy of the default VFS (https://sqlite.org/vfs.html) with its own ``xOpen`` and ``xDelete``;
the files that it opens get a copy of their method table with its own ``xWrite``, ``xSync`` and
``xTruncate``. As the process's default it serves every connection: the writer's, SQLAlchemy's,
aiosqlite's. It counts what reaches the disk, can fail it or kill the process at any point, and can
keep a record of it, from which ``power`` makes the disk that a loss of power leaves.
"""

import _sqlite3
import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_int, _pointer, _int64 = ctypes.c_int, ctypes.c_void_p, ctypes.c_int64
_OPEN = ctypes.CFUNCTYPE(_int, _pointer, _pointer, _pointer, _int, _pointer)
_DELETE = ctypes.CFUNCTYPE(_int, _pointer, _pointer, _int)
_WRITE = ctypes.CFUNCTYPE(_int, _pointer, _pointer, _int, _int64)
_TRUNCATE = ctypes.CFUNCTYPE(_int, _pointer, _int64)
_SYNC = ctypes.CFUNCTYPE(_int, _pointer, _int)

OK = 0


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``, from its beginning to the last member used here; what follows is copied unseen."""

    _fields_ = (
        ("version", _int),
        ("file_size", _int),
        ("longest_path", _int),
        ("next", _pointer),
        ("name", ctypes.c_char_p),
        ("data", _pointer),
        ("open", _pointer),
        ("delete", _pointer),
        ("others", _pointer * 13),
    )


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods``."""

    _fields_ = (
        ("version", _int),
        ("close", _pointer),
        ("read", _pointer),
        ("write", _pointer),
        ("truncate", _pointer),
        ("sync", _pointer),
        ("others", _pointer * 13),
    )


class Operation(StrEnum):
    """What reaches the disk."""

    WRITE = "write"
    SYNC = "sync"
    TRUNCATE = "truncate"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Io:
    """One thing that reached the disk."""

    operation: Operation
    path: str
    offset: int = 0
    """Where it was written; the new size of what was truncated; whether a deletion was synced."""
    data: bytes = b""


class Effect(StrEnum):
    """What a fault does."""

    KILL = "kill"
    """SIGKILL before the operation."""
    TEAR = "tear"
    """SIGKILL with half of the write done."""
    IOERR_WRITE = "ioerr_write"
    IOERR_FSYNC = "ioerr_fsync"
    FULL = "full"


CODES = {Effect.IOERR_WRITE: 10 | 3 << 8, Effect.IOERR_FSYNC: 10 | 4 << 8, Effect.FULL: 13}
"""SQLite's result codes (https://sqlite.org/rescode.html)."""

STRIKES = {
    Effect.KILL: frozenset(Operation),
    Effect.TEAR: frozenset({Operation.WRITE}),
    Effect.IOERR_WRITE: frozenset({Operation.WRITE, Operation.TRUNCATE}),
    Effect.IOERR_FSYNC: frozenset({Operation.SYNC}),
    Effect.FULL: frozenset({Operation.WRITE}),
}
"""Which operations an effect can meet; only these are counted for it."""

FOREVER = 2**62


@dataclass(frozen=True, slots=True)
class Fault:
    """An effect, the operation that it begins with (1 is the next one that it can meet), and how many it meets."""

    effect: Effect
    at: int
    times: int = 1


class Disk:
    """The faulty disk of this process."""

    def __init__(self) -> None:
        self.record: list[Io] | None = None
        """What has reached the disk, in order, if that is kept."""
        self.counts = dict.fromkeys(Operation, 0)
        """How many operations there were since the last ``arm`` or ``disarm``."""
        self.struck = 0
        """How many of these the fault met."""
        self._fault: Fault | None = None
        self._lock = threading.Lock()
        self._paths: dict[int, str] = {}
        self._tables: dict[int, _Methods] = {}
        self._originals: dict[int, _Methods] = {}
        # The methods of a file are C functions; they are called through these, by address.
        self._callbacks = (_WRITE(self._write), _TRUNCATE(self._truncate), _SYNC(self._sync))
        self._vfs_callbacks = (_OPEN(self._open), _DELETE(self._delete))
        self._library = ctypes.CDLL(_sqlite3.__file__)
        self._library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self._default = self._library.sqlite3_vfs_find(None)
        self._vfs = _Vfs.from_buffer_copy(self._default.contents)
        self._vfs.name, self._vfs.next = b"faulty", None
        self._vfs.open, self._vfs.delete = map(_address, self._vfs_callbacks)

    def install(self) -> None:
        """Have every connection that is opened from now on use this disk."""
        self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)

    def uninstall(self) -> None:
        """Have new connections use the default again; those that are open keep this one."""
        self.disarm()
        self._library.sqlite3_vfs_register(self._default, 1)

    def arm(self, fault: Fault) -> None:
        """Have a fault happen, counted from now on."""
        with self._lock:
            self._fault, self.struck, self.counts = fault, 0, dict.fromkeys(Operation, 0)

    def disarm(self) -> None:
        """Have no fault any more."""
        with self._lock:
            self._fault, self.struck, self.counts = None, 0, dict.fromkeys(Operation, 0)

    def met(self, effect: Effect) -> int:
        """How many operations since the last ``arm`` or ``disarm`` such an effect could have met."""
        return sum(self.counts[operation] for operation in STRIKES[effect])

    def _strikes(self, operation: Operation) -> Effect | None:
        """Count an operation; whether the fault meets it, and with which effect."""
        with self._lock:
            self.counts[operation] += 1
            fault = self._fault
            if fault is None or operation not in STRIKES[fault.effect]:
                return None
            if not fault.at <= self.met(fault.effect) < fault.at + fault.times:
                return None
            self.struck += 1
        if fault.effect is Effect.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        return fault.effect

    def _keep(self, operation: Operation, path: str, offset: int = 0, data: bytes = b"") -> None:
        if self.record is not None:
            self.record.append(Io(operation, path, offset, data))

    def _open(self, _vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        code: int = _OPEN(self._default.contents.open)(ctypes.addressof(self._default.contents), name, file, flags, out)
        methods = _pointer.from_address(file)
        if methods.value:
            self._paths[file] = ctypes.string_at(name).decode() if name else ""
            self._originals[file] = _Methods.from_address(methods.value)
            methods.value = ctypes.addressof(self._table(methods.value))
        return code

    def _table(self, original: int) -> _Methods:
        """The copy of a method table in which ours stand."""
        if original not in self._tables:
            table = _Methods.from_buffer_copy(_Methods.from_address(original))
            table.write, table.truncate, table.sync = map(_address, self._callbacks)
            self._tables[original] = table
        return self._tables[original]

    def _delete(self, _vfs: int, name: int, sync_folder: int) -> int:
        path = ctypes.string_at(name).decode()
        self._strikes(Operation.DELETE)
        code: int = _DELETE(self._default.contents.delete)(ctypes.addressof(self._default.contents), name, sync_folder)
        if code == OK:
            self._keep(Operation.DELETE, path, sync_folder)
        return code

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        write = _WRITE(self._originals[file].write)
        effect = self._strikes(Operation.WRITE)
        if effect is Effect.TEAR:
            write(file, data, size // 2, offset)
            os.kill(os.getpid(), signal.SIGKILL)
        if effect is not None:
            return CODES[effect]
        code: int = write(file, data, size, offset)
        if code == OK and self.record is not None:
            self._keep(Operation.WRITE, self._paths[file], offset, ctypes.string_at(data, size))
        return code

    def _truncate(self, file: int, size: int) -> int:
        effect = self._strikes(Operation.TRUNCATE)
        if effect is not None:
            return CODES[effect]
        code: int = _TRUNCATE(self._originals[file].truncate)(file, size)
        if code == OK:
            self._keep(Operation.TRUNCATE, self._paths[file], size)
        return code

    def _sync(self, file: int, flags: int) -> int:
        effect = self._strikes(Operation.SYNC)
        if effect is not None:
            return CODES[effect]
        code: int = _SYNC(self._originals[file].sync)(file, flags)
        if code == OK:
            self._keep(Operation.SYNC, self._paths[file])
        return code


def _address(callback: Any) -> int:
    address = ctypes.cast(callback, _pointer).value
    assert address is not None
    return address


def why_not() -> str | None:
    """Why there can be no faulty disk in this interpreter; None where there can be."""
    try:
        library = ctypes.CDLL(_sqlite3.__file__)
        _ = library.sqlite3_vfs_find, library.sqlite3_vfs_register
    except (AttributeError, OSError) as error:
        return f"this interpreter's SQLite does not export its VFS: {error}"
    return None


_disk: list[Disk] = []


def disk() -> Disk:
    """The faulty disk of this process; it stays for ever, as connections may."""
    if not _disk:
        _disk.append(Disk())
    return _disk[0]


@contextmanager
def faulty_disk() -> Iterator[Disk]:
    """Have the faulty disk in place for a while."""
    installed = disk()
    installed.install()
    try:
        yield installed
    finally:
        installed.uninstall()
        installed.record = None
