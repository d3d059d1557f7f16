"""A task manager for asyncio that remembers: every task it runs is written to a SQLite journal."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ailf.async_tasks import TaskInfo, TaskManager, TaskStatus, current_task
else:

    def __getattr__(name: str) -> Any:
        # Imported when it is asked for: who wants the errors alone does not wait for the journal's libraries.
        if name in __all__:
            from ailf import async_tasks  # noqa: PLC0415

            return getattr(async_tasks, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["TaskInfo", "TaskManager", "TaskStatus", "current_task"]

__version__ = "0.1.0"


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
