"""A job under `vv cron` is as it is without: each is run both ways by the same parent, and asked what it sees."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tests.unit.core.conftest import State
from tests.unit.core.test_commands import VV

WRAPPER = (VV, "cron", "--job", "j", "--")
BOTH_WAYS = pytest.mark.parametrize("wrapper", [(), WRAPPER], ids=["alone", "vv cron"])

FACTS = r"""
import json, os, resource, stat, sys
out, given = sys.argv[1], sys.stdin.read() if sys.argv[2] == "read" else ""
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
pid, parent = os.getpid(), os.getppid()
def kind(fd):
    try:
        return stat.S_IFMT(os.fstat(fd).st_mode)
    except OSError:
        return None
def terminal():
    try:
        fd = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return None
    return os.tcgetpgrp(fd) == os.getpgrp()
facts = {
    "arguments": sys.argv[3:],
    "input": given,
    "leader of session, group": (os.getsid(0) == pid, os.getpgrp() == pid),
    "in the caller's session, group": (
        os.getsid(0) == int(os.environ["PARENT_SESSION"]), os.getpgrp() == int(os.environ["PARENT_GROUP"])
    ),
    "terminal, and whether in its foreground": terminal(),
    "nice": os.nice(0),
    "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name[:7] == "RLIMIT_"},
    "umask": oct(os.umask(0)),
    "folder": os.getcwd(),
    "environment": sorted(item for item in open("/proc/self/environ").read().split("\0") if item[:2] != "_="),
    "descriptors": {fd: kind(int(fd)) for fd in os.listdir("/proc/self/fd") if kind(int(fd))},
    # Without 32 and 33, which are the C library's own: its posix_spawn(3) ignores them.
    "signals blocked, ignored": [f"{int(status[name], 16) & ~(3 << 31):x}" for name in ("SigBlk", "SigIgn")],
    "processors": sorted(os.sched_getaffinity(0)),
    "scheduler": (os.sched_getscheduler(0), open("/proc/self/oom_score_adj").read()),
    "control group": open("/proc/self/cgroup").read(),
    "user and groups": (os.getresuid(), os.getresgid(), os.getgroups()),
}
with open(out + "~", "w") as file:
    json.dump(facts, file)
