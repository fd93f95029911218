"""Waiting for a condition instead of sleeping for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout: float = 30.0, *, what: str = "the condition") -> T:
    """Call `condition` until it returns something true, and return that.

    Raises `AssertionError`, naming `what` and the last value, after `timeout` seconds. An exception of
    `condition` counts as "not yet", and is shown if time runs out.
    """
    end = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except Exception as error:
            last = error
        if time.monotonic() >= end:
            raise AssertionError(f"{what} did not come within {timeout:g} s; last seen: {last!r}")
        time.sleep(0.02)
