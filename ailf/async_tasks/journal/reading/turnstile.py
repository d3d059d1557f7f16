"""Who reads at the moment, so that all connections can be closed and opened anew; without a lock."""

import time

from ailf.errors import JournalError

PATIENCE_SECONDS = 2.0
"""How long a read waits for a journal that is being opened anew, and how long that waits for the reads."""

LOOK_SECONDS = 0.001
"""How often whoever waits here looks: there is no lock, and so nothing that could wake it."""


class Turnstile:
    """Counts who is inside, and can be shut.

    No locks: a read may come from anywhere, the garbage collector included, in the middle of another one.
    """

    def __init__(self) -> None:
        self._inside: list[None] = []
        self.is_shut = False

    def enter(self) -> None:
        """Go in; wait where it is shut.

        Raises:
            JournalError: it stays shut.
        """
        until = time.monotonic() + PATIENCE_SECONDS if self.is_shut else None
        while not self.try_to_enter():
            if until is not None and time.monotonic() > until:
                raise JournalError("The journal cannot be read: its log was taken away, and it is being opened anew.")
            until = until or time.monotonic() + PATIENCE_SECONDS
            time.sleep(LOOK_SECONDS)

    def try_to_enter(self) -> bool:
        """Go in, unless it is shut."""
        # First inside, then the look: whoever shuts it looks the other way round.
        self._inside.append(None)
        if self.is_shut:
            self._inside.pop()
            return False
        return True

    def leave(self) -> None:
        """Go out."""
        self._inside.pop()

    def shut(self) -> bool:
        """Let nobody in any more, and wait until nobody is inside; if that takes too long, open again.

        Returns:
            Whether it is shut and empty.
        """
        self.is_shut = True
        until = time.monotonic() + PATIENCE_SECONDS
        while self._inside:
            if time.monotonic() > until:
                self.is_shut = False
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def open(self) -> None:
        """Let them in again."""
        self.is_shut = False