os.rename(out + "~", out)
"""


def leads_a_session() -> None:
    os.setsid()


def has_a_terminal() -> None:
    os.setsid()
    fcntl.ioctl(os.open(os.environ["TEST_TERMINAL"], os.O_RDWR), termios.TIOCSCTTY, 0)


def is_in_the_background_of_a_terminal() -> None:
    has_a_terminal()
    child = os.fork()
    if child == 0:
        signal.pause()
    os.setpgid(child, child)
    os.tcsetpgrp(os.open("/dev/tty", os.O_RDWR), child)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def is_nice_and_limited() -> None:
    os.setsid()
    os.nice(7)
    os.umask(0o137)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name, value in ((resource.RLIMIT_NOFILE, 77), (resource.RLIMIT_CPU, 1234), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(name, (value, value))


def ignores_and_blocks() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGRTMIN + 3})


def has_a_child_of_nobody() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def has_no_input() -> None:
    os.close(0)


PARENTS: Mapping[str, Callable[[], object]] = {
    "a script": lambda: None,
    "cron": leads_a_session,
    "a shell's job": lambda: os.setpgid(0, 0),
    "a terminal": has_a_terminal,
    "a terminal's background": is_in_the_background_of_a_terminal,
    "nice, with limits": is_nice_and_limited,
    "nohup": ignores_and_blocks,
    "no input": has_no_input,
}


def facts(
    tmp_path: Path, wrapper: tuple[str, ...], parent: Callable[[], object], environment: Mapping[str, str]
) -> dict[str, Any]:
    """What a job sees under this parent."""
    out, script = tmp_path / f"facts-{len(wrapper)}", tmp_path / "facts.py"
    script.write_text(FACTS)
    inherited = os.open("/dev/null", os.O_RDONLY)
    given = "read" if parent is not has_no_input else ""
    terminal, name = pty.openpty()
    hidden = dict(environment, PARENT_SESSION=str(os.getsid(0)), PARENT_GROUP=str(os.getpgrp()))
    os.environ["TEST_TERMINAL"] = os.ttyname(name)
    try:
        subprocess.run(
            [*wrapper, sys.executable, "-I", "-S", str(script), str(out), given, "a b", "", "--job", "*"],
            input=b"what it reads\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env=hidden,
            pass_fds=[inherited],
            preexec_fn=parent,
            check=False,
            timeout=60,
        )
    finally:
        for descriptor in (inherited, terminal, name):
            os.close(descriptor)
    wait_until(out.exists, 60)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


WITH_A_TERMINAL = {"a terminal", "a terminal's background"}
"""Who leads the session that has it is the only one who can; then the wrapper does."""
LOCALES = {"none, as under cron": {"PATH": "/usr/bin:/bin"}, "chosen": {**os.environ, "LC_CTYPE": "C", "EMPTY": ""}}


@pytest.mark.real_kernel
@pytest.mark.parametrize(
    ("parent", "locale"), [*((parent, "none, as under cron") for parent in PARENTS), ("a script", "chosen")]
)
def test_what_a_job_sees(state: State, tmp_path: Path, parent: str, locale: str) -> None:
    environment = {**LOCALES[locale], "VV_STATE_DIR": str(state.folder)}
    alone, wrapped = (facts(tmp_path, wrapper, PARENTS[parent], environment) for wrapper in ((), WRAPPER))
    if parent in WITH_A_TERMINAL:
        alone.pop("leader of session, group")

    assert {key: (alone[key], wrapped[key]) for key in alone if wrapped[key] != alone[key]} == {}


EXITS = {
    "success": "exit 0",
    "failure": "exit 3",
    "the highest code": "exit 255",
    "killed": "kill -KILL $$",
    "ended": "kill -TERM $$",
    "interrupted": "kill -INT $$",
    "a signal of one's own": "kill -USR1 $$",
    "real time": "kill -RTMIN $$",
    "a pipe that breaks": "kill -PIPE $$",
    "aborted": "ulimit -c 0; kill -ABRT $$",
    "input": 'read line; test "$line" = hello && exit 9',
}
FILES = {
    "not there": None,
    "not executable": (0o644, b"#!/bin/sh\nexit 5\n"),
    "a script": (0o755, b"#!/bin/sh\nexit 5\n"),
    "a script that does not say what runs it": (0o755, b"test \"$1\" = 'a b' && exit 6\n"),
    "an interpreter that is not there": (0o755, b"#!/no/such/shell\n"),
    "no program": (0o755, b"\x7fELF\0\0\0\0"),
}


def shell_code(command: str, **options: Any) -> int:
    """What a shell has in `$?`, as cron's has."""
    script = f"{command}\nprintf 'code %s' $?"
    run = subprocess.run(
        ["bash", "-c", script], input=b"hello\n", capture_output=True, start_new_session=True, check=False, **options
    )
    found = re.search(rb"code (\d+)$", run.stdout)
    assert found, run
    return int(found[1])


@pytest.mark.parametrize("name", EXITS)
@pytest.mark.parametrize("parent", [None, has_a_child_of_nobody])
def test_exit_codes(state: State, name: str, parent: Callable[[], object] | None) -> None:
    job = f"bash -c '{EXITS[name]}'"

    assert shell_code(f"{' '.join(WRAPPER)} {job}", preexec_fn=parent) == shell_code(job)


@pytest.mark.real_kernel
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("by_path", [False, True])
def test_exit_codes_of_what_can_hardly_be_executed(state: State, tmp_path: Path, name: str, by_path: bool) -> None:
    file = FILES[name]
    if file:
        (tmp_path / "job").write_bytes(file[1])
        (tmp_path / "job").chmod(file[0])
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    job = f"{tmp_path / 'job' if by_path else 'job'} 'a b'"

    wrapped = shell_code(f"{' '.join(WRAPPER)} {job}", env=environment)
    assert wrapped == shell_code(job, env=environment) or (
        # bash says 126, dash, which is cron's, 127.
        name == "an interpreter that is not there" and wrapped == 127
    )


