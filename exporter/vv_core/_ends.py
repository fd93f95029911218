"""How a process ends in an orderly way, and who says so before it: what goes without a word counts as crashed.

Orderly are the end of the script, `sys.exit`, `os._exit` and an ``exec``, which replaces the program. Nothing can be
said of a kill, nor of a signal that nothing handles: the journal's lock is there for these.
"""

from __future__ import annotations

import atexit
import os
import sys
from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Word = Callable[[], object]

# What `atexit` does not know of. The other functions of `os` that replace the program call these.
_CALLS = ("_exit", "execv", "execve")

_open: dict[object, tuple[Word, Word | None]] = {}
_failed = False


def opened(key: object, end: Word, again: Word | None = None) -> None:
    """Have `end` called before this process ends; and `again`, if the program could not be replaced after all."""
    for name in _CALLS:
        call = getattr(os, name)
        if not hasattr(call, "_vv_announced"):
            setattr(os, name, _announce_ends(call))
    _open[key] = (end, again)


def closed(key: object) -> Word | None:
    """What says its end, if it was open: it is the caller's to say now."""
    end, _ = _open.pop(key, (None, None))
    return end


def fail() -> None:
    """Note that this process is about to end for an exception."""
    global _failed
    _failed = True


def is_failing() -> bool:
    """Whether an exception ends this process, which nothing handled but the last resort."""
    return _failed or isinstance(getattr(sys, "last_value", None), Exception)


def say_all() -> list[Word]:
    """Say the end of all that is open. Gives what says that it goes on, if it does. Raises nothing."""
    said = []
    while _open:
        try:
            _, (end, again) = _open.popitem()
            end()
            if again is not None:
                said.append(again)
        except Exception:  # noqa: S112 - the others are still to be said
            continue
    return said


def _announce_ends(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def announced(*args: Any, **kwargs: Any) -> Any:
        said = say_all()
        try:
            return call(*args, **kwargs)
        finally:  # there was no such program
            for again in said:
                again()

    announced._vv_announced = True  # type: ignore[attr-defined]
    return announced


atexit.register(say_all)
# What is open in the parent is the parent's to end.
os.register_at_fork(after_in_child=_open.clear)
