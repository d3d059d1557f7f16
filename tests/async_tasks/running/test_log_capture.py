"""What is logged inside of tasks is in the journal, whoever logs and whatever; and nobody else notices."""

import asyncio
import contextvars
import gc
import logging
import logging.config
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, current_task
from ailf.async_tasks.running.log_capture import HANDLER
from ailf.errors import InvalidArgumentError, InvalidTypeError
from tests.async_tasks.journal.support import attempt, python
from tests.conftest import until

log = logging.getLogger("app.work")


@pytest.fixture
async def manager(journal: Path) -> AsyncIterator[TaskManager]:
    """A manager that captures."""
    async with TaskManager(journal, capture_logs="INFO") as started:
        yield started


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """The root logger is after each test as it was before."""
    root = logging.getLogger()
    before = root.level, list(root.handlers), [list(handler.filters) for handler in root.handlers]
    yield
    assert (root.level, list(root.handlers), [list(handler.filters) for handler in root.handlers]) == before


def rows(path: Path | None, columns: str = "message") -> list[Any]:
    """What is in the table, in order."""
    with sqlite3.connect(str(path)) as connection:
        found = connection.execute(f"SELECT {columns} FROM task_logs ORDER BY seq").fetchall()
    connection.close()
    return [row[0] for row in found] if "," not in columns else found


async def ran(manager: TaskManager, work: Any) -> str:
    """Run a task to its end; its id."""
    task_id = await manager.submit(work)
    await manager.result(task_id)
    return task_id


async def test_each_record_of_a_task_is_a_row(manager: TaskManager) -> None:
    """Time, level, logger and message, from coroutines, threads and libraries; nothing from outside of a task."""

    async def child() -> None:
        log.warning("in a child")

    async def work() -> None:
        log.info("step %d of %s", 1, "many", extra={"user": "u1"})
        log.debug("too fine")
        await asyncio.to_thread(logging.getLogger("library").error, "in a thread")
        await asyncio.create_task(child())

    log.warning("before")
    task_id = await ran(manager, work())
    log.warning("after")
    assert rows(manager.journal, "task_id, level, level_name, logger, message, fields") == [
        (task_id, 20, "INFO", "app.work", "step 1 of many", '{"user":"u1"}'),
        (task_id, 40, "ERROR", "library", "in a thread", None),
        (task_id, 30, "WARNING", "app.work", "in a child", None),
    ]
    [info] = manager.list_tasks()
    assert info.started_at is not None
    assert info.completed_at is not None
    times = rows(manager.journal, "at")
    assert all(info.started_at.isoformat()[:19] <= at[:19] for at in times)
    assert times == sorted(times)


async def test_nothing_is_captured_unless_asked(journal: Path) -> None:
    """Off by default, and then nothing is installed; a task's own lines are kept all the same."""
    async with TaskManager(journal) as manager:

        async def work() -> None:
            log.error("not kept")
            current_task().log("kept")

        await ran(manager, work())
        assert HANDLER not in logging.getLogger().handlers
    assert rows(journal) == ["kept"]


async def test_a_task_writes_into_its_log(manager: TaskManager) -> None:
    """``current_task().log``: a level by name or number, values as JSON, what JSON cannot hold as its repr."""

    async def work() -> None:
        task = current_task()
        task.log("cache miss", level="warning", key="https://example.org", tries=3)
        task.log("fine", 5, what={1, 2}, level_name="mine")

    await ran(manager, work())
    assert rows(manager.journal, "level, level_name, logger, message, fields") == [
        (30, "WARNING", "task", "cache miss", '{"key":"https://example.org","tries":3}'),
        (5, "Level 5", "task", "fine", '{"what":"{1, 2}","level_name":"mine"}'),
    ]


@pytest.mark.parametrize(
    ("level", "error"),
    [("LOUD", InvalidArgumentError), ("", InvalidArgumentError), (True, InvalidTypeError), (-1, InvalidArgumentError)],
)
async def test_a_level_that_does_not_exist(manager: TaskManager, level: Any, error: type[Exception]) -> None:
    """In the call and in the manager: an error of ours that says which there are."""

    async def work() -> None:
        with pytest.raises(error, match="level is"):
            current_task().log("x", level=level)

    await ran(manager, work())
    with pytest.raises(error, match="capture_logs is"):
        TaskManager(capture_logs=level)


