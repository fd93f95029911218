"""Kill a process at each of its system calls in turn: what a power cut or the kernel may do at any instant.

for _ in killed_at_each_call(lambda: move(file)):
    assert file.exists() or moved.exists()

The work is done in a forked child that is traced (ptrace(2)) and killed before its first system call, then before its
second, and so on until it comes to its end. Before a call that leaves nothing behind (it only asks, or takes a lock,
which ends with the process) it is not killed: what it leaves then is what it leaves at the next call.
"""

import ctypes
import os
import platform
import signal
from collections.abc import Callable, Iterator
from itertools import count
from typing import NoReturn

_TRACEME, _PEEKUSER, _SYSCALL = 0, 3, 24  # <sys/ptrace.h>
_ORIG_RAX = 15 * 8  # <sys/user.h>
_LEAVE_NOTHING = frozenset(
    {
        *(0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, 21, 24, 28, 39, 72, 73, 79, 89),  # read close … flock
        *(99, 102, 104, 107, 108, 137, 138, 186, 202, 217, 228, 262, 267, 281, 302, 318, 332, 334),  # getuid … rseq
    }
)
"""Numbers on x86-64 (<asm/unistd_64.h>); elsewhere each call is taken to leave something behind."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long] * 4
_libc.ptrace.restype = ctypes.c_long


def killed_at_each_call(work: Callable[[], object]) -> Iterator[int]:
    """Yield after each kill before which call it was (of those that leave something), and last after `work`'s end.

    Raises `AssertionError` if `work` raises in the child.
    """
    for calls in count(1):
        ended = _killed_at(calls, work)
        yield calls
        if ended:
            return


def killed_at(call: int, work: Callable[[], object]) -> None:
    """Do `work` in a child that is killed before its n-th call that would leave something behind."""
    assert not _killed_at(call, work), "it came to its end first"


def _killed_at(call: int, work: Callable[[], object]) -> bool:
    pid = os.fork()
    if pid == 0:
        _child(work)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSTOPPED(status), "the child cannot be traced"
    calls = 0
    while calls < call:
        if not _runs_to_stop(pid):  # before a call
            return True
        calls += _leaves_something(pid)
        if calls < call and not _runs_to_stop(pid):  # after it
            return True
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def _runs_to_stop(pid: int) -> bool:
    """Let it run to its next stop; False if it came to its end."""
    _trace(_SYSCALL, pid)
    _, status = os.waitpid(pid, 0)
    if os.WIFSTOPPED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the work failed in the child"
    return False


def _leaves_something(pid: int) -> bool:
    if platform.machine() != "x86_64":
        return True
    return _libc.ptrace(_PEEKUSER, pid, _ORIG_RAX, 0) not in _LEAVE_NOTHING


def _child(work: Callable[[], object]) -> NoReturn:
    code = 1
    try:
        _trace(_TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _trace(request: int, pid: int) -> None:
    if _libc.ptrace(request, pid, 0, 0) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
