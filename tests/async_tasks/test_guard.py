"""Nobody's exception ends a part of us: handlers of the log, observers, coders and values that raise anything."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import History, Observer, Outcome, TaskManager, TaskStatus
from ailf.async_tasks.guard import guarded
from ailf.async_tasks.running import LiveTask
from ailf.errors import AilfError, JournalError, TaskFailedError
from tests.conftest import PATIENCE_SECONDS, until


class OutOfOrder(BaseException):
    """As the libraries of tests and of other event loops have them: not an Exception."""


FOREIGN = [ValueError, MemoryError, RecursionError, StopIteration, asyncio.CancelledError, GeneratorExit, OutOfOrder]


@pytest.fixture(params=FOREIGN)
def foreign(request: pytest.FixtureRequest) -> type[BaseException]:
    """Something that somebody else's code raises."""
    kind: type[BaseException] = request.param
    return kind


class RaisingObserver(Observer):
    """Raises at each step."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def submitted(self, task_id: str, name: str) -> None:
        """Raise."""
        raise self.kind

    def started(self, task_id: str, name: str) -> None:
        """Raise."""
        raise self.kind

    def ended(self, task_id: str, name: str, outcome: Outcome) -> None:
        """Raise."""
        raise self.kind


class RaisingHandler(logging.Handler):
    """Raises for each record, as a handler does whose own ``handle`` is at fault."""

    def __init__(self, kind: type[BaseException]) -> None:
        super().__init__()
        self.kind = kind

    def handle(self, record: logging.LogRecord) -> bool:
        """Raise."""
        raise self.kind


@pytest.fixture
def raising_handler(foreign: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the log of ailf raise, whatever is logged."""
    # What nobody can be given goes to Python's own hook, of which pytest makes a warning.
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    logger, handler = logging.getLogger("ailf.async_tasks"), RaisingHandler(foreign)
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    logger.setLevel(before)


async def number(value: int) -> int:
    """Return it."""
    return value


async def test_a_raising_observer_starves_nobody(manager: TaskManager, foreign: type[BaseException]) -> None:
    """Of many tasks at once each is submitted, runs, and is answered for."""
    manager.add_observer(RaisingObserver(foreign))
    async with asyncio.timeout(PATIENCE_SECONDS):
        ids = await asyncio.gather(*(manager.submit(number(value)) for value in range(30)))
        assert await asyncio.gather(*(manager.result(task_id) for task_id in ids)) == list(range(30))


@pytest.mark.usefixtures("raising_handler")
async def test_a_raising_handler_of_the_log_starves_nobody(journal: Path) -> None:
    """Whatever is said, of tasks, of trouble with the journal and of its end: calls are answered, nothing is lost."""
    begun = asyncio.Event()

    async def stays() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "stays"
        return ""

    async def parent() -> None:
        await manager.submit(stays, task_id="stays")
        await asyncio.Event().wait()

    def fail() -> None:
        raise ValueError

    async with asyncio.timeout(3 * PATIENCE_SECONDS), TaskManager(journal, retention=None) as manager:
        assert await manager.result(await manager.submit(number(1))) == 1
        await manager.wait_for_task(await manager.submit(fail))
        family = await manager.submit(parent)
        await begun.wait()
        assert await manager.cancel_task(family, children=True) is False
        await manager.cleanup()
        running = await manager.submit(asyncio.Event().wait)
        away = journal.with_suffix(".away")
        journal.rename(away)
        with pytest.raises(JournalError):
            await manager.submit(number(2))
        cancelling = asyncio.ensure_future(manager.cancel_task(running))
        await until(lambda: not manager.health().is_writable)
        away.rename(journal)
        assert await cancelling
        await until(lambda: manager.health().is_writable)
        assert await manager.result(await manager.submit(number(3))) == 3
    with History(journal) as history:
        assert history.count_tasks(["pending", "running"]) == 0
        assert history.count_tasks() == 6


async def test_a_raising_coder_fails_no_task_and_hides_no_other(journal: Path, foreign: type[BaseException]) -> None:
    """A result is kept without its encoder, and read without its decoder."""

    def encode(value: tuple[int]) -> int:
        if value == (0,):
            raise foreign
        return value[0]

    def decode(value: int) -> Any:
        raise foreign

    async def some() -> list[Any]:
        async with TaskManager(journal, encoder=encode, decoder=decode) as manager:
            for value in range(2):
                task_id = f"t{value}"
                if manager.get_task_info(task_id) is None:
                    await manager.submit(asyncio.sleep(0, (value,)), task_id=task_id)
                    assert await manager.result(task_id, PATIENCE_SECONDS) == (value,)
            return [info.result for info in manager.list_tasks()]

    assert await some() == [(0,), (1,)]
    assert await some() == [[0], 1]


