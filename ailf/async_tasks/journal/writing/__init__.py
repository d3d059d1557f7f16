"""Every change on its way into the file: what waits, bounded; one transaction's rows; the one thread that commits.

It knows nothing of who reads and of who is alive. It may import ``form`` and the values.
"""

from ailf.async_tasks.journal.writing.backlog import Record
from ailf.async_tasks.journal.writing.door import Door
from ailf.async_tasks.journal.writing.refusals import in_words, unwritten_error
from ailf.async_tasks.journal.writing.writer import Writer

__all__ = ["Door", "Record", "Writer", "in_words", "unwritten_error"]
