"""Waiting for a condition instead of sleeping for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 0.25
"""Seconds between two looks."""
PAUSE_OF_WAITED = 1 / 8
"""So much of what was waited is waited once more: who waits long must not take the processor from what it waits for."""


def wait_until(condition: Callable[[], T], timeout: float = 30.0, *, what: str = "the condition") -> T:
    """Call `condition` until it returns something true, and return that.

    Raises `AssertionError`, naming `what` and the last value, after `timeout` seconds. An exception of
    `condition` counts as "not yet", and is shown if time runs out.
    """
    began = time.monotonic()
    last: object = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except Exception as error:
            last = error
        waited = time.monotonic() - began
        if waited >= timeout:
            raise AssertionError(f"{what} did not come within {timeout:g} s; last seen: {last!r}")
        time.sleep(min(LONGEST_PAUSE, max(SHORTEST_PAUSE, waited * PAUSE_OF_WAITED)))
