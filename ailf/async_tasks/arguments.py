"""What callers hand in, checked and made into values; each wrong one is an error that says what to give instead."""

import logging
import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from enum import Enum, StrEnum
from numbers import Real
from pathlib import Path
from typing import TypeVar

from ailf.async_tasks.encoding import Coder, Coders
from ailf.async_tasks.guard import PROGRAM_ENDS
from ailf.async_tasks.journal.form import ENVIRONMENT_VARIABLE, encode_metadata, journal_path, storable
from ailf.async_tasks.states import ENDED, TaskStatus
from ailf.async_tasks.texts import bounded, plain_text
from ailf.errors import InvalidArgumentError, InvalidTypeError

MAX_ID_CHARACTERS = 255

MAX_MESSAGE_CHARACTERS = 10_000
"""How much of a progress message is kept."""

NOW = -1
"""Instead of the number of an event: whichever is the last."""

IN_MEMORY = ":memory:"
"""Asks for a private journal, as SQLite's own name for a database that no file holds."""

Choice = TypeVar("Choice", bound=StrEnum)


class Parent(Enum):
    """Whose child a task is, where nobody has said it."""

    CURRENT = "the task in which it is submitted, if it is in one"


Seconds = float | timedelta
StatusArgument = TaskStatus | str | Iterable[TaskStatus | str] | None
RetentionArgument = Seconds | None | Mapping[TaskStatus | str, Seconds | None]


