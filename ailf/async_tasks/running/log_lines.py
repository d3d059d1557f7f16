"""What a task logs, as lines: records of ``logging``, and what ``current_task().log`` writes; bounded."""

import logging
import threading
import time
import traceback
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ailf.async_tasks.guard import PROGRAM_ENDS
from ailf.async_tasks.journal.form import (
    MAX_LINE_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_NAME_CHARACTERS,
    bounded_ends,
    bounded_line,
    encode_fields,
)
from ailf.async_tasks.model import Logged
from ailf.async_tasks.texts import plain_text

OWN_LOGGER = "task"
"""The logger of what a task writes itself."""

MOST_NESTED = 3
"""How deep a record may be logged by the arguments of another one while they are put into words."""

LATEST = 253_402_300_799_999_999
"""The last time that has four digits for its year."""

MOST_NAMES = 1_000
"""How many names of loggers are remembered as they are kept."""

HIGHEST_LEVEL = 2**31 - 1

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LEAST_PLAIN = len(vars(logging.makeLogRecord({})))
_PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})
_words = threading.local()


def line_of_record(task_id: str, record: logging.LogRecord) -> Logged | None:
    """A record as a line of a task's log; None for one that is logged while others are put into words, too deep.

    Whatever its arguments do when they are asked for their text: then the line says that. The same goes for a record
    that somebody made up, of which a part is not what it is in those of ``logging``.
    """
    message: str | None
    if not record.args and type(record.msg) is str:
        message = record.msg
    elif (message := _message(record)) is None:
        return None
    try:
        return _read(task_id, record, message)
    except PROGRAM_ENDS:
        raise
    except BaseException as error:  # noqa: BLE001 - a part of a record may be anything
        what = f"{plain_text(message)} (the rest of this record cannot be read: {_shown_error(error)})"
        level = record.levelno, logging.getLevelName(record.levelno)
        return _line(task_id, time.time_ns() // 1000, level, _shown_name(record.name), (what, None, None))


def _read(task_id: str, record: logging.LogRecord, message: str) -> Logged:
    level = record.levelno, record.levelname
    at = int(record.created * 1e6)
    if not 0 <= at <= LATEST:
        at = time.time_ns() // 1000
    fields = exception = None
    # Most records have nothing but what each one has.
    if len(vars(record)) > _LEAST_PLAIN:
        fields = encode_fields({name: value for name, value in vars(record).items() if name not in _PLAIN})
    if record.exc_info or record.exc_text or record.stack_info:
        exception = _exception(record)
    return _line(task_id, at, level, record.name, (message, fields, exception))


def line_of_task(task_id: str, level: tuple[int, str], message: str, values: Mapping[str, Any]) -> Logged:
    """What a task writes itself, as a line of its log."""
    return _line(task_id, time.time_ns() // 1000, level, OWN_LOGGER, (message, encode_fields(values), None))


def _line(
    task_id: str, at: int, level: tuple[int, str], logger: str, content: tuple[str, str | None, str | None]
) -> Logged:
    """A line, no part of which is longer than is kept; its content is message, fields and exception."""
    message, fields, exception = content
    if fields is None and exception is None:
        message = bounded_line(message)
    else:
        message = bounded_line(message, MAX_MESSAGE_BYTES)
        if exception is not None:
            room = MAX_LINE_BYTES - len(message.encode()) - len((fields or "").encode())
            exception = bounded_ends(exception, room)
    # What its __new__ does, in a third of the time.
    return _new(Logged, (task_id, at, *_level(*level), _name(logger), message, fields, exception, 0))


_new = tuple.__new__


@lru_cache(maxsize=MOST_NAMES)
def _name(text: str) -> str:
    return bounded_line(text, MAX_NAME_CHARACTERS)


@lru_cache(maxsize=MOST_NAMES)
def _level(number: int, name: str) -> tuple[int, str]:
    return max(-HIGHEST_LEVEL, min(int(number), HIGHEST_LEVEL)), _name(name)


def _message(record: logging.LogRecord) -> str | None:
    if type(record.msg) is str and type(record.args) is tuple and _PLAIN_TYPES.issuperset(map(type, record.args)):
        # Nothing of these logs anything while it is put into words.
        try:
            return record.msg % record.args
        except (TypeError, ValueError):
            pass
    depth = getattr(_words, "depth", 0)
    if depth >= MOST_NESTED:
        return None
    _words.depth = depth + 1
    try:
        return record.getMessage()
    except PROGRAM_ENDS:
        raise
    except BaseException as error:  # noqa: BLE001 - an argument may define anything
        return f"{_shown(record.msg)} % {_shown(record.args)}: {_shown_error(error)}"
    finally:
        _words.depth = depth


def _shown(value: object) -> str:
    if type(value) is tuple:
        return f"({', '.join(map(_shown, value))})"
    try:
        return repr(value)[:MAX_MESSAGE_BYTES]
    except PROGRAM_ENDS:
        raise
    except BaseException:  # noqa: BLE001 - a value may define any __repr__
        return f"<{type(value).__qualname__}>"


def _shown_name(name: object) -> str:
    return plain_text(name) if isinstance(name, str) else _shown(name)


def _shown_error(error: BaseException) -> str:
    try:
        return f"{type(error).__qualname__}: {error}"
    except PROGRAM_ENDS:
        raise
    except BaseException:  # noqa: BLE001 - an exception may define any __str__
        return type(error).__qualname__


def _exception(record: logging.LogRecord) -> str | None:
    """The traceback of a record's exception, or the stack that it was logged with."""
    parts = []
    if record.exc_text:
        parts.append(record.exc_text)
    elif record.exc_info and record.exc_info[0] is not None:
        try:
            parts.append("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
        except PROGRAM_ENDS:
            raise
        except BaseException as error:  # noqa: BLE001 - an exception may define anything
            parts.append(f"{record.exc_info[0].__qualname__}, whose traceback cannot be shown: {_shown_error(error)}")
    if record.stack_info:
        parts.append(str(record.stack_info))
    return "\n".join(parts) or None
