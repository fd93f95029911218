"""Records what programs do to a folder, call by call, as strace(1) would (ptrace(2), Linux 5.3 and newer).

def scenario(recorder: Recorder) -> None:
    recorder.run("-m", "vv_exporter", "alert", "CRITICAL", "No frames")

recording = record(tmp_path, scenario)

A call that changes something below the root is let through alone, so that the order of the operations is exact, also
between threads and processes. A call that would change something in a way that is not understood ends the recording.
"""

import ctypes
import multiprocessing
import os
import platform
import signal
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from tests.powercut.operations import (
    Made,
    Named,
    Node,
    Operation,
    Recording,
    Renamed,
    Resized,
    Said,
    Synced,
    SyncedAll,
    Unnamed,
    Wrote,
)

_CALLS = {
    "x86_64": {
        1: "write",
        18: "pwrite64",
        20: "writev",
        296: "pwritev",
        328: "pwritev2",
        40: "sendfile",
        326: "copy_file_range",
        285: "fallocate",
        76: "truncate",
        77: "ftruncate",
        2: "open",
        85: "creat",
        257: "openat",
        437: "openat2",
        82: "rename",
        264: "renameat",
        316: "renameat2",
        86: "link",
        265: "linkat",
        88: "symlink",
        266: "symlinkat",
        87: "unlink",
        263: "unlinkat",
        84: "rmdir",
        83: "mkdir",
        258: "mkdirat",
        74: "fsync",
        75: "fdatasync",
        162: "sync",
        306: "syncfs",
    },
    "aarch64": {
        64: "write",
        68: "pwrite64",
        66: "writev",
        70: "pwritev",
        287: "pwritev2",
        71: "sendfile",
        285: "copy_file_range",
        47: "fallocate",
        45: "truncate",
        46: "ftruncate",
        56: "openat",
        437: "openat2",
        38: "renameat",
        276: "renameat2",
        37: "linkat",
        36: "symlinkat",
        35: "unlinkat",
        34: "mkdirat",
        82: "fsync",
        83: "fdatasync",
        81: "sync",
        267: "syncfs",
    },
}
_NOT_UNDERSTOOD = ("writev", "pwritev", "pwritev2", "sendfile", "copy_file_range", "fallocate", "openat2", "truncate")

# <sys/ptrace.h>
_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100000  # SYSGOOD, FORK, VFORK, CLONE, EXEC, EXITKILL
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_ENTRY, _EXIT = 1, 2
_WALL = 0x40000000
_AT_FDCWD, _AT_REMOVEDIR, _RENAME_EXCHANGE = -100, 0x200, 2

_PATIENCE = 120.0  # seconds for a program or a condition
_PAUSE = 0.05  # until a condition is looked at again though no program does anything

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class _Info(ctypes.Structure):
    """struct ptrace_syscall_info, at a call's entry (`words`: its number and arguments) or exit (its result)."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("pointers", ctypes.c_uint64 * 2),
        ("words", ctypes.c_uint64 * 9),
    )


def record(root: Path, scenario: "Callable[[Recorder], None]") -> Recording:
    """Run the scenario in a process of its own, and give what its programs did below `root`. Raises what it raises."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_recorded, args=(sending, root, scenario))
    process.start()
    sending.close()
    try:
        result = receiving.recv()
    finally:
        process.join()
    if isinstance(result, BaseException):
        raise result
    assert isinstance(result, Recording)
    return result


def _recorded(sending: Any, root: Path, scenario: "Callable[[Recorder], None]") -> None:
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # it is waited for
        recorder = Recorder(root)
        scenario(recorder)
        recorder.finish()
        sending.send(recorder.recording())
    except BaseException as error:
        import traceback

        sending.send(AssertionError(f"the recording failed: {traceback.format_exc()}{error}"))


@dataclass
class Program:
    """A program that is recorded; `code` is its exit code once it has ended."""

    pid: int
    output: Path
    code: int | None = None


@dataclass
class _Call:
    """A call at its entry: its thread, name and arguments."""

    thread: int
    name: str
    arguments: list[int]