def real(value: object, what: str) -> float:
    """A number that is finite, an int as the int it is.

    Raises:
        InvalidTypeError: it is no number; True and False are none here.
        InvalidArgumentError: it is NaN or infinite.
    """
    number = value
    if not isinstance(value, (int, float)) and isinstance(value, Real):
        # NumPy's numbers are Real as well, but SQLite takes only Python's own.
        number = float(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise InvalidTypeError(f"{what} is {shown(value)}; give a number.")
    if isinstance(number, float) and not math.isfinite(number):
        raise InvalidArgumentError(f"{what} is {number}; give a finite number.")
    return number


def percentage(value: object) -> float:
    """A progress from 0 to 100.

    Raises:
        InvalidTypeError: it is no number.
        InvalidArgumentError: it is outside of the range, or NaN.
    """
    if type(value) is int and 0 <= value <= 100:  # noqa: PLR2004 - what a percentage is
        return value
    number = real(value, "progress")
    if not 0 <= number <= 100:  # noqa: PLR2004 - what a percentage is
        raise InvalidArgumentError(f"progress is {shown(number)}; give a number from 0 to 100.")
    return number


def message(value: object) -> str | None:
    """A progress message, as every read shows it, written already or not; the middle of a very long one is cut out.

    Raises:
        InvalidTypeError: it is no text.
    """
    if value is not None and not isinstance(value, str):
        raise InvalidTypeError(f"message is {shown(value)}; give text, or None.")
    return None if value is None else storable(bounded(plain_text(value), MAX_MESSAGE_CHARACTERS))


def text(value: object, what: str) -> str:
    """Text.

    Raises:
        InvalidTypeError: it is none.
    """
    if not isinstance(value, str):
        raise InvalidTypeError(f"{what} is {shown(value)}; give text.")
    return plain_text(value)


def log_level(value: object, what: str) -> tuple[int, str]:
    """A level of ``logging``, as its number and its name.

    Raises:
        InvalidTypeError: it is neither.
        InvalidArgumentError: there is no such level.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        number = count(value, what)
        return number, logging.getLevelName(number)
    name = text(value, what).upper() if isinstance(value, str) else None
    if name is None:
        raise InvalidTypeError(f"{what} is {shown(value)}; give a level of logging, such as 'INFO' or 20.")
    levels = logging.getLevelNamesMapping()
    if name not in levels:
        words = ", ".join(sorted(levels, key=lambda known: levels[known]))
        raise InvalidArgumentError(f"{what} is {shown(value)}; there are {words}, and numbers.")
    return levels[name], name


def seconds(value: object, what: str, *, zero: bool = False) -> float:
    """A length of time in seconds.

    Args:
        value: a number of seconds, or a timedelta.
        what: the argument's name.
        zero: whether none at all is allowed.

    Raises:
        InvalidTypeError: it is neither.
        InvalidArgumentError: it is negative, zero where that is not allowed, NaN or infinite.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else real(value, what)
    if number < 0 or (number == 0 and not zero):
        wanted = "0 or more" if zero else "more than 0"
        raise InvalidArgumentError(f"{what} is {shown(value)}; give {wanted} seconds, or leave it out.")
    try:
        timedelta(seconds=number)
    except OverflowError:
        raise InvalidArgumentError(f"{what} is {shown(value)}: longer than time can be counted.") from None
    return float(number)


def optional_seconds(value: object, what: str, *, zero: bool = False) -> float | None:
    """The same, where None means no limit."""
    return None if value is None else seconds(value, what, zero=zero)


def coders(encoder: object, decoder: object) -> Coders:
    """How an application puts results into JSON and takes them out again.

    Raises:
        InvalidTypeError: one of them cannot be called.
        InvalidArgumentError: one is there and the other is not.
    """
    made = Coders(coder(encoder, "encoder"), coder(decoder, "decoder"))
    if (encoder is None) != (decoder is None):
        given, missing = ("decoder", "encoder") if encoder is None else ("encoder", "decoder")
        raise InvalidArgumentError(f"there is an {given} and no {missing}; what one makes only the other understands.")
    return made


def coder(value: object, what: str) -> Coder | None:
    """One of the two.

    Raises:
        InvalidTypeError: it cannot be called.
    """
    if value is not None and not callable(value):
        raise InvalidTypeError(f"{what} is {shown(value)}; give a function of one argument, or leave it out.")
    return value


def journal(value: object) -> Path | None:
    """The path of a journal; None for the private one that is asked for as ":memory:", by name or by the environment.

    Raises:
        InvalidTypeError: it is no path.
        InvalidArgumentError: no file can have this path.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE) if value is None else value
    return None if named == IN_MEMORY else journal_path(value)


def new_task_id(value: object) -> str:
    """An id that a user chose.

    Raises:
        InvalidTypeError: it is no text.
        InvalidArgumentError: it is empty, too long, or has characters that SQLite's shell could not show.
    """
    if not isinstance(value, str):
        raise InvalidTypeError(f"task_id is {shown(value)}; give text, or None to have one chosen.")
    if not 0 < len(value) <= MAX_ID_CHARACTERS or not value.isprintable():
        raise InvalidArgumentError(
            f"task_id is {shown(value)}; give 1 to {MAX_ID_CHARACTERS} printable characters, or None to have one "
            "chosen."
        )
    return value


def known_task_id(value: object, what: str = "task_id") -> str:
    """An id to look a task up by; what no task can have as its id finds nothing.

    Raises:
        InvalidTypeError: it is no text.
    """
    if not isinstance(value, str):
        raise InvalidTypeError(f"{what} is {shown(value)}; give the text that submit returned.")
    return storable(value)


def task_name(value: object) -> str:
    """A name that a user chose.

    Raises:
        InvalidTypeError: it is no text.
    """
    if not isinstance(value, str):
        raise InvalidTypeError(f"name is {shown(value)}; give text, or leave it out.")
    return value


def metadata_text(value: object) -> str:
    """Metadata as JSON text.

    Raises:
        InvalidTypeError: it is no dict with text as its keys, or JSON has nothing for a type in it.
        InvalidArgumentError: it has a NaN, an infinity, a reference to itself, or too many levels.
    """
    if value is None:
        return "{}"
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"metadata is {shown(value)}; give a dict that is a JSON object, or None.")
    try:
        return encode_metadata(value)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"metadata is no JSON object: {error}.") from error
    except PROGRAM_ENDS:
        raise
    except BaseException as error:
        # A TypeError of JSON's, or whatever a class of somebody's raises when it is looked at.
        said = error if isinstance(error, TypeError) else type(error).__qualname__
        raise InvalidTypeError(f"metadata is no JSON object: {said}.") from error


def keys(value: object, what: str) -> frozenset[str]:
    """Keys of metadata.

    Raises:
        InvalidTypeError: it is nothing of the kind.
    """
    # A text is iterable as well, and its letters are not what was meant.
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidTypeError(f"{what} is {shown(value)}; give several keys, such as ['customer'].")
    chosen = list(value)
    for key in chosen:
        if not isinstance(key, str):
            raise InvalidTypeError(f"{what} has {shown(key)} in it; a key is text.")
    return frozenset(chosen)


def member(enum: type[Choice], value: object, what: str) -> Choice:
    """A member of an enum, by its name in any case.

    Raises:
        InvalidTypeError: it is no text.
        InvalidArgumentError: there is no such member.
    """
    if not isinstance(value, str):
        raise InvalidTypeError(f"{what} is {shown(value)}; give a {enum.__name__}, or its name.")
    try:
        return enum(value.lower())
    except ValueError:
        raise InvalidArgumentError(f"{what} is {shown(value)}; there are {', '.join(enum)}.") from None


def count(value: object, what: str, *, least: int = 0) -> int:
    """A whole number.

    Raises:
        InvalidTypeError: it is none.
        InvalidArgumentError: it is too small, or larger than SQLite counts.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidTypeError(f"{what} is {shown(value)}; give a whole number.")
    if not least <= value < 2**63:
        raise InvalidArgumentError(f"{what} is {shown(value)}; give a whole number from {least} on.")
    return value


def position(value: object) -> int | None:
    """After which event to begin: its number; None is the first one that is there, -1 the last.

    Raises:
        InvalidTypeError: it is neither a whole number nor "now".
        InvalidArgumentError: it is negative.
    """
    if value is None:
        return None
    if isinstance(value, str) and value == "now":
        return NOW
    return count(value, "after")


def retention_policy(value: RetentionArgument) -> dict[TaskStatus, timedelta]:
    """How long each end state is kept; one that is missing is kept for ever.

    Args:
        value: a timedelta, seconds, None for ever, or a mapping of end states to one of these.

    Raises:
        InvalidTypeError: it is nothing of the kind.
        InvalidArgumentError: it is negative, or names a state in which no task ends.
    """
    if not isinstance(value, Mapping):
        age = optional_seconds(value, "retention", zero=True)
        return {} if age is None else dict.fromkeys(sorted(ENDED), timedelta(seconds=age))
    policy = {}
    for key, one in value.items():
        status = member(TaskStatus, key, "a key of retention")
        if not status.is_ended:
            raise InvalidArgumentError(f"retention names {status}; only {', '.join(sorted(ENDED))} tasks are deleted.")
        age = optional_seconds(one, f"retention[{status}]", zero=True)
        if age is not None:
            policy[status] = timedelta(seconds=age)
    return policy


def one_of(enum: type[Choice], value: object, what: str) -> Choice:
    """A member of an enum of words.

    Raises:
        InvalidArgumentError: there is no such member.
    """
    if isinstance(value, str):
        with suppress(ValueError):
            return enum(value)
    words = ", ".join(repr(str(member)) for member in enum)
    raise InvalidArgumentError(f"{what} is {shown(value)}; give one of {words}.")


def shown(value: object) -> str:
    """The value as it may stand in a message: short, and whatever its repr does."""
    try:
        text = repr(value)
    except PROGRAM_ENDS:
        raise
    except BaseException:  # noqa: BLE001 - a value may define any __repr__
        text = f"<{type(value).__qualname__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - a line


def file_path(value: object, name: str) -> Path:
    """A path of a file, absolute.

    Raises:
        InvalidTypeError: it is no path.
        InvalidArgumentError: no file can have this path.
    """
    if not isinstance(value, str | Path):
        raise InvalidTypeError(f"{name} is {value!r}; give a path as text or pathlib.Path.")
    return journal_path(value)