LISTENER = r"""
import os, signal, sys
own = {"SIGKILL", "SIGSTOP", "SIGTSTP", "SIGCONT", "SIGCHLD"}
came = []
def tell(number, frame):
    with open(sys.argv[1], "a") as file:
        print(number, file=file)
for number in signal.valid_signals():
    if getattr(number, "name", "") not in own:
        signal.signal(number, tell)
open(sys.argv[1], "a").close()
while True:
    signal.pause()
"""
NOT_FORWARDED = {
    "SIGKILL", "SIGSTOP", "SIGTSTP", "SIGCONT", "SIGCHLD", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS",
    "SIGABRT", "SIGPIPE", "SIGTTIN", "SIGTTOU", "SIGXCPU", "SIGXFSZ",
}  # fmt: skip


@contextlib.contextmanager
def job(*command: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


@pytest.mark.real_kernel
@pytest.mark.parametrize("options", [{}, {"start_new_session": True}, {"process_group": 0}], ids=str)
def test_signals_that_one_can_listen_to_arrive_once(state: State, tmp_path: Path, options: dict[str, Any]) -> None:
    came = tmp_path / "came"
    numbers = [int(n) for n in signal.valid_signals() if getattr(n, "name", "") not in NOT_FORWARDED]
    with job(*WRAPPER, sys.executable, "-c", LISTENER, str(came), **options) as wrapper:
        wait_until(came.exists, 60)
        for place, number in enumerate(numbers, 1):
            wrapper.send_signal(number)
            wait_until(lambda place=place: came.read_text().count("\n") >= place, 60)  # type: ignore[misc]
        child = int(Path(f"/proc/{wrapper.pid}/task/{wrapper.pid}/children").read_text())
        os.kill(child, signal.SIGKILL)
        assert wrapper.wait(60) == 137
    assert list(map(int, came.read_text().split())) == numbers


@BOTH_WAYS
def test_a_job_is_stopped_and_goes_on(state: State, tmp_path: Path, wrapper: tuple[str, ...]) -> None:
    pid = tmp_path / "pid"
    script = f"echo $$ > {pid}~; mv {pid}~ {pid}; exec sleep 300"
    with job(*wrapper, "sh", "-c", script, process_group=0) as process:
        wait_until(pid.exists, 60)
        for number, state_ in ((signal.SIGTSTP, "T"), (signal.SIGCONT, "SRD")) * 300:
            process.send_signal(number)
            for one in (process.pid, int(pid.read_text())):
                wait_until(lambda one=one, state_=state_: state_of(one) in state_, 60)  # type: ignore[misc]


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@BOTH_WAYS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_ends_the_group_of_a_caller_ends_the_job(
    state: State, tmp_path: Path, wrapper: tuple[str, ...], number: signal.Signals
) -> None:
    pid = tmp_path / "pid"
    caller = subprocess.Popen(
        ["bash", "-c", '"$@"; true', "caller", *wrapper, "sh", "-c", f"echo $$ > {pid}~; mv {pid}~ {pid}; sleep 300"],
        process_group=0,
        stderr=subprocess.DEVNULL,
    )
    wait_until(pid.exists, 60)
    os.killpg(caller.pid, number)
    caller.wait(60)

    wait_until(lambda: ended(int(pid.read_text())), 60)


def ended(pid: int) -> bool:
    try:
        return state_of(pid) == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@BOTH_WAYS
def test_a_job_may_end_all_of_its_own_group(state: State, tmp_path: Path, wrapper: tuple[str, ...]) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 300 & echo $! > {pid}; trap '' TERM; kill -TERM -- -$$; exit 4"
    run = subprocess.run(
        [*wrapper, "bash", "-c", script], start_new_session=True, check=False, timeout=60, stderr=subprocess.DEVNULL
    )

    assert run.returncode == 4
    wait_until(lambda: ended(int(pid.read_text())), 60)


DAEMON = r"""
import os, sys, time
told, go_on = sys.argv[1:]
while not os.path.exists(go_on):
    time.sleep(0.02)
for n in range(5000):  # more than a pipe holds
    print("a line that nobody may want to read any more", n, flush=True)
    print("and one of those", n, file=sys.stderr, flush=True)
open(told, "w").close()
"""


class Daemon:
    """Left in the background by a job; it prints once it is told to, and says when it could."""

    def __init__(self, folder: Path) -> None:
        self.done, self._go_on = folder / "done", folder / "go-on"
        (folder / "daemon.py").write_text(DAEMON)
        self.begin = f"{sys.executable} {folder}/daemon.py {self.done} {self._go_on} &"

    def prints(self) -> None:
        self._go_on.touch()
        wait_until(self.done.exists, 60)


@BOTH_WAYS
@pytest.mark.parametrize("how", ["0", "3"])
def test_what_a_job_leaves_in_the_background_lives_on(
    state: State, tmp_path: Path, wrapper: tuple[str, ...], how: str
) -> None:
    daemon = Daemon(tmp_path)
    with (tmp_path / "mail").open("wb") as mail:  # without the wrapper, cron's pipe
        run = subprocess.run(
            [*wrapper, "sh", "-c", f"echo before; {daemon.begin} exit {how}"],
            stdout=mail,
            stderr=mail,
            start_new_session=True,
            check=False,
            timeout=60,
        )
    assert run.returncode == int(how)
    daemon.prints()


def test_a_job_lives_on_when_its_wrapper_is_killed(state: State, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    wrapper = subprocess.Popen([*WRAPPER, "sh", "-c", f"{daemon.begin} wait"], start_new_session=True)
    wait_until(lambda: state.events("job.started"), 60)
    wait_until(lambda: Path(f"/proc/{wrapper.pid}/task/{wrapper.pid}/children").read_text(), 60)
    wrapper.kill()
    wrapper.wait(60)

    daemon.prints()


@pytest.mark.real_kernel
def test_nobody_stays_behind(state: State) -> None:
    """Whoever reads on for those in the background ends with the last of them."""
    before = readers()
    run = subprocess.run([*WRAPPER, "sh", "-c", "sleep 300 & echo $!; exit 1"], capture_output=True, check=False)
    left = wait_until(lambda: readers() - before, 60)
    os.kill(int(run.stdout), signal.SIGKILL)

    wait_until(lambda: not left & readers(), 60)


def readers() -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == b"cat\0":
                found.add(int(path.parent.name))
    return found


def test_a_job_in_the_foreground_of_a_terminal_hears_ctrl_c_once(state: State, tmp_path: Path) -> None:
    came = tmp_path / "came"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(WRAPPER[0], [*WRAPPER, sys.executable, "-c", LISTENER, str(came)])
    try:
        wait_until(came.exists, 60)
        os.write(terminal, b"\x03")
        wait_until(lambda: came.read_text().count("\n") >= 1, 60)
        os.kill(pid, signal.SIGUSR1)
        wait_until(lambda: came.read_text().count(f"{int(signal.SIGUSR1)}\n") == 1, 60)
        assert came.read_text().split() == [str(int(signal.SIGINT)), str(int(signal.SIGUSR1))]
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        os.kill(int(children), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                os.read(terminal, 4096)
    finally:
        os.close(terminal)


EARLY = """
import os, signal, subprocess, sys
from vv_exporter.reporting.cron_command import Command, Place, Signals

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

with Signals() as signals:
    if sys.argv[1] == "before":
        interrupt()
    with subprocess.Popen(["sleep", "600"]) as process:
        if sys.argv[1] == "behind":
            interrupt()
        signals.to(Command(process, Place[sys.argv[2]]))
        try:
            print(process.wait(0.5))
        except subprocess.TimeoutExpired:
            print("not heard from here")
            process.kill()
"""


@pytest.mark.parametrize(
    ("moment", "place", "told"),
    [
        ("before", "TERMINAL", str(-signal.SIGINT)),
        ("before", "SHARED", str(-signal.SIGINT)),
        ("behind", "TERMINAL", "not heard from here"),  # but from the terminal
        ("behind", "SHARED", str(-signal.SIGINT)),
    ],
)
def test_what_comes_while_a_job_is_started_reaches_it_once(moment: str, place: str, told: str) -> None:
    done = subprocess.run([sys.executable, "-c", EARLY, moment, place], capture_output=True, text=True, check=False)

    assert done.stdout.strip() == told, done.stderr