@pytest.mark.parametrize("limit", [1, -1, 1.5, "all"])
def test_a_limit_that_cannot_be(limit: Any) -> None:
    """The first and the last line are the least."""
    with pytest.raises((InvalidArgumentError, InvalidTypeError), match="log_limit is"):
        TaskManager(log_limit=limit)


async def test_an_exception_comes_with_its_traceback(manager: TaskManager) -> None:
    """Bounded, and with the message in the 8 KB of a line."""

    async def work() -> None:
        try:
            int("x" * 100_000)
        except ValueError:
            log.exception("failed")

    await ran(manager, work())
    [(message, exception)] = rows(manager.journal, "message, exception")
    assert message == "failed"
    assert exception.startswith("Traceback (most recent call last):")
    assert "ValueError: invalid literal for int()" in exception
    assert len(exception.encode()) + len(message) <= 8192


class Unprintable:
    """Fails whichever text is asked of it."""

    def __str__(self) -> str:  # noqa: D105
        raise RuntimeError("no text")

    __repr__ = __str__


async def test_bad_records_are_lines_that_say_so(manager: TaskManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that does not fit its arguments, unprintable ones, fields and levels of any kind."""
    # Pytest's own handlers raise what the others print.
    monkeypatch.setattr(logging.getLogger(), "handlers", [HANDLER])

    async def work() -> None:
        log.info("%d files", "many")
        log.info("%s", Unprintable())
        log.info(Unprintable())
        log.info("fields", extra={"it": Unprintable(), "loop": asyncio.get_running_loop()})
        current_task().log("own", it=Unprintable())
        log.log(2**70, "grave")

    await ran(manager, work())
    messages = rows(manager.journal)
    assert messages[0].startswith("'%d files' % ('many'): TypeError: ")
    assert messages[1] == "'%s' % (<Unprintable>): RuntimeError: no text"
    assert messages[2].startswith("<Unprintable> % ")
    assert messages[3:] == ["fields", "own", "grave"]


class Tricky(str):
    """Text that is one to Python, and answers nothing."""

    __slots__ = ()

    def __len__(self) -> int:  # noqa: D105
        raise RuntimeError("no length")

    def isprintable(self) -> bool:
        """Raise."""
        raise RuntimeError("no answer")

    def __str__(self) -> str:  # noqa: D105
        return self


@pytest.mark.parametrize(
    "parts",
    [
        {"msg": Tricky("said")},
        {"msg": "%s", "args": (Tricky("said"),)},
        {"name": Tricky("app")},
        {"name": None},
        {"name": 7},
        {"levelname": None},
        {"levelname": ["UP"]},
        {"created": float("nan")},
        {"created": "now"},
        {"exc_text": 7},
        {"exc_info": 7},
        {"exc_info": (1, 2, 3)},
        {"stack_info": Unprintable()},
        {"7": Unprintable(), "k": Tricky("v")},
    ],
    ids=lambda parts: next(iter(parts)),
)
async def test_records_that_somebody_made_up_are_lines(
    manager: TaskManager, monkeypatch: pytest.MonkeyPatch, parts: dict[str, Any]
) -> None:
    """As those are that come over a network: whatever is in which part, what was said is there."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [HANDLER])

    async def work() -> None:
        made = {"name": "app", "levelno": logging.ERROR, "levelname": "ERROR", "msg": "said"} | parts
        logging.getLogger().handle(logging.makeLogRecord(made))
        log.info("and then")

    await ran(manager, work())
    first, then = rows(manager.journal)
    assert first.startswith("said")
    assert then == "and then"
    assert rows(manager.journal, "level") == [logging.ERROR, logging.INFO]


async def test_text_of_a_type_of_its_own_is_text(manager: TaskManager) -> None:
    """What a task says itself, and as its progress."""

    async def work() -> None:
        current_task().log(Tricky("said"), key=Tricky("value"))
        assert current_task().update_progress(5, Tricky("half"))

    task_id = await manager.submit(work())
    await manager.result(task_id)
    assert [line.message for line in manager.get_task_logs(task_id)] == ["said"]
    info = manager.get_task_info(task_id)
    assert info is not None
    assert type(info.progress_message) is str
    assert info.progress_message == "half"


async def test_any_text_is_kept_as_it_can_be(manager: TaskManager) -> None:
    """A megabyte in one line, NUL, lone surrogates, whatever a terminal obeys."""

    async def work() -> None:
        log.info("x" * 1_000_000)
        log.info("é" * 8_000)
        log.info("a\0b\ud800c\nd")
        log.info("y" * 8_192)
        logging.getLogger("n" * 1000).info("z")
        current_task().log("fields", big="x" * 1_000_000, **{f"key{number}": number for number in range(1000)})

    await ran(manager, work())
    messages = rows(manager.journal)
    assert messages[0].endswith("x... (1000000 characters)")
    assert messages[1].endswith("é... (8000 characters)")
    assert messages[2] == "a\\x00b\\ud800c\nd"
    assert messages[3] == "y" * 8_192
    assert all(len(message.encode()) <= 8_192 for message in messages)
    fields = rows(manager.journal, "fields")[-1]
    assert len(fields) <= 2_048
    assert '"big":"' in fields


async def test_a_chatty_task_keeps_its_ends(journal: Path) -> None:
    """The first and the last lines, and between them how many are left out."""
    async with TaskManager(journal, capture_logs="INFO", log_limit=10) as manager:

        async def work() -> None:
            for number in range(1000):
                log.info("line %d", number)
                if not number % 100:
                    await asyncio.sleep(0.005)

        await ran(manager, work())
    messages = rows(journal)
    assert messages[:5] == [f"line {number}" for number in range(5)]
    assert messages[5].startswith("990 lines are left out here")
    assert messages[6:] == [f"line {number}" for number in range(995, 1000)]


async def test_the_library_s_own_records_are_left_out(manager: TaskManager) -> None:
    """Those of ``ailf.async_tasks`` and below; others that begin alike are kept."""

    async def work() -> None:
        logging.getLogger("ailf.async_tasks").error("own")
        logging.getLogger("ailf.async_tasks.journal").error("own")
        logging.getLogger("ailf.async_tasks_of_mine").error("theirs")

    await ran(manager, work())
    assert rows(manager.journal) == ["theirs"]


async def test_managers_side_by_side_keep_their_own(manager: TaskManager, tmp_path: Path) -> None:
    """Each what its tasks log, from its own level on; the handler is there until the last of them stops."""
    async with TaskManager(tmp_path / "other.db", capture_logs="ERROR") as other:

        async def work(name: str) -> None:
            log.info("%s informs", name)
            log.error("%s warns", name)

        await ran(manager, work("one"))
        await ran(other, work("two"))
    assert HANDLER in logging.getLogger().handlers
    assert rows(manager.journal) == ["one informs", "one warns"]
    assert rows(tmp_path / "other.db") == ["two warns"]


async def test_others_hear_what_they_heard_before(manager: TaskManager, caplog: pytest.LogCaptureFixture) -> None:
    """The root logger's level is lowered for the journal alone, inside and outside of tasks."""
    own = logging.getLogger("app.chatty")
    own.setLevel(logging.DEBUG)

    async def work() -> None:
        log.info("for the journal")
        log.warning("for both")
        own.debug("as its logger says")

    log.info("outside")
    await ran(manager, work())
    own.setLevel(logging.NOTSET)
    assert [record.message for record in caplog.records if record.name.startswith("app")] == [
        "for both",
        "as its logger says",
    ]
    assert rows(manager.journal) == ["for the journal", "for both"]


async def test_logging_that_is_configured_later_goes_on(manager: TaskManager) -> None:
    """An application that clears the root logger's handlers after the start loses no later task's lines."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()
    await ran(manager, lambda: log.warning("captured again"))
    assert rows(manager.journal) == ["captured again"]
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_a_finalizer_a_signal_handler_and_nested_records(manager: TaskManager) -> None:
    """Each is a line like any other; what logs itself comes to an end."""

    class Closing:
        def __del__(self) -> None:
            log.info("collected")

    class Talking:
        def __str__(self) -> str:
            log.info("asked for my text")
            return "text"

    class Endless:
        def __str__(self) -> str:
            log.info("%s", self)
            return "end"

    async def work() -> None:
        before = signal.signal(signal.SIGUSR1, lambda *_: log.info("signalled"))
        Closing()
        gc.collect()
        os.kill(os.getpid(), signal.SIGUSR1)
        log.info("said %s", Talking())
        log.info("%s", Endless())
        signal.signal(signal.SIGUSR1, before)

    await ran(manager, work())
    messages = rows(manager.journal)
    assert messages[:4] == ["collected", "signalled", "asked for my text", "said text"]
    assert 1 <= len(messages[4:]) <= 5


async def test_signals_in_the_middle_of_everything(manager: TaskManager) -> None:
    """A handler that logs a thousand times a second, in a task that logs, reports and submits: nothing stops."""

    async def work() -> None:
        def tick(*_: object) -> None:
            log.info("tick")
            signal.setitimer(signal.ITIMER_REAL, 0.001)

        before = signal.signal(signal.SIGALRM, tick)
        tick()
        for number in range(3_000):
            log.info("line %d", number)
            if not number % 50:
                await asyncio.sleep(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    await ran(manager, work())
    assert any("left out" in message for message in rows(manager.journal))


async def test_a_line_after_the_end_is_kept(manager: TaskManager) -> None:
    """What a task has left running still speaks in its name; once the task is deleted, to nobody."""
    go, done = threading.Event(), threading.Event()

    def late() -> None:
        go.wait(30)
        log.info("late")
        done.set()

    async def work() -> None:
        asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, late)

    task_id = await ran(manager, work())
    go.set()
    await until(lambda: rows(manager.journal) == ["late"])
    with sqlite3.connect(str(manager.journal)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
    connection.close()
    assert rows(manager.journal) == []
    await ran(manager, lambda: log.info("another"))
    assert rows(manager.journal) == ["another"]


FORKED = """
import asyncio, logging, os, sys, warnings
from ailf.async_tasks import TaskManager, current_task
from ailf.errors import ManagerError
warnings.simplefilter("ignore")  # of forks beside threads
log = logging.getLogger("app")

async def work():
    log.info("parent")
    if os.fork() == 0:
        log.info("child")
        try:
            current_task().log("child")
        except ManagerError:
            log.warning("refused")
            os._exit(7)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.wait()[1])

