"""A process with a manager that does what it is told, so that it can be killed, and its disk fail."""

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ailf.async_tasks import TaskManager
from ailf.errors import AilfError
from tests.faults.children import CONTEXT, PATIENCE_SECONDS, be_quick
from tests.faults.scenario import failing, quick, threaded
from tests.faults.vfs import FOREVER, Effect, Fault, disk, why_not

Reply = dict[str, Any]


class Peer:
    """The process, as the test holds it."""

    def __init__(self, journal: Path) -> None:
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_obey, args=(theirs, journal), daemon=True)
        self._process.start()
        theirs.close()
        self._reply()

    def ask(self, command: str, **arguments: Any) -> Any:
        """Have it do something, and return what comes of it.

        Raises:
            AilfError: what the manager raised, by its name.
        """
        self._pipe.send((command, arguments))
        return self._reply()

    def _reply(self) -> Any:
        assert self._pipe.poll(PATIENCE_SECONDS), "the process hangs"
        kind, value = self._pipe.recv()
        if kind == "error":
            raise AilfError(value)
        assert kind == "ok", value
        return value

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.join(PATIENCE_SECONDS)
        self._pipe.close()

    def stop(self) -> None:
        """Have its manager stop."""
        self.ask("stop")
        self._process.join(PATIENCE_SECONDS)
        self._pipe.close()


class _Obedient:
    """The process from inside: one method a command."""

    def __init__(self, manager: TaskManager) -> None:
        self._manager = manager
        self._gates: dict[str, asyncio.Event] = {}

    async def submit(self, task_id: str, kind: str, metadata: dict[str, Any]) -> str:
        functions: dict[str, Callable[[], Any]] = {
            "quick": quick,
            "threaded": threaded,
            "failing": failing,
            "gated": self._gated(task_id),
        }
        return await self._manager.submit(functions[kind], task_id=task_id, name=kind, metadata=metadata)

    def _gated(self, task_id: str) -> Callable[[], Coroutine[Any, Any, str]]:
        gate = self._gates[task_id] = asyncio.Event()

        async def gated() -> str:
            await gate.wait()
            return "through the gate"

        return gated

    async def open_gate(self, task_id: str) -> None:
        self._gates[task_id].set()

    async def progress(self, task_id: str, value: float, message: str | None) -> bool:
        return self._manager.update_progress(task_id, value, message)

    async def cancel(self, task_id: str) -> bool:
        return await self._manager.cancel_task(task_id)

    async def wait(self, task_id: str, timeout: float | None) -> Any:
        return await self._manager.wait_for_task(task_id, timeout)

    async def list(self, **conditions: Any) -> list[tuple[str, str, float]]:
        return [(task.id, str(task.status), task.progress) for task in self._manager.list_tasks(**conditions)]

    async def clean_up(self) -> int:
        return await self._manager.cleanup()

    async def fault(self, *, on: bool) -> None:
        if on:
            disk().arm(Fault(Effect.FULL, at=1, times=FOREVER))
            return
        disk().disarm()
        while self._manager.health().unwritten:
            await asyncio.sleep(0.001)

    async def stop(self) -> None:
        await self._manager.stop()


def _obey(pipe: Connection, journal: Path) -> None:
    be_quick()
    if why_not() is None:
        disk().install()

    async def obey() -> None:
        manager = TaskManager(journal, retention=None, cleanup_interval=3600)
        await manager.start()
        obedient = _Obedient(manager)
        pipe.send(("ok", None))
        command = ""
        while command != "stop":
            command, arguments = await asyncio.to_thread(pipe.recv)
            try:
                pipe.send(("ok", await getattr(obedient, command)(**arguments)))
            except AilfError as error:
                pipe.send(("error", type(error).__name__))

    try:
        asyncio.run(obey())
    except EOFError:
        pass
    except BaseException:  # noqa: BLE001 - told to the parent
        pipe.send(("broken", traceback.format_exc()))
