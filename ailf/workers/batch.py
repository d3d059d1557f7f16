"""Many who ask for one thing each, at the same time, and are answered together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

MOST = 500
"""How many are answered at once."""

_K = TypeVar("_K")
_V = TypeVar("_V")


class Batch(Generic[_K, _V]):
    """Collects what is asked for while an answer is on its way, and asks for all of that next.

    Args:
        fetch: gives an answer for each key, in their order; an exception in the place of one is raised to who asked.
    """

    def __init__(self, fetch: Callable[[Sequence[_K]], Awaitable[Sequence[_V | Exception]]]) -> None:
        self._fetch = fetch
        self._asked: list[tuple[_K, asyncio.Future[_V]]] = []
        self._waiting = 0
        self._round: asyncio.Task[None] | None = None

    async def get(self, key: _K) -> _V:
        """Ask, together with whoever else asks now.

        Args:
            key: what to ask for.

        Returns:
            The answer.

        Raises:
            Exception: what kept it from being given.
        """
        answer: asyncio.Future[_V] = asyncio.get_running_loop().create_future()
        self._asked.append((key, answer))
        self._waiting += 1
        if self._round is None:
            self._round = asyncio.create_task(self._answer_all(), name="ailf-celery-batch")
        try:
            return await answer
        finally:
            self._waiting -= 1
            if not self._waiting and self._round is not None:
                # Nobody wants to know any more.
                ended, self._round = self._round, None
                self._asked.clear()
                ended.cancel()

    async def _answer_all(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked[:MOST], self._asked[MOST:]
                try:
                    answers = await self._fetch([key for key, _answer in asked])
                except Exception as error:  # noqa: BLE001  whatever it is, it is for those who asked
                    answers = [error] * len(asked)
                for (_key, waiting), answer in zip(asked, answers, strict=True):
                    if waiting.done():
                        continue
                    if isinstance(answer, Exception):
                        waiting.set_exception(answer)
                    else:
                        waiting.set_result(answer)
        finally:
            if self._round is asyncio.current_task():
                self._round = None
