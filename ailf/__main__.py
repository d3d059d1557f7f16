"""The command ``ailf``, also ``python -m ailf``."""

import sys


def main() -> None:
    """Run the command; say what to install where its libraries are missing."""
    try:
        from ailf.cli.app import app  # noqa: PLC0415 - the libraries are an extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("ailf"):
            raise
        sys.exit(f"The command needs {error.name}, which is not installed: pip install 'ailf[cli]'")
    except KeyboardInterrupt:
        # Before the command itself could see to it; 128 and the number of SIGINT, as shells have it.
        sys.exit(130)
    app()


if __name__ == "__main__":
    main()
