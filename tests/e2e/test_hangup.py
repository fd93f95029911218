"""SIGHUP ends no program: the exporter reads its file of TLS and users again, the others go on."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import bcrypt
import pytest
import requests

from tests.support.certificates import Certificates
from tests.support.exporter import QUIET
from tests.support.ports import free_port
from tests.support.waiting import wait_until

Start = Callable[..., "Program"]


class Program:
    """`vv COMMAND …`, its output in a file."""

    def __init__(self, arguments: tuple[str, ...], folder: Path, environ: dict[str, str]) -> None:
        self._output = folder / f"{arguments[0]}.out"
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("VV_", "DOCKER_"))}
        environ = {**plain, **QUIET, "VV_STATE_DIR": str(folder / "state"), "VV_CONFIG": "", **environ}
        with self._output.open("w") as output:
            command = [sys.executable, "-m", "vv_exporter", *arguments]
            self.process = subprocess.Popen(command, env=environ, stdout=output, stderr=output)

    def output(self) -> str:
        return self._output.read_text()

    def hang_up(self, said: str) -> None:
        """Send SIGHUP and wait until it says so."""
        before = self.output().count(said)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.output().count(said) > before, 60, what=said)

    def ends_well(self) -> bool:
        self.process.terminate()
        return self.process.wait(20) == 0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    programs: list[Program] = []

    def begin(*arguments: str, **environ: str) -> Program:
        programs.append(Program(arguments, tmp_path, environ))
        return programs[-1]

    yield begin
    for program in programs:
        program.process.kill()
        program.process.wait()


def users(password: str) -> str:
    return f"basic_auth_users:\n  ana: {bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


def test_the_exporter_reads_tls_and_users_again(start: Start, tmp_path: Path, certificates: Certificates) -> None:
    file, port = tmp_path / "web.yml", free_port()
    file.write_text(users("first"))
    exporter = start("exporter", "--web.config.file", str(file), VV_EXPORTER_PORT=str(port))

    def answer(password: str, scheme: str = "http") -> int:
        url = f"{scheme}://127.0.0.1:{port}/-/healthy"
        return requests.get(url, auth=("ana", password), verify=str(certificates.authority), timeout=10).status_code

    wait_until(lambda: answer("first") == 200, 60)
    file.write_text(users("second"))
    exporter.hang_up("was read again")
    assert (answer("first"), answer("second")) == (401, 200)

    file.write_text("basic_auth_users: nonsense")
    exporter.hang_up("what was read before stays")
    assert answer("second") == 200

    pair = f"{{cert_file: {certificates.certificate('server')}, key_file: {certificates.key('server')}}}"
    file.write_text(f"{users('second')}tls_server_config: {pair}\n")
    exporter.hang_up("was read again")
    assert answer("second", "https") == 200
    assert exporter.ends_well()


def test_without_such_a_file_the_exporter_goes_on(start: Start) -> None:
    port = free_port()
    exporter = start("exporter", VV_EXPORTER_PORT=str(port))
    url = f"http://127.0.0.1:{port}/-/healthy"
    wait_until(lambda: requests.get(url, timeout=10).ok, 60)

    exporter.hang_up("nothing to read again")
    assert requests.get(url, timeout=10).ok
    assert exporter.ends_well()


@pytest.mark.parametrize(
    ("command", "ready"), [("self-monitor", "looking after containers"), ("docker-proxy", "listening on")]
)
def test_the_others_go_on(start: Start, tmp_path: Path, command: str, ready: str) -> None:
    sockets = ("--read", str(tmp_path / "read.sock")) if command == "docker-proxy" else ()
    program = start(command, *sockets)
    wait_until(lambda: ready in program.output(), 60)

    program.hang_up("nothing to read again")
    assert program.ends_well()


def test_who_ignores_it_goes_on_to(start: Start) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; a child inherits it
    try:
        program = start("self-monitor")
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_until(lambda: "looking after containers" in program.output(), 60)

    program.process.send_signal(signal.SIGHUP)
    assert program.ends_well()
    assert "SIGHUP" not in program.output()