@dataclass
class Recorder:
    """Runs programs and writes down what they do below `root`."""

    root: Path
    operations: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root = self.root.resolve()
        self._calls = _CALLS[platform.machine()]
        self._programs: dict[int, Program] = {}
        self._outputs: dict[int, Program] = {}  # inode of an output → whose it is
        self._unsaid: dict[int, str] = {}
        self._numbers: dict[int, int] = {}  # inode → number
        self._next = 0
        self._nodes: list[Node] = []
        self._root = self._look(self.root)

    def python(self, *arguments: str, **environ: str) -> Program:
        """Start Python with these arguments; what it prints is heard."""
        output = self.root.parent / f"output-{len(self._programs)}"
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        pid = os.fork()
        if pid == 0:
            _become([sys.executable, *arguments], environ, descriptor)
        os.close(descriptor)
        program = self._programs[pid] = Program(pid, output)
        self._outputs[output.stat().st_ino] = program
        os.waitpid(pid, _WALL)
        _trace(_SETOPTIONS, pid, _OPTIONS)
        _trace(_SYSCALL, pid, 0)
        return program

    def run(self, *arguments: str, **environ: str) -> Program:
        """Run Python with these arguments to its end, which must be a success."""
        program = self.python(*arguments, **environ)
        self.wait(program)
        assert program.code == 0, f"exit code {program.code}: {program.output.read_text()[-3000:]}"
        return program

    def wait(self, program: Program) -> None:
        """Until it has ended."""
        self.until(lambda: program.code is not None, f"the end of {program}")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Let the programs run until the condition holds. Raises `AssertionError` after two minutes."""
        end = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < end, f"{what} did not come"
            if not self._step():
                signal.sigtimedwait({signal.SIGCHLD}, _PAUSE)

    def said(self, beginning: str) -> bool:
        """Whether a line with this beginning was printed."""
        return any(isinstance(one, Said) and one.line.startswith(beginning) for one in self.operations)

    def finish(self) -> None:
        """Kill what still runs."""
        for program in self._programs.values():
            if program.code is None:
                os.kill(program.pid, signal.SIGKILL)
                self.wait(program)

    def recording(self) -> Recording:
        """What was recorded."""
        return Recording(self._root, tuple(self._nodes), tuple(self.operations))

    def _look(self, path: Path) -> int:
        """Note what lies there, and all below."""
        number = self._number(path.lstat().st_ino, new=True)
        if path.is_symlink():
            self._nodes.append(Node(number, "link", target=str(path.readlink())))
        elif path.is_dir():
            entries = tuple((one.name, self._look(one)) for one in sorted(path.iterdir()))
            self._nodes.append(Node(number, "folder", entries=entries))
        else:
            self._nodes.append(Node(number, "file", path.read_bytes()))
        return number

    def _number(self, inode: int, *, new: bool = False) -> int:
        if new:
            self._next += 1
            self._numbers[inode] = self._next
        return self._numbers[inode]

    def _step(self) -> bool:
        """Deal with one stop of a thread. False if there was none."""
        try:
            thread, status = os.waitpid(-1, os.WNOHANG | _WALL)
        except ChildProcessError:
            return False
        if thread == 0:
            return False
        self._stopped(thread, status)
        return True

    def _stopped(self, thread: int, status: int) -> None:
        if not os.WIFSTOPPED(status):
            if thread in self._programs:
                self._programs[thread].code = os.waitstatus_to_exitcode(status)
            return
        number, event = os.WSTOPSIG(status), status >> 16
        if number == _SYSCALL_STOP:
            info = _info(thread)
            name = self._calls.get(info.words[0]) if info.op == _ENTRY else None
            if name is not None and not self._follow(_Call(thread, name, list(info.words[1:7]))):
                return
            _trace(_SYSCALL, thread, 0)
        elif event or number in (signal.SIGSTOP, signal.SIGTRAP):
            _trace(_SYSCALL, thread, 0)
        else:
            _trace(_SYSCALL, thread, number)

    def _follow(self, call: _Call) -> bool:
        """Let a call through if it concerns us, and write down what it did. False if its thread has ended."""
        note = _PREPARE[call.name](self, call)
        if note is None:
            return True
        if call.name in _NOT_UNDERSTOOD:
            raise AssertionError(f"{call.name} is not understood")
        _trace(_SYSCALL, call.thread, 0)
        while True:
            _, status = os.waitpid(call.thread, _WALL)
            if not os.WIFSTOPPED(status):
                self._stopped(call.thread, status)
                return False
            if os.WSTOPSIG(status) == _SYSCALL_STOP:
                break
            _trace(_SYSCALL, call.thread, os.WSTOPSIG(status))
        info = _info(call.thread)
        result = ctypes.c_int64(info.words[0]).value
        if result >= 0:
            note(result)
        return True

    # Of each call, what is to be noted once it has succeeded; None where it does not concern us.

    def _open(self, call: _Call) -> "Callable[[int], None] | None":
        at, name, flags = _shifted(call, "openat")[:3]
        if call.name == "creat":
            flags = os.O_CREAT | os.O_TRUNC
        if not flags & (os.O_CREAT | os.O_TRUNC):
            return None
        path = self._path(call.thread, at, name)
        if path is None:
            return None
        was_there = path.exists() or path.is_symlink()

        def note(descriptor: int) -> None:
            inode = _descriptor(call.thread, descriptor).stat().st_ino
            if not was_there:
                number = self._number(inode, new=True)
                self._add(Made(number, "file"), Named(self._folder(path), path.name, number))
            elif flags & os.O_TRUNC:
                self._add(Resized(self._number(inode), 0))

        return note

    def _write(self, call: _Call) -> "Callable[[int], None] | None":
        descriptor, address, _, offset = call.arguments[:4]
        inode = self._inode(call.thread, descriptor)
        if inode is None:
            return None

        def note(written: int) -> None:
            data = _memory(call.thread, address, written)
            if inode in self._outputs:
                self._hear(inode, data)
                return
            begins = offset if call.name == "pwrite64" else _position(call.thread, descriptor) - written
            self._add(Wrote(self._number(inode), begins, data))

        return note

    def _hear(self, inode: int, data: bytes) -> None:
        text = self._unsaid.pop(inode, "") + data.decode(errors="replace")
        *lines, self._unsaid[inode] = text.split("\n")
        self._add(*(Said(line) for line in lines))

    def _resize(self, call: _Call) -> "Callable[[int], None] | None":
        inode = self._inode(call.thread, call.arguments[0])
        if inode is None:
            return None
        return lambda _: self._add(Resized(self._number(inode), call.arguments[1]))

    def _sync(self, call: _Call) -> "Callable[[int], None] | None":
        inode = self._inode(call.thread, call.arguments[0])
        if inode is None or inode in self._outputs:
            return None
        return lambda _: self._add(Synced(self._number(inode)))

    def _sync_all(self, call: _Call) -> "Callable[[int], None] | None":
        return lambda _: self._add(SyncedAll())

    def _rename(self, call: _Call) -> "Callable[[int], None] | None":
        if call.name == "rename":
            call.arguments = [_cwd(), call.arguments[0], _cwd(), call.arguments[1], 0]
        source = self._path(call.thread, *call.arguments[:2])
        target = self._path(call.thread, *call.arguments[2:4])
        if source is None and target is None:
            return None
        assert source is not None, "something was moved in from outside"
        assert target is not None, "something was moved out"
        assert not (call.name == "renameat2" and call.arguments[4] & _RENAME_EXCHANGE), "an exchange is not understood"
        from_, to = self._folder(source), self._folder(target)
        number = self._number(source.lstat().st_ino) if source.exists() or source.is_symlink() else 0
        return lambda _: self._add(Renamed(from_, source.name, to, target.name, number))

    def _link(self, call: _Call) -> "Callable[[int], None] | None":
        if call.name == "link":
            call.arguments = [_cwd(), call.arguments[0], _cwd(), call.arguments[1]]
        source = self._path(call.thread, *call.arguments[:2])
        target = self._path(call.thread, *call.arguments[2:4])
        if source is None or target is None:
            return None
        return lambda _: self._add(Named(self._folder(target), target.name, self._number(target.lstat().st_ino)))

    def _symlink(self, call: _Call) -> "Callable[[int], None] | None":
        content, at, name = (
            (call.arguments[0], _cwd(), call.arguments[1]) if call.name == "symlink" else call.arguments[:3]
        )
        path = self._path(call.thread, at, name)
        if path is None:
            return None
        target = os.fsdecode(_text(call.thread, content))

        def note(_: int) -> None:
            number = self._number(path.lstat().st_ino, new=True)
            self._add(Made(number, "link", target), Named(self._folder(path), path.name, number))

        return note

    def _make_folder(self, call: _Call) -> "Callable[[int], None] | None":
        at, name = _shifted(call, "mkdirat")[:2]
        path = self._path(call.thread, at, name)
        if path is None:
            return None

        def note(_: int) -> None:
            number = self._number(path.stat().st_ino, new=True)
            self._add(Made(number, "folder"), Named(self._folder(path), path.name, number))

        return note

    def _unlink(self, call: _Call) -> "Callable[[int], None] | None":
        at, name = _shifted(call, "unlinkat")[:2]
        path = self._path(call.thread, at, name)
        if path is None:
            return None
        folder = self._folder(path)
        return lambda _: self._add(Unnamed(folder, path.name))

    def _add(self, *operations: Operation) -> None:
        self.operations += operations

    def _folder(self, path: Path) -> int:
        return self._number(path.parent.stat().st_ino)

    def _path(self, thread: int, at: int, address: int) -> Path | None:
        """The path that a call names, its folder without links; None outside the root."""
        name = Path(os.fsdecode(_text(thread, address)))
        if not name.is_absolute():
            here = ctypes.c_int32(at).value
            base = Path(f"/proc/{thread}/cwd") if here == _AT_FDCWD else _descriptor(thread, here)
            name = base.readlink() / name
        path = name.parent.resolve() / name.name
        return path if path.is_relative_to(self.root) else None

    def _inode(self, thread: int, descriptor: int) -> int | None:
        """Of an open file or folder below the root, or of an output."""
        link = _descriptor(thread, ctypes.c_int32(descriptor).value)
        try:
            leads_to = str(link.readlink())
            status = link.stat()
        except OSError:
            return None
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            return None
        inside = leads_to == str(self.root) or leads_to.startswith(f"{self.root}/")
        return status.st_ino if inside or status.st_ino in self._outputs else None


_PREPARE: "dict[str, Callable[[Recorder, _Call], Callable[[int], None] | None]]" = {
    **dict.fromkeys(("open", "creat", "openat", "openat2"), Recorder._open),
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile"), Recorder._write),
    **dict.fromkeys(("ftruncate", "fallocate"), Recorder._resize),
    **dict.fromkeys(("fsync", "fdatasync"), Recorder._sync),
    **dict.fromkeys(("sync", "syncfs"), Recorder._sync_all),
    **dict.fromkeys(("rename", "renameat", "renameat2"), Recorder._rename),
    **dict.fromkeys(("link", "linkat"), Recorder._link),
    **dict.fromkeys(("symlink", "symlinkat"), Recorder._symlink),
    **dict.fromkeys(("mkdir", "mkdirat"), Recorder._make_folder),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), Recorder._unlink),
    # What they write to is their second-last descriptor.
    "copy_file_range": lambda recorder, call: recorder._inode(call.thread, call.arguments[2]) and (lambda _: None),
    "truncate": lambda recorder, call: recorder._path(call.thread, _cwd(), call.arguments[0]) and (lambda _: None),
}


def _become(command: list[str], environ: dict[str, str], output: int) -> NoReturn:
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _trace(_TRACEME, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        os.execve(command[0], command, environ)
    finally:
        os._exit(127)


def _shifted(call: _Call, name: str) -> list[int]:
    """The arguments of a call that names a path, with the folder that it begins at first."""
    return call.arguments if call.name == name else [_cwd(), *call.arguments]


def _cwd() -> int:
    return _AT_FDCWD & 0xFFFFFFFF


def _descriptor(thread: int, number: int) -> Path:
    return Path(f"/proc/{thread}/fd/{number}")


def _position(thread: int, descriptor: int) -> int:
    return int(Path(f"/proc/{thread}/fdinfo/{descriptor}").read_text().split()[1])


def _memory(thread: int, address: int, size: int) -> bytes:
    with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
        return os.pread(memory.fileno(), size, address)


def _text(thread: int, address: int) -> bytes:
    """Up to its NUL; page by page, for the next one may not be there."""
    found = b""
    while b"\0" not in found:
        found += _memory(thread, address + len(found), 4096 - (address + len(found)) % 4096)
    return found.partition(b"\0")[0]


def _info(thread: int) -> _Info:
    info = _Info()
    if _libc.ptrace(_GET_SYSCALL_INFO, thread, ctypes.sizeof(info), ctypes.addressof(info)) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)}; Linux 5.3 is needed")
    return info


def _trace(request: int, thread: int, data: int) -> None:
    if _libc.ptrace(request, thread, 0, data) == -1:
        number = ctypes.get_errno()
        if number != 3:  # ESRCH: it was killed meanwhile
            raise OSError(number, os.strerror(number))
