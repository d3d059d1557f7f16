"""How a manager was configured, checked."""

from dataclasses import dataclass
from pathlib import Path

from ailf.async_tasks.encoding import Coders
from ailf.async_tasks.journal import Durability, MigrateMode, Retention


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of ``TaskManager`` as values: see there for what each is."""

    path: Path | None
    """The journal; None is a private one, in a temporary folder."""
    task_timeout: float | None
    max_concurrency: int | None
    retention: Retention
    cleanup_interval: float
    durability: Durability
    migrate: MigrateMode
    indexed_metadata: frozenset[str]
    log_level: int | None
    """From which level on what tasks log is captured; None is nothing."""
    log_limit: int
    result_memory: int
    coders: Coders
