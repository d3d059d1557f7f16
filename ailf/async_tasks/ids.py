"""The ids of tasks."""

import os
import time


def new_id() -> str:
    """A new id: a UUID of version 7 (RFC 9562, section 5.7), random but for the time at its front.

    Ids that rise with time keep the journal's index of them compact: a new one goes to its end.
    """
    random = int.from_bytes(os.urandom(10))
    number = time.time_ns() // 1_000_000 << 80 | random
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
