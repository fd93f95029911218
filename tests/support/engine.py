"""A private Docker Engine for tests: own socket, data, containerd, mounts and network; nothing is left of it.

`private_engine()` starts one (as root), `private_engine_or_skip()` does so for a test; `answering_engine()` is the one
that the environment names. A keeper process owns the private Engine and tears it down when its standard input closes:
also after the tests were killed outright. In a shell: `python -m tests.support.engine` runs one until Ctrl-D.

Its network is one of its own, with nothing but a loopback interface: the machine's `docker0`, bridges, packet filter
and forwarding are neither touched nor in the way. What a test may rely on: user-defined networks, published ports
and container addresses work among containers, and for what `Engine.inside` calls; there is no default bridge and no
way out to the world (`tests/support/wayout.py` makes one for a build).
"""

import contextlib
import ctypes
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

import docker
import docker.errors
import pytest

from tests.support.waiting import wait_until
from tools.engine import engine_environment, has_recent_engine, missing_engine_programs
from vv_exporter.stack.progress import last_lines

T = TypeVar("T")

RECENT = os.environ.get("VV_TEST_ENGINE") == "recent"
"""Whether the private Engine is the recent one (`make tools` fetches both)."""
_START_SECONDS = 180  # on a machine whose disk is busy with other tests
_STOP_SECONDS = 30
# In a mount namespace of its own, all that the Engine mounts vanishes with it; a /run of its own keeps it from
# using the machine's containerd, and its shims' sockets from staying behind. In a network of its own its bridges
# vanish with it, and `--bridge=none`, which deletes `docker0`, finds none.
_PRIVATE = ("unshare", "--net", "--mount", "--propagation", "slave", "sh", "-c")
_PRIVATE_SCRIPT = 'mount -t tmpfs -o mode=755 tmpfs /run && busybox ip link set lo up && exec dockerd "$@"'
_CLONE_NEWNET = 0x40000000  # setns(2); Python has os.setns from 3.12 on


class EngineUnavailableError(Exception):
    """No Docker Engine can be had; the message says why in one line."""


@dataclass(frozen=True)
class Engine:
    """A Docker Engine that answers."""

    host: str
    """For `DOCKER_HOST`, such as `unix:///tmp/…/docker.sock`."""
    environment: dict[str, str] = field(repr=False)
    """For child processes: `DOCKER_HOST`, and a `PATH` with `docker`, where `docker compose` works."""
    private: bool = False
    """Whether it was started for these tests, and is nobody else's."""
    keeper: subprocess.Popen[str] | None = field(default=None, repr=False)
    """Who started it; only for a private one."""

    def client(self) -> docker.APIClient:
        """A new client; the version of the API is negotiated."""
        return docker.APIClient(base_url=self.host, version="auto", timeout=60)

    @property
    def pid(self) -> int:
        """The process of a private Engine, to be frozen and thawed."""
        return int((Path(self.host.removeprefix("unix://")).parent / "pid").read_text())

    def inside(self, call: Callable[[], T]) -> T:
        """What `call` returns in the network of the Engine, where its networks' gateways and published ports are.

        A socket stays in the network that it was opened in: a server that is made here is reached by containers.
        """
        if not self.private:
            return call()
        with ThreadPoolExecutor(1, initializer=_enter_network_of, initargs=(self.pid,)) as executor:
            return executor.submit(call).result()

    def shut_down(self) -> None:
        """End a private Engine in order, with all containers; `start_again` continues on the same data."""
        self._order("shut_down")

    def cut_power(self) -> None:
        """Kill a private Engine and all that it runs; `start_again` continues on the same data."""
        self._order("cut_power")

    def start_again(self) -> None:
        """Start a private Engine that was ended."""
        self._order("start")

    def _order(self, order: str) -> None:
        assert self.keeper is not None, "only for a private Engine"
        assert self.keeper.stdin is not None
        assert self.keeper.stdout is not None
        print(order, file=self.keeper.stdin, flush=True)
        _answer(self.keeper.stdout)


