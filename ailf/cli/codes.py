"""The exit codes of the command, which are part of the public API."""

NOTHING = 1
"""The exit code where nothing was found, or a task did not end well."""

USAGE = 2
"""The exit code where the command was not understood."""

JOURNAL_TROUBLE = 3
"""The exit code where the journal cannot be opened, read or written, or is damaged."""

OUTPUT_TROUBLE = 4
"""The exit code where what was found cannot be printed: a full disk, a closed output."""

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the number of SIGINT."""
