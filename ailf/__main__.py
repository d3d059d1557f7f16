"""The command ``ailf``, also ``python -m ailf``."""

import shlex
import sys


def _where_it_is() -> str:
    """The journal, for whoever has nothing but the sqlite3 shell."""
    from ailf.async_tasks.journal.form import journal_path  # noqa: PLC0415
    from ailf.errors import AilfError  # noqa: PLC0415

    try:
        path = journal_path()
    except AilfError as error:
        return str(error)
    if not path.exists():
        return f"The journal would be {path}, and is not there yet."
    query = shlex.quote("select * from task_history limit 20")
    return f"The journal is {path}: sqlite3 {shlex.quote(str(path))} {query}"


def main() -> None:
    """Run the command; say what to install where its libraries are missing."""
    try:
        from ailf.cli.app import app  # noqa: PLC0415 - the libraries are an extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("ailf"):
            raise
        sys.exit(f"The command needs {error.name}, which is not installed: pip install 'ailf[cli]'\n{_where_it_is()}")
    except KeyboardInterrupt:
        # Before the command itself could see to it; 128 and the number of SIGINT, as shells have it.
        sys.exit(130)
    app()


if __name__ == "__main__":
    main()
