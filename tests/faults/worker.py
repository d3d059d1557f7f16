"""A worker of the chaos: it runs tasks of every kind until it is told to stop, and says what was acknowledged."""

import asyncio
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from ailf.async_tasks import TaskManager, current_task
from ailf.errors import JournalError, ManagerError, TaskCancelledError, TaskFailedError
from tests.faults.children import be_quick
from tests.faults.scenario import failing, quick, threaded
from tests.faults.unruly import Leftover, UnrulyHandler, UnrulyObserver, collect_often

AT_A_TIME = 6

FORK = signal.SIGUSR1
"""Has a worker fork a child."""


COPY = signal.SIGUSR2
"""Has a worker read its own journal's bytes, as programs do that copy or hash it: that drops SQLite's locks."""


class _Worker:
    def __init__(self, pipe: Connection, journal: Path, name: str, seed: int) -> None:
        self._pipe = pipe
        self._journal = journal
        self._name = name
        self._random = Random(seed)
        self._manager = TaskManager(journal, retention=None, max_concurrency=5, cleanup_interval=0.2)
        self._is_unruly = self._random.random() < 0.5
        if self._is_unruly:
            self._manager.add_observer(UnrulyObserver(self._random))
            logging.getLogger("ailf").addHandler(UnrulyHandler(self._random))
            collect_often()
        self._number = 0
        self._is_told_to_stop = asyncio.Event()
        self._children: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until told to stop."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pipe.fileno(), self._is_told_to_stop.set)
        loop.add_signal_handler(FORK, self._fork)
        loop.add_signal_handler(COPY, self._copy)
        while True:
            try:
                await self._manager.start()
                break
            except JournalError as error:
                self._say("not started", error=str(error))
                await asyncio.sleep(0.02)
        await asyncio.gather(*(self._one_after_the_other() for _ in range(AT_A_TIME)))
        await asyncio.gather(*self._children)
        if self._is_unruly:
            await self._stop_cut_short()
        await self._manager.stop(drain=0.05)

    async def _stop_cut_short(self) -> None:
        stopping = asyncio.ensure_future(self._manager.stop(drain=0.05))
        await asyncio.wait([stopping], timeout=self._random.uniform(0, 0.05))
        stopping.cancel()
        with suppress(asyncio.CancelledError):
            await stopping
        self._say("stop cut short")

    def _copy(self) -> None:
        with suppress(FileNotFoundError):
            self._journal.read_bytes()

    def _fork(self) -> None:
        lives = self._random.uniform(0, 0.5)
        if (pid := os.fork()) == 0:
            os.close(self._pipe.fileno())
            os._exit(self._as_child(lives))
        self._children.add(asyncio.get_running_loop().create_task(self._has_child(pid)))

    def _as_child(self, lives: float) -> int:
        """Use the journal as a program would that knows of no harm; the exit code says whether that was refused."""

        async def use() -> None:
            async with TaskManager(self._journal, retention=None) as manager:
                await manager.submit(quick, task_id=f"child-{os.getpid()}")

        asyncio._set_running_loop(None)
        try:
            asyncio.run(use())
        except ManagerError:
            # It outlives its parent, now and then, and must not keep it alive in the eyes of others.
            time.sleep(lives)
            return 0
        except BaseException:  # noqa: BLE001 - nobody is there who could be told more
            return 2
        return 1

    async def _has_child(self, pid: int) -> None:
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        self._say("forked", exit_code=os.waitstatus_to_exitcode(status))

    async def _one_after_the_other(self) -> None:
        while not self._is_told_to_stop.is_set():
            task_id = f"{self._name}-{self._number}"
            self._number += 1
            kind = self._random.choice((quick, quick, threaded, failing, self._reports, self._never_ends))
            limit = self._random.choice((None, 0.03)) if kind == self._never_ends else None
            try:
                await self._manager.submit(kind, task_id=task_id, timeout=limit)
            except JournalError:
                self._say("refused", id=task_id)
                await asyncio.sleep(0.02)
                continue
            self._say("submitted", id=task_id)
            if kind == self._never_ends and limit is None:
                await asyncio.sleep(self._random.uniform(0, 0.03))
                await self._manager.cancel_task(task_id)
            else:
                with suppress(TaskFailedError, TaskCancelledError, JournalError):
                    await self._manager.result(task_id)
            await self._say_end(task_id)
            await asyncio.sleep(self._random.uniform(0, 0.02))

    async def _say_end(self, task_id: str) -> None:
        while True:
            try:
                info = self._manager.get_task_info(task_id)
            except JournalError:
                # It cannot be read while it cannot be opened anew, on a full disk for one.
                await asyncio.sleep(0.02)
                continue
            assert info is not None, f"{task_id} is gone"
            if info.status.is_ended:
                self._say("ended", id=task_id, status=str(info.status))
                return
            await asyncio.sleep(0.02)

    def _say(self, what: str, **more: Any) -> None:
        self._pipe.send({"what": what, **more})

    async def _reports(self) -> str:
        for step in range(self._random.randrange(1, 8)):
            task = current_task()
            task.update_progress(step * 10, f"step {step}")
            if self._is_unruly:
                Leftover(partial(task.update_progress, step * 10, "collected"))
                Leftover(self._manager.health)
            await asyncio.sleep(self._random.uniform(0, 0.01))
        return "reported"

    async def _never_ends(self) -> None:
        await asyncio.Event().wait()


def work(pipe: Connection, journal: Path, name: str, seed: int) -> None:
    """Be a worker; called in a process of its own."""
    be_quick()

    async def run() -> None:
        await _Worker(pipe, journal, name, seed).run()

    told: Callable[[dict[str, Any]], None] = pipe.send
    try:
        asyncio.run(run())
    except BaseException:  # noqa: BLE001 - told to the parent
        told({"what": "broken", "traceback": traceback.format_exc()})
