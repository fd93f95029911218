"""Health, asked from outside; and what systemd is told."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from vv_exporter import health
from vv_exporter.cli.health import command
from vv_exporter.common.clock import boot_id, boottime
from vv_exporter.runtime import systemd


def serving(answer: bytes) -> int:
    """A server that answers one connection with this; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with server, server.accept()[0] as client:
            client.recv(1024)
            client.sendall(answer)

    threading.Thread(target=run, daemon=True).start()
    port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 401 Unauthorized\r\n\r\n"])
def test_an_exporter_that_answers_is_healthy_also_with_users(answer: bytes) -> None:
    health.exporter(serving(answer))


def test_an_exporter_that_fails_or_is_away_is_not() -> None:
    with pytest.raises(health.UnhealthyError, match="500"):
        health.exporter(serving(b"HTTP/1.1 500 Internal Server Error\r\n\r\n"))
    with pytest.raises(health.UnhealthyError, match="does not answer"):
        health.exporter(free_port())


@pytest.mark.parametrize("port", [70_000, 2**70])
def test_a_port_that_there_is_not_is_told_as_that(port: int) -> None:
    with pytest.raises(health.UnhealthyError, match=f"port {port} does not answer"):
        health.exporter(port)


def test_an_exporter_that_hangs_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(health.UnhealthyError, match="timed out"):
        health.exporter(server.getsockname()[1])


def test_a_self_monitor_is_healthy_while_it_looks(tmp_path: Path) -> None:
    with pytest.raises(health.UnhealthyError, match=r"view\.json"):
        health.self_monitor(tmp_path, 1000)
    (tmp_path / "view.json").write_text(json.dumps({"checked": 1000, "containers": []}))

    health.self_monitor(tmp_path, 1060)
    with pytest.raises(health.UnhealthyError, match="61 s ago"):
        health.self_monitor(tmp_path, 1061)


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_a_clock_that_is_set_makes_a_self_monitor_neither_well_nor_ill(tmp_path: Path, step: float) -> None:
    view = {"checked": time.time() + step, "containers": [], "boot": boot_id(), "boottime": boottime()}
    (tmp_path / "view.json").write_text(json.dumps(view))
    health.self_monitor(tmp_path)

    (tmp_path / "view.json").write_text(json.dumps(view | {"boottime": boottime() - 61}))
    with pytest.raises(health.UnhealthyError, match="61 s ago"):
        health.self_monitor(tmp_path)


def test_a_look_of_a_time_to_come_is_of_another_clock(tmp_path: Path) -> None:
    (tmp_path / "view.json").write_text(json.dumps({"checked": 90_000, "containers": [], "boot": "another"}))

    with pytest.raises(health.UnhealthyError, match="with another clock"):
        health.self_monitor(tmp_path, 1000)


def test_the_command_says_why(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["docker-proxy", "--socket", str(tmp_path / "absent")])

    assert done.exit_code == 1
    assert "docker-proxy: " in done.output
    assert "does not answer" in done.output
    assert CliRunner().invoke(command, ["docker-proxy"]).exit_code == 2


def test_the_command_knows_the_port_from_the_environment() -> None:
    port = serving(b"HTTP/1.1 200 OK\r\n\r\n")

    done = CliRunner().invoke(command, ["exporter"], env={"VV_EXPORTER_PORT": str(port)})

    assert (done.exit_code, done.output) == (0, "healthy\n")


class Systemd:
    """What a process tells systemd."""

    def __init__(self, name: str) -> None:
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # the thread reads an end
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while part := self._socket.recv(100):
            self.told.append(part.decode())


@pytest.fixture(params=["a file", "an abstract name"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Systemd, dict[str, str]]]:
    shown = str(tmp_path / "n") if request.param == "a file" else f"@vv-test-{os.getpid()}-{id(request)}"
    listener = Systemd(shown.replace("@", "\0"))
    yield listener, {"NOTIFY_SOCKET": shown, "WATCHDOG_USEC": "30000"}
    listener.close()


def test_systemd_hears_that_all_is_ready_and_works_and_stops(heard: tuple[Systemd, dict[str, str]]) -> None:
    listener, environ = heard
    stopping = threading.Event()
    waiting = threading.Thread(target=systemd.wait, args=(stopping, lambda: True, environ))
    waiting.start()
    wait_until(lambda: listener.told.count("WATCHDOG=1") > 2, what="signs of life")
    stopping.set()
    waiting.join()
    wait_until(lambda: listener.told[-1] == "STOPPING=1")

    assert listener.told[0] == "READY=1"
    assert set(listener.told[1:-1]) == {"WATCHDOG=1"}


def test_systemd_hears_nothing_of_a_part_that_does_not_work(heard: tuple[Systemd, dict[str, str]]) -> None:
    listener, environ = heard
    stopping = threading.Event()
    asked: list[int] = []

    def works() -> bool:
        asked.append(1)
        if len(asked) > 3:
            stopping.set()
        return False

    systemd.wait(stopping, works, environ)
    wait_until(lambda: listener.told[-1:] == ["STOPPING=1"])

    assert listener.told == ["READY=1", "STOPPING=1"]


def test_systemd_hears_of_no_end_where_the_process_goes_on(heard: tuple[Systemd, dict[str, str]]) -> None:
    listener, environ = heard
    anew = threading.Event()
    anew.set()

    systemd.wait(threading.Event(), lambda: True, environ, anew)
    systemd.notify("READY=1", environ)
    wait_until(lambda: len(listener.told) == 2)

    assert listener.told == ["READY=1", "READY=1"]


def test_without_systemd_nothing_happens() -> None:
    stopping = threading.Event()
    stopping.set()

    systemd.wait(stopping, lambda: pytest.fail("nobody asks"), {})

    assert systemd.watchdog({"WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"}) is None
    assert systemd.watchdog({"WATCHDOG_USEC": "x"}) is None
