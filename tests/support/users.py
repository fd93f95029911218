"""Becoming other users, by number: no account is made. Needs root."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence


def as_user(uid: int, gid: int, groups: Sequence[int] = ()) -> None:
    """Become this user for good: for a child process."""
    os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def in_child(action: Callable[[], object], uid: int, gid: int, groups: Sequence[int] = ()) -> bool:
    """Whether `action`, done by a forked process of this user, raises nothing; what it raises goes to stderr."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            as_user(uid, gid, groups)
            action()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