async def main():
    async with TaskManager(sys.argv[1], capture_logs="INFO") as manager:
        print(await manager.result(await manager.submit(work())))
        print([row.message for row in manager.get_task_logs(manager.list_tasks()[0].id)])

asyncio.run(main())
"""


def test_a_forked_child_writes_nothing(journal: Path) -> None:
    """Neither what it logs nor what it writes itself, which is refused; the parent goes on."""
    finished = attempt(sys.executable, "-c", FORKED, journal)
    assert finished.stdout.splitlines() == ["7", "['parent']"], finished.stderr
    # With no handlers about, Python writes warnings to standard error, captured or not.
    assert finished.stderr.splitlines() == ["refused"]


AT_EXIT = """
import asyncio, atexit, logging, sys
from ailf.async_tasks import TaskManager, current_task
log = logging.getLogger("app")

class Last:
    def __init__(self, context): self.context = context
    def __del__(self): self.context.run(log.warning, "in the end")

async def work():
    import contextvars
    global last
    last = Last(contextvars.copy_context())
    log.info("in the task")

async def main():
    manager = TaskManager(sys.argv[1], capture_logs="INFO")
    await manager.start()
    await manager.result(await manager.submit(work()))

asyncio.run(main())
"""


def test_a_line_while_the_interpreter_ends(journal: Path) -> None:
    """Of a manager that was never stopped: no error, and the program ends."""
    python(AT_EXIT, journal)
    assert rows(journal)[0] == "in the task"


CONFIGURED_BY_NOBODY = """
import asyncio, logging, sys
from ailf.async_tasks import TaskManager
log = logging.getLogger("app")

async def work():
    log.info("quiet")
    log.warning("inside")

async def main():
    async with TaskManager(sys.argv[1], capture_logs="DEBUG", ) as manager:
        await manager.result(await manager.submit(work()))
        log.warning("outside")
        log.info("quiet")
    log.warning("afterwards")

asyncio.run(main())
"""


def test_standard_error_shows_what_it_showed(journal: Path) -> None:
    """A program that configures no logging sees its warnings, once, and nothing else."""
    finished = attempt(sys.executable, "-W", "error", "-c", CONFIGURED_BY_NOBODY, journal)
    assert finished.stderr.splitlines() == ["inside", "outside", "afterwards"]
    assert rows(journal) == ["quiet", "inside"]
