"""Between a line of a task's log and its row: bounded, storable, whatever somebody logged."""

from collections.abc import Mapping, Sequence
from typing import Any

from ailf.async_tasks.encoding import bounded_repr, decode_anyway, encode_value, storable
from ailf.async_tasks.guard import PROGRAM_ENDS
from ailf.async_tasks.journal.form.rows import UNDECODABLE, moment_of, spelled_key
from ailf.async_tasks.model import Logged, LogLine
from ailf.async_tasks.texts import plain_text

MAX_LINE_BYTES = 8_192
"""How much of a line is kept: of its message, its fields and its exception together."""

MAX_FIELDS_BYTES = 2_048
"""How much of that its fields may be ..."""

MAX_MESSAGE_BYTES = 4_096
"""... and its message, where it has fields or an exception as well."""

MAX_NAME_CHARACTERS = 200

LEFT_OUT_LOGGER = "ailf.async_tasks"
"""The logger of a line that says how many are missing. Nothing of this logger is ever captured."""


def bounded_line(text: str, most: int = MAX_LINE_BYTES) -> str:
    """The beginning of a text, as SQLite can hold it, with its whole length behind it where that was too much."""
    if text.__class__ is not str:
        text = plain_text(text)
    if 4 * len(text) <= most and text.isprintable():
        return text
    whole = len(text)
    data = storable(text[:most]).encode()
    if whole <= most and len(data) <= most:
        return data.decode()
    note = f"... ({whole} characters)"
    return data[: most - len(note)].decode(errors="ignore") + note


def bounded_ends(text: str, most: int) -> str:
    """The same without the middle: the ends of a traceback say most."""
    text = plain_text(text)
    if 4 * len(text) <= most:
        return storable(text)
    data = storable(text).encode()
    if len(data) <= most:
        return data.decode()
    note = "\n... the middle is left out ...\n"
    half = (most - len(note)) // 2
    return data[:half].decode(errors="ignore") + note + data[-half:].decode(errors="ignore")


def encode_fields(values: Mapping[str, Any]) -> str | None:
    """What comes with a line, as a JSON object; what JSON cannot hold as its ``repr``. Never raises.

    Args:
        values: by their names.

    Returns:
        The text; None where there is nothing.
    """
    if not values:
        return None
    room = MAX_FIELDS_BYTES - 2
    parts: list[str] = []
    for number, (name, value) in enumerate(values.items()):
        part = _field(name, value, min(room, MAX_FIELDS_BYTES // 2))
        room -= len(part.encode()) + 1
        # Room for the words that say how many there are besides.
        if room < (0 if number == len(values) - 1 else 40):
            parts.append(f'"...":"{len(values) - number} more"')
            break
        parts.append(part)
    return "{" + ",".join(parts) + "}"


def _field(name: object, value: object, room: int) -> str:
    key = spelled_key(bounded_line(str(name), MAX_NAME_CHARACTERS))
    try:
        text = encode_value(value)
    except PROGRAM_ENDS:
        raise
    except BaseException:  # noqa: BLE001 - a value may define anything
        text = encode_value(bounded_repr(value))
    if len(text.encode()) > room - len(key) - 3:
        text = encode_value(bounded_line(text, max(60, (room - len(key) - 3) // 2)))
    return f'"{key}":{text}'


def left_out_text(number: int) -> str:
    """How a line that stands for others says so."""
    lines = "1 line is" if number == 1 else f"{number} lines are"
    return f"{lines} left out here: a task that logs more than is kept keeps its first and its last lines."


def left_out_line(task_id: str, at: int, number: int) -> Logged:
    """A line that stands for so many others."""
    fields = f'{{"left_out":{number}}}'
    return Logged(task_id, at, 30, "WARNING", LEFT_OUT_LOGGER, left_out_text(number), fields, None, number)


def _fields(text: str) -> dict[str, Any]:
    values = decode_anyway(text)
    return values if isinstance(values, dict) else {UNDECODABLE: text}


def log_line(row: Sequence[Any]) -> LogLine:
    """The line that a row of ``task_logs`` stands for; never raises."""
    seq, task_id, at, level, level_name, logger, message, fields, exception = row
    return LogLine(
        seq=seq,
        task_id=task_id,
        at=moment_of(at),
        level=level,
        level_name=level_name,
        logger=logger,
        message=message,
        fields={} if fields is None else _fields(fields),
        exception=exception,
    )
