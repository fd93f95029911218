"""Let the n-th write of a piece of work fail, and all after it, until there is room again: for every n.

    assert fail_each_write(prepare, errno.ENOSPC) > 10

The work that `prepare` gives is done in a forked child that is traced (ptrace(2)). It gets a function that ends the
outage, calls it when it has seen the outage through, and then checks what must be true: what it raises fails the test.
System calls that change a file system fail with the error, except on descriptors 0 to 2. As on a real disk, the write
at which it becomes full is cut short.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
from collections.abc import Callable
from itertools import count
from typing import NoReturn

import pytest

_TRACEME, _PEEKUSER, _POKEUSER, _SYSCALL, _SETOPTIONS = 0, 3, 6, 24, 0x4200  # <sys/ptrace.h>
_SYSGOOD, _EXITKILL = 1, 1 << 20
_WORD = 8
_RDX, _RSI, _RDI, _RAX, _ORIG_RAX = 12 * _WORD, 13 * _WORD, 14 * _WORD, 10 * _WORD, 15 * _WORD  # <sys/user.h>
_WRITE, _PWRITE, _OPEN, _OPENAT, _KILL = 1, 18, 2, 257, 62  # <asm/unistd_64.h>, as those below
_ON_DESCRIPTORS = frozenset({_WRITE, _PWRITE, 20, 74, 75, 77, 285, 296, 328})  # writev fsync fdatasync ftruncate …
_ON_PATHS = frozenset({82, 83, 84, 85, 86, 87, 88, 258, 263, 264, 265, 266, 316})  # rename mkdir … unlink symlink …
_NEEDS_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_FREES = frozenset({74, 75, 84, 87, 263})  # of these, what a full disk refuses to nobody
_CREATES = os.O_CREAT | os.O_WRONLY | os.O_RDWR
_MASK = (1 << 64) - 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long] * 4
_libc.ptrace.restype = ctypes.c_long

Work = Callable[[Callable[[], None]], object]


def fail_each_write(prepare: Callable[[], Work], error: int, first: int = 1, step: int = 1) -> int:
    """Do the work again and again, the `first` write failing first, then each `step`-th until none is left to fail.

    Gives how many writes there were at most. Raises `AssertionError` if the work raises in the child, whose trace is on
    stderr.
    """
    if platform.machine() != "x86_64":
        pytest.skip("system calls are made to fail on x86_64 only")
    for number in count(first, step):
        if not _failed_at(number, prepare(), error):
            return number - 1
    raise AssertionError("unreachable")


def _failed_at(number: int, work: Work, error: int) -> bool:
    """Whether there was an n-th write."""
    pid = os.fork()
    if pid == 0:
        _child(work)
    os.waitpid(pid, 0)
    _ptrace(_SETOPTIONS, pid, 0, _SYSGOOD | _EXITKILL)
    outage = _Outage(pid, number, error)
    passed_on = 0
    while True:
        _ptrace(_SYSCALL, pid, 0, passed_on)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            assert os.waitstatus_to_exitcode(status) == 0, f"with write {number} failing ({os.strerror(error)})"
            return outage.writes >= number
        passed_on = 0
        if os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
            outage.stop()
        else:
            passed_on = os.WSTOPSIG(status)


class _Outage:
    """Sees each system call twice: before, when it may be prevented, and after, when it is told why."""

    def __init__(self, pid: int, number: int, error: int) -> None:
        self._pid = pid
        self._number = number
        self._error = error
        self._inside = False
        self._prevented = False
        self._over = False
        self.writes = 0

    def stop(self) -> None:
        self._inside = not self._inside
        if not self._inside:
            if self._prevented:
                _ptrace(_POKEUSER, self._pid, _RAX, -self._error & _MASK)
            self._prevented = False
            return
        call = self._peek(_ORIG_RAX)
        if call == _KILL and self._peek(_RSI) == 0:
            self._over = True
        if self._over or not self._is_write(call):
            return
        self.writes += 1
        if self.writes < self._number:
            return
        becomes_full = self.writes == self._number and self._error in _NEEDS_ROOM
        if becomes_full and call in (_WRITE, _PWRITE) and (length := self._peek(_RDX)) > 1:
            _ptrace(_POKEUSER, self._pid, _RDX, length // 2)
            return
        _ptrace(_POKEUSER, self._pid, _ORIG_RAX, _MASK)
        self._prevented = True

    def _is_write(self, call: int) -> bool:
        if self._error in _NEEDS_ROOM and call in _FREES:
            return False
        if call in _ON_DESCRIPTORS:
            return self._peek(_RDI) > 2
        if call in (_OPEN, _OPENAT):
            return bool(self._peek(_RSI if call == _OPEN else _RDX) & _CREATES)
        return call in _ON_PATHS

    def _peek(self, offset: int) -> int:
        ctypes.set_errno(0)
        word = int(_libc.ptrace(_PEEKUSER, self._pid, offset, 0))
        if word == -1 and ctypes.get_errno():
            _raise()
        return word & _MASK


def _child(work: Work) -> NoReturn:
    code = 1
    try:
        _ptrace(_TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        work(lambda: os.kill(os.getpid(), 0))
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> None:
    if _libc.ptrace(request, pid, address, ctypes.c_long(data).value) == -1:
        _raise()


def _raise() -> NoReturn:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))
