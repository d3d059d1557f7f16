"""The page: a journal in a browser, served by the command or mounted in an application.

Needs the extra ``web``: ``pip install "ailf[web]"``.

::

    from ailf.web import dashboard

    app.mount("/ops/tasks", dashboard(manager))
"""

from ailf.errors import MissingExtraError

try:
    import jinja2 as _jinja2  # noqa: F401  asked for here to say what is missing
    import sse_starlette as _sse  # noqa: F401
    import starlette as _starlette  # noqa: F401
except ModuleNotFoundError as missing:
    raise MissingExtraError(
        f'ailf.web needs the package {missing.name}: install it with pip install "ailf[web]".', name=missing.name
    ) from missing

from ailf.web.app import dashboard

__all__ = ["dashboard"]
