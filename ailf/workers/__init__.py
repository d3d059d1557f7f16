"""Work that outgrew one process: Celery tasks, and awaiting them from asyncio.

Needs the extra ``celery``: ``pip install "ailf[celery]"``.
"""

from ailf.errors import MissingExtraError

try:
    import celery as _celery  # noqa: F401  asked for here to say what is missing
except ModuleNotFoundError as missing:
    raise MissingExtraError(
        'ailf.workers needs the package celery: install it with pip install "ailf[celery]".', name=missing.name
    ) from missing

from ailf.workers.remote import run_celery

__all__ = ["run_celery"]
