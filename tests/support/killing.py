"""Kill a process at each of its system calls in turn: what a power cut or the kernel may do at any instant.

for _ in killed_at_each_call(lambda: move(file)):
    assert file.exists() or moved.exists()

The work is done in a forked child that is traced (ptrace(2)) and killed before its first system call, then before its
second, and so on until it comes to its end.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from typing import NoReturn

_TRACEME, _SYSCALL = 0, 24  # <sys/ptrace.h>

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long] * 4
_libc.ptrace.restype = ctypes.c_long


def killed_at_each_call(work: Callable[[], object]) -> Iterator[int]:
    """Yield after each kill how many stops came before it, and last after `work` came to its end.

    Raises `AssertionError` if `work` raises in the child.
    """
    for stops in count(1, 2):  # a call stops it before and after; after one is before the next
        ended = _killed_at(stops, work)
        yield stops
        if ended:
            return


def killed_at(stops: int, work: Callable[[], object]) -> None:
    """Do `work` in a child that is killed at its `stops`-th stop; each call stops it before and after."""
    assert not _killed_at(stops, work), "it came to its end first"


def _killed_at(stops: int, work: Callable[[], object]) -> bool:
    pid = os.fork()
    if pid == 0:
        _child(work)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSTOPPED(status), "the child cannot be traced"
    for _ in range(stops):
        _trace(_SYSCALL, pid)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            assert os.waitstatus_to_exitcode(status) == 0, "the work failed in the child"
            return True
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


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
