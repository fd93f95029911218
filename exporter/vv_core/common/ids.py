"""UUIDv7, which sorts by time (RFC 9562, section 5.7), and random numbers: ``uuid`` and ``random`` cost more."""

import os
import time


def uuid7_hex() -> str:
    """A new UUIDv7 as 32 hexadecimal digits: 48 bits of milliseconds, then 74 random bits."""
    random = int.from_bytes(os.urandom(10), "big")
    high = time.time_ns() // 1_000_000 << 16 | 0x7000 | random >> 68
    low = 0b10 << 62 | random & (1 << 62) - 1
    return f"{high << 64 | low:032x}"


def uuid7() -> str:
    """A new UUIDv7 in its usual form, with hyphens."""
    digits = uuid7_hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def random_fraction() -> float:
    """As ``random.random``: at least 0, below 1. Forked children do not draw the same numbers."""
    return int.from_bytes(os.urandom(7), "big") / (1 << 56)
