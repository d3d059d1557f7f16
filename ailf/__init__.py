"""A task manager for asyncio that remembers: every task it runs is written to a SQLite journal."""

__version__ = "0.1.0"