def answering_engine() -> Engine:
    """The Engine that `DOCKER_HOST` or the default socket leads to. Raises `EngineUnavailableError`."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    engine = Engine(host, dict(os.environ) | {"DOCKER_HOST": host})
    try:
        with contextlib.closing(engine.client()) as client:
            client.ping()
    except docker.errors.DockerException as error:
        raise EngineUnavailableError(f"no Docker Engine answers at {host}: {str(error)[:200]}") from error
    return engine


@contextlib.contextmanager
def private_engine(*arguments: str) -> Iterator[Engine]:
    """A new, empty Engine for the length of the block; `arguments` go to dockerd.

    Raises `EngineUnavailableError` where it cannot be started: not root, no programs, no right to mount.
    """
    if os.geteuid() != 0:
        raise EngineUnavailableError("a private Docker Engine needs root")
    absent = missing_engine_programs()
    if absent:
        raise EngineUnavailableError(f"{', '.join(absent)} missing (python -m tools.fetch --engine)")
    if RECENT and not has_recent_engine():
        raise EngineUnavailableError("the recent Engine is missing (python -m tools.fetch --recent-engine)")
    keeper = subprocess.Popen(
        [sys.executable, "-m", __name__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C is for the tests alone: they tell the keeper
        cwd=Path(__file__).parents[2],
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        host = _answer(keeper.stdout)
        yield Engine(host, engine_environment(recent=RECENT) | {"DOCKER_HOST": host}, private=True, keeper=keeper)
    finally:
        keeper.stdin.close()
        keeper.wait(_STOP_SECONDS * 3)
        keeper.stdout.close()


@contextlib.contextmanager
def private_engine_or_skip(*arguments: str) -> Iterator[Engine]:
    """The same for tests: where it cannot be started, what needs it is skipped."""
    with contextlib.ExitStack() as stack:
        try:
            engine = stack.enter_context(private_engine(*arguments))
        except EngineUnavailableError as error:
            pytest.skip(str(error))
        yield engine


def _answer(answers: IO[str]) -> str:
    answer = json.loads(answers.readline() or '{"error": "the keeper of the Engine died"}')
    if "error" in answer:
        raise EngineUnavailableError(answer["error"])
    return str(answer["host"])


def _enter_network_of(pid: int) -> None:
    """Take this thread, and no other, into the network of a process."""
    with Path(f"/proc/{pid}/ns/net").open() as network:
        if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def busybox_image(engine: Engine, name: str = "vv-test/busybox:latest") -> str:
    """Load a small image with a static busybox and all its applets into the Engine; returns its name.

    Raises `EngineUnavailableError` where there is no static busybox.
    """
    program = shutil.which("busybox", path=engine_environment(recent=RECENT)["PATH"])
    if program is None:
        raise EngineUnavailableError("busybox (package busybox-static) is missing")
    repository, _, tag = name.partition(":")
    with contextlib.closing(engine.client()) as client:
        client.import_image_from_data(
            _busybox_tree(Path(program)), repository=repository, tag=tag, changes=['CMD ["sh"]', "ENV PATH=/bin"]
        )
    return name


def _busybox_tree(program: Path) -> bytes:
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tree:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tree.addfile(entry)
        tree.add(program, "bin/busybox")
        for applet in set(applets) - {"busybox"}:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tree.addfile(entry)
        passwd = b"root:x:0:0:root:/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(passwd)
        tree.addfile(entry, io.BytesIO(passwd))
    return buffer.getvalue()


class _Daemon:
    """dockerd below a folder of its own, and the removal of every trace of it."""

    def __init__(self, arguments: list[str]) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="vv-engine-"))  # short: a socket's path has 107 bytes
        self.host = f"unix://{self.root}/docker.sock"
        self._log = self.root / "log"
        self._arguments = arguments
        self._namespace = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = [
            f"--host={self.host}",
            f"--data-root={self.root}/data",
            f"--exec-root={self.root}/exec",
            f"--pidfile={self.root}/pid",
            f"--config-file={self.root}/daemon.json",  # not the machine's
            "--bridge=none",
            "--iptables=false",
            "--ip-forward=false",
            "--ip-masq=false",
            *self._arguments,
        ]
        (self.root / "daemon.json").write_text("{}")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*_PRIVATE, _PRIVATE_SCRIPT, "dockerd", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=engine_environment(recent=RECENT),
            )
        try:
            wait_until(self._answers, _START_SECONDS, what="the private Docker Engine")
        except AssertionError as error:
            raise EngineUnavailableError(f"{error}\n{last_lines(self._log)}") from error
        self._namespace = str(Path(f"/proc/{self._process.pid}/ns/mnt").readlink())

    def stop(self) -> None:
        self._empty()
        self.shut_down()
        _remove(self.root)

    def shut_down(self) -> None:
        """End the Engine in order, and what it leaves."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._kill_left()

    def cut_power(self) -> None:
        """End everything at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._kill_left()
            _remove(self.root / "exec")  # as on a machine, where it lies in memory

    def _kill_left(self) -> None:
        for pid in self._left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise EngineUnavailableError(f"dockerd ended with {self._process.returncode}\n{last_lines(self._log, 5)}")
        with contextlib.closing(docker.APIClient(base_url=self.host, version="auto")) as client:
            return bool(client.ping())

    def _empty(self) -> None:
        """Remove all containers."""
        with (
            contextlib.suppress(docker.errors.DockerException, OSError),
            contextlib.closing(docker.APIClient(base_url=self.host, version="auto", timeout=30)) as client,
        ):
            for container in client.containers(all=True):
                with contextlib.suppress(docker.errors.APIError):
                    client.remove_container(container["Id"], force=True, v=True)

    def _left(self) -> list[int]:
        """What still lives in the Engine's mount namespace, and the children of that (containers)."""
        parents: dict[int, int] = {}
        members: set[int] = set()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if str((entry / "ns/mnt").readlink()) == self._namespace:
                    members.add(int(entry.name))
        grown = True
        while grown:
            children = {pid for pid, parent in parents.items() if parent in members}
            grown = not children <= members
            members |= children
        return sorted(members)


def _remove(folder: Path) -> None:
    """The last mounts go with the last process, a moment after its end."""
    end = time.monotonic() + 10
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05 if folder.exists() else 0)


def _keep(arguments: list[str], orders: IO[str], answers: IO[str]) -> None:
    """Run an Engine until `orders` ends or a signal comes; each order (shut_down, cut_power, start) is answered."""

    def leave(*_: object) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        sys.exit()

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        signal.signal(number, leave)
    daemon = _Daemon(arguments)
    try:
        for order in itertools.chain(["start"], orders):
            getattr(daemon, order.strip())()
            print(json.dumps({"host": daemon.host}), file=answers, flush=True)
    except EngineUnavailableError as error:
        print(json.dumps({"error": str(error)}), file=answers, flush=True)
    finally:
        daemon.stop()


if __name__ == "__main__":
    _keep(sys.argv[1:], sys.stdin, sys.stdout)
