"""Where a journal and its companions are."""

import os
from pathlib import Path

from ailf.errors import InvalidArgumentError, InvalidTypeError

ENVIRONMENT_VARIABLE = "AILF_JOURNAL"
DEFAULT_NAME = "ailf_tasks.db"


def journal_path(given: object = None) -> Path:
    """The path of the journal, absolute.

    Args:
        given: what the user named; None is ``$AILF_JOURNAL``, else ``ailf_tasks.db`` in the working directory.

    Raises:
        InvalidTypeError: it is no path.
        InvalidArgumentError: no file can have this path.
    """
    chosen = given if given is not None else os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_NAME
    if not isinstance(chosen, str | Path):
        raise InvalidTypeError(f"journal is {chosen!r}; give a path as text or pathlib.Path, or None.")
    try:
        path = Path(chosen).expanduser().absolute()
        encoded = os.fsencode(path)
    except FileNotFoundError:
        raise InvalidArgumentError(
            f"journal is {str(chosen)!r}, in a working directory that was deleted; give a whole path, from / on."
        ) from None
    except (ValueError, RuntimeError) as error:
        raise InvalidArgumentError(f"journal is {chosen!r}, which is no path: {error}") from error
    if b"\0" in encoded:
        raise InvalidArgumentError(f"journal is {chosen!r}, which is no path: it holds a NUL.")
    return path


def beside(path: Path, suffix: str) -> Path:
    """What is beside a journal under its name and a suffix.

    Beside the file itself, whatever links lead to it: there SQLite has its logs
    (https://sqlite.org/tempfiles.html), and all who use the journal must find the same locks.
    """
    file = path.resolve()
    return file.with_name(f"{file.name}{suffix}")


def owners_folder(path: Path) -> Path:
    """The folder of the lock files that say which managers of a journal are alive."""
    return beside(path, ".owners")
