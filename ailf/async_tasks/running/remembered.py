"""What a process remembers of the tasks that have ended: results that JSON cannot hold, and the latest ends."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ailf.async_tasks.journal.form import EncodedResult
from ailf.async_tasks.model import Outcome, TaskInfo

RECENT_OUTCOMES = 10_000
"""How many ends are remembered, for those who wait for a task that has ended: a burst of tasks, say."""

SMALL_RESULT_CHARACTERS = 200
"""Up to which length of its text a result is remembered that way."""


class Remembered:
    """The results that only this process has, and the ends that it need not ask the journal for."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome] = {}
        self._results: dict[str, Any] = {}

    def keep_result(self, task_id: str, value: Any, encoded: EncodedResult) -> None:
        """Keep a result, until clean-up deletes its task, where its text does not give it back as it was."""
        if not encoded.exact:
            self._results[task_id] = value

    def keep_outcome(self, task_id: str, outcome: Outcome, result: str | None) -> None:
        """Keep an end that is committed for a while, unless it is large.

        Args:
            task_id: the task.
            outcome: how it ended.
            result: its result as text.
        """
        if outcome.traceback is not None or (result is not None and len(result) > SMALL_RESULT_CHARACTERS):
            return
        self._outcomes[task_id] = outcome
        if len(self._outcomes) > RECENT_OUTCOMES:
            del self._outcomes[next(iter(self._outcomes))]

    def outcome(self, task_id: str) -> Outcome | None:
        """How a task ended, where that is committed and was lately."""
        return self._outcomes.get(task_id)

    @property
    def has_results(self) -> bool:
        """Whether there is a result that the journal does not give back as it was."""
        return bool(self._results)

    def laid_over(self, info: TaskInfo) -> TaskInfo:
        """A completed task with the very result that it returned, where the journal has only its text."""
        return replace(info, result=self._results[info.id]) if info.id in self._results else info

    def result_ids(self) -> list[str]:
        """The ids of the tasks whose results are kept."""
        return list(self._results)

    def forget(self, task_ids: Iterable[str]) -> None:
        """Drop what is kept of tasks that the journal has no more, or not with this end."""
        for task_id in task_ids:
            self._outcomes.pop(task_id, None)
            self._results.pop(task_id, None)

    def forget_outcomes(self) -> None:
        """Drop the latest ends, since some of them have been deleted."""
        self._outcomes.clear()
