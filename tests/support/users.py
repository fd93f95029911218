"""Becoming other users, by number: no account is made. Needs root."""

from __future__ import annotations

import contextlib
import ctypes
import encodings.ascii
import hashlib
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vv_core import alerter, jobs, quarantine
from vv_core.common import flatjson, units
from vv_exporter.cli import cron

LATER = (ctypes, encodings.ascii, hashlib, json, flatjson, units, alerter, jobs, quarantine, cron)
"""What the product loads when it needs it: here before, for other users may not read this installation."""


@contextlib.contextmanager
def passable_folder() -> Iterator[Path]:
    """A folder that every user may pass, unlike pytest's own; its name is short, as a socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="vv-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


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


@contextlib.contextmanager
def as_a_process(action: Callable[[], object], uid: int, gid: int, groups: Sequence[int] = ()) -> Iterator[None]:
    """Have a forked process of this user do `action` meanwhile; it is killed at the end."""
    child = os.fork()
    if child == 0:
        try:
            as_user(uid, gid, groups)
            action()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
