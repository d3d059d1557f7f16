"""The ids of tasks."""

import os
import random
import time

_random = random.Random()  # noqa: S311 - ids have to differ, not to be secret

if hasattr(os, "register_at_fork"):
    # A forked child would go through the same numbers as its parent.
    os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """A new id: a UUID of version 7 (RFC 9562, section 5.7), random but for the time at its front.

    Ids that rise with time keep the journal's index of them compact: a new one goes to its end.
    """
    digits = f"{time.time_ns() // 1_000_000:012x}{_random.getrandbits(76):019x}"
    # The version, 7, comes before the 13th digit; the variant, binary 10, is the top of the 17th.
    variant = "89ab"[int(digits[15], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[12:15]}-{variant}{digits[16:19]}-{digits[19:31]}"
