"""Now: what runs, what waits, what has ended lately, and how the journal is."""

from ailf.async_tasks.journal.care.upkeep import Life
from ailf.async_tasks.journal.reading import reports
from ailf.async_tasks.journal.reading.reports import Minute
from ailf.async_tasks.states import ENDED, TaskStatus
from ailf.web.charts import minutes_chart
from ailf.web.views.asking import Answer, Asking, View

MOST_RUNNING = 40
MOST_WAITING = 10
MOST_ENDED = 10
MOST_OWNERS = 20


def _answer(asking: Asking) -> Answer:
    board = reports.board(
        asking.reader,
        asking.now,
        running=MOST_RUNNING,
        queue=MOST_WAITING,
        latest=MOST_ENDED,
        known=asking.memory.minutes,
    )
    return Answer(
        {
            "board": board,
            "is_empty": not any(board.counts.values()),
            "chart": minutes_chart(board.minutes, reports.MINUTES),
            "hour": _sum(board.minutes),
            "health": _health(asking),
        }
    )


def _sum(minutes: list[Minute]) -> dict[TaskStatus, int]:
    return {status: sum(minute.ended[status] for minute in minutes) for status in sorted(ENDED)}


def _health(asking: Asking) -> dict[str, object]:
    path = asking.source.path
    log = path.with_name(f"{path.name}-wal")
    owners = asking.source.owners()
    manager = asking.source.manager
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "log_bytes": log.stat().st_size if log.exists() else 0,
        "owners": owners[:MOST_OWNERS],
        "more_owners": max(0, len(owners) - MOST_OWNERS),
        "alive": sum(owner.life is Life.ALIVE for owner in owners),
        "dead": sum(owner.life is Life.DEAD for owner in owners),
        "unknown": sum(owner.life is Life.UNKNOWN for owner in owners),
        "writer": None if manager is None else manager.health(),
    }


NOW = View("", "Now", _answer, ("running", "counts", "hour", "queue", "latest", "health"))