async def test_a_value_that_raises_stays_the_result(manager: TaskManager, foreign: type[BaseException]) -> None:
    """Whatever it does when it is looked at, the task has completed, and whoever waits gets the very object."""

    class Hostile:
        def __repr__(self) -> str:
            raise foreign

        @property  # type: ignore[misc]
        def __class__(self) -> type:
            raise foreign

        def __getattr__(self, name: str) -> Any:
            raise foreign

        __str__ = __sizeof__ = __iter__ = __len__ = __bool__ = __eq__ = __hash__ = __repr__  # type: ignore[assignment]

    task_id = await manager.submit(asyncio.sleep(0, Hostile()))
    assert type(await manager.result(task_id, PATIENCE_SECONDS)) is Hostile
    info = manager.get_task_info(task_id)
    assert info is not None
    assert info.status is TaskStatus.COMPLETED


async def test_an_exception_that_cannot_say_itself_is_how_its_task_failed(
    manager: TaskManager, foreign: type[BaseException]
) -> None:
    """Its type stands for it."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise foreign

        __repr__ = __str__

    async def fail() -> None:
        raise MuteError

    task_id = await manager.submit(fail)
    with pytest.raises(TaskFailedError, match="Mute"):
        await manager.result(task_id, PATIENCE_SECONDS)


def test_an_interruption_in_the_middle_of_a_result_fails_no_task(journal: Path) -> None:
    """Ctrl-C while a result is put into words: the task has completed, and the program is told to end."""

    class Long:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    async def main() -> None:
        async with TaskManager(journal) as manager:
            await manager.submit(asyncio.sleep(0, Long()), task_id="t")
            await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    with History(journal) as history:
        [info] = history.list_tasks()
    assert info.status is TaskStatus.COMPLETED
    assert "Long" in info.result


def test_an_interruption_in_an_observer_leaves_nobody_waiting(journal: Path) -> None:
    """It is the program's, and goes on; the task that was told of is over all the same."""

    class Interrupted(Observer):
        def ended(self, task_id: str, name: str, outcome: Outcome) -> None:
            raise KeyboardInterrupt

    manager = TaskManager(journal)
    manager.add_observer(Interrupted())
    loop = asyncio.new_event_loop()
    loop.run_until_complete(manager.start())
    gate = asyncio.Event()
    task_id = loop.run_until_complete(manager.submit(gate.wait()))
    waiting = loop.create_task(manager.result(task_id))
    # Not before: the interruption is to meet this run of the loop, and no other.
    loop.call_soon(gate.set)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert loop.run_until_complete(asyncio.wait_for(waiting, PATIENCE_SECONDS)) is True
    loop.run_until_complete(manager.stop())
    loop.close()


async def test_metadata_that_raises_is_refused(manager: TaskManager, foreign: type[BaseException]) -> None:
    """By an error of ailf, whose cause is what was raised; nothing is submitted."""

    class Hostile(dict[str, int]):
        def items(self) -> Any:
            raise foreign

    with pytest.raises(AilfError, match="no JSON object"):
        await manager.submit(number(1), metadata=Hostile(a=1))
    assert manager.count_tasks() == 0


def test_what_ends_the_program_goes_through_the_guard_and_nothing_else() -> None:
    """In the main thread alone: no other thread is where a program is told to end."""

    def quit_() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        guarded(quit_)


async def test_a_start_without_memory_fails_its_task_alone(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task whose start could not be recorded ends from where the journal has it, and whoever waits hears of it."""
    now, refused = LiveTask.now, ["queued"]

    def without_memory(task: LiveTask) -> int:
        if task.id in refused:
            refused.remove(task.id)
            raise MemoryError
        return now(task)

    monkeypatch.setattr(LiveTask, "now", without_memory)
    async with TaskManager(journal, max_concurrency=1) as manager:
        gate = asyncio.Event()
        await manager.submit(gate.wait(), task_id="first")
        await manager.submit(number(1), task_id="queued")
        gate.set()
        with pytest.raises(TaskFailedError, match="MemoryError"):
            await manager.result("queued", PATIENCE_SECONDS)
        assert await manager.result(await manager.submit(number(2)), PATIENCE_SECONDS) == 2


async def test_a_cancellation_without_memory_leaves_its_task_in_the_queue(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call raises, and the task that waits for a slot gets it as if nobody had called."""
    now, refused = LiveTask.now, ["queued"]

    def without_memory(task: LiveTask) -> int:
        if task.id in refused:
            refused.remove(task.id)
            raise MemoryError
        return now(task)

    async with TaskManager(journal, max_concurrency=1) as manager:
        gate = asyncio.Event()
        await manager.submit(gate.wait(), task_id="first")
        await manager.submit(number(1), task_id="queued")
        monkeypatch.setattr(LiveTask, "now", without_memory)
        with pytest.raises(MemoryError):
            await manager.cancel_task("queued")
        gate.set()
        assert await manager.result("queued", PATIENCE_SECONDS) == 1
