"""DVRs that work, refuse, fall silent or freeze, on real RTSP servers: what the probe finds, and who is told of it."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.support.device import Channels, Device
from tests.support.receivers import Request
from tests.support.rtsp import RtspServer
from tests.support.servers import Programs
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.prometheus, pytest.mark.rtsp]

PASSWORD, WRONG = "r1ght:p@ss", "wr0ng-p@ss"
LIMITS = {"DVR_FAILURES": "3", "DVR_DOWN": "90s", "DVR_FROZEN": "5s"}
AGENT = """
import sys
from vv_core.dvr import DvrLink
link = DvrLink("yard", component="agent_dvr.py")
for attempt in link.attempts():
    with attempt:
        for _ in range(20):
            link.frame()
        print("streaming", flush=True)
        sys.stdin.read()  # a read that blocks
        break
"""


@pytest.fixture(scope="module")
def channels() -> Iterator[Channels]:
    with Channels() as channels:
        yield channels


@pytest.fixture(scope="module")
def server(rtsp_tools: None) -> Iterator[RtspServer]:
    with RtspServer(password=PASSWORD) as server:
        yield server


@pytest.fixture(scope="module")
def camera(rtsp_tools: None) -> Iterator[RtspServer]:
    """Another one, which will freeze."""
    with RtspServer(password=PASSWORD) as server:
        yield server


@pytest.fixture(scope="module")
def black_hole() -> Iterator[int]:
    """A port that accepts connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def device(
    tmp_path_factory: pytest.TempPathFactory,
    channels: Channels,
    server: RtspServer,
    camera: RtspServer,
    black_hole: int,
    programs: Programs,
) -> Iterator[Device]:
    folder = tmp_path_factory.mktemp("device")
    for name, password in (("right", PASSWORD), ("wrong", WRONG)):
        (folder / name).write_text(password)
        (folder / name).chmod(0o600)
    dvrs = {
        "front": (server.url(), "right"),
        "stranger": (server.url(), "wrong"),
        "nowhere": (server.url("/none"), "right"),
        "hole": (f"rtsp://127.0.0.1:{black_hole}/live", "right"),
        "picture": (camera.url(), "right"),
    }
    config = "dvrs:\n" + "".join(
        f"  {name}: {{url: {url!r}, username: viewer, password_file: {folder / file}, interval: 1s, timeout: 3s}}\n"
        for name, (url, file) in dvrs.items()
    )
    environ = {**channels.environ(), **LIMITS, "DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    with Device(folder, environ, config) as device:
        yield device
    assert channels.violations() == []


def result(device: Device, dvr: str, source: str = "probe") -> str:
    """The latest result that Prometheus knows."""
    found = device.query(f"vv_dvr_last_result{{dvr={dvr!r},source={source!r}}} == 1")
    return str(found[0]["metric"]["result"]) if found else ""


def told(alertname: str, dvr: str) -> Callable[[Request], bool]:
    """Whether a request to the webhook tells of this alert."""
    wanted = {"alertname": alertname, "dvr": dvr}
    return lambda request: any(wanted.items() <= alert["labels"].items() for alert in request.json["alerts"])


def said(request: Request) -> str:
    return "\n".join(str(attachment) for attachment in request.json["attachments"])


def test_the_probe_tells_what_is_wrong_with_each(device: Device) -> None:
    expected = {"front": "ok", "stranger": "auth", "nowhere": "no_stream", "hole": "timeout", "picture": "ok"}
    for dvr, outcome in expected.items():
        wait_until(lambda dvr=dvr, outcome=outcome: result(device, dvr) == outcome, 30, what=f"{outcome} of {dvr}")

    up = {one["metric"]["dvr"]: one["value"][1] for one in device.query('vv_dvr_up{source="probe"}')}
    assert up == {"front": "1", "picture": "1", "stranger": "0", "nowhere": "0", "hole": "0"}
    phases = device.query('vv_dvr_probe_duration_seconds{dvr="front"}')
    assert {one["metric"]["phase"] for one in phases} == {"dns", "connect", "describe", "setup", "first_packet"}


@pytest.mark.parametrize(
    ("alertname", "dvr", "words"),
    [
        ("DvrUnreachable", "hole", ("no answer within 3 s", "(timeout)")),
        ("DvrUnreachable", "nowhere", ("404 Not Found", "(no_stream)")),
        ("DvrAuthenticationFailed", "stranger", ("refused user or password",)),
    ],
)
def test_failed_attempts_are_told_with_their_reason(
    device: Device, channels: Channels, alertname: str, dvr: str, words: tuple[str, ...]
) -> None:
    channels.webhook.wait_for(told(alertname, dvr), 60)
    text = said(
        channels.slack.wait_for(lambda request: f"DVR {dvr}" in said(request) and words[0] in said(request), 60)
    )

    for word in (*words, "ERROR", "edge-7", "What to do", f"runbooks/{alertname}.md"):
        assert word in text


def test_a_stream_that_freezes(device: Device, channels: Channels, camera: RtspServer) -> None:
    camera.freeze()
    wait_until(lambda: result(device, "picture") == "frozen", 30, what="frozen")
    channels.webhook.wait_for(told("DvrStreamFrozen", "picture"), 60)

    camera.thaw()
    wait_until(lambda: result(device, "picture") == "ok", 60, what="new frames")
    wait_until(lambda: not device.alerts(alertname="DvrStreamFrozen", dvr="picture"), 90, what="the end of the alert")


def test_an_agent_whose_read_blocks(device: Device, channels: Channels) -> None:
    agent = device.script(AGENT)
    try:
        assert agent.stdout is not None
        assert agent.stdout.readline() == "streaming\n"
        wait_until(lambda: result(device, "yard", "agent") == "ok", 30, what="the agent's stream")
        wait_until(lambda: device.query('vv_dvr_frames_total{dvr="yard"} >= 1'), 30, what="a frame")
        alert = channels.webhook.wait_for(told("DvrStreamFrozen", "yard"), 60)
        assert "no new frames come" in alert.body.decode()
    finally:
        agent.communicate("", timeout=30)
    wait_until(lambda: not device.query('vv_dvr_up{dvr="yard"}'), 30, what="the end of the agent's stream")
    wait_until(lambda: device.query('vv_dvr_frames_total{dvr="yard"} == 20'), 30, what="all its frames")


def test_a_server_that_stops_and_starts_again(device: Device, channels: Channels, server: RtspServer) -> None:
    server.stop()
    wait_until(lambda: result(device, "front") == "refused", 30, what="refused")
    channels.webhook.wait_for(told("DvrUnreachable", "front"), 60)
    channels.slack.wait_for(lambda request: "DVR front" in said(request) and "connection refused" in said(request), 60)

    server.start()
    wait_until(lambda: result(device, "front") == "ok", 30, what="the stream")
    wait_until(lambda: not device.alerts(alertname="DvrUnreachable", dvr="front"), 90, what="the end of the alert")


def test_after_its_time_it_is_critical_and_takes_the_others_place(device: Device, channels: Channels) -> None:
    for dvr, first in (("hole", "DvrUnreachable"), ("stranger", "DvrAuthenticationFailed")):
        channels.webhook.wait_for(told("DvrUnreachableProlonged", dvr), 120)
        page = channels.pagerduty.wait_for(lambda request, dvr=dvr: f"DVR {dvr}" in request.body.decode(), 60)
        assert page.json["payload"]["severity"] == "critical"
        (alert,) = device.alerts(alertname=first, dvr=dvr)
        assert alert["status"]["state"] == "suppressed"


def test_nothing_else_was_told(device: Device, channels: Channels) -> None:
    alerts = [alert["labels"] for request in channels.webhook.received for alert in request.json["alerts"]]
    found = {(labels["alertname"], labels["dvr"]) for labels in alerts if "dvr" in labels}

    unreachable, prolonged = "DvrUnreachable", "DvrUnreachableProlonged"
    assert found <= {
        *((name, dvr) for name in (unreachable, prolonged) for dvr in ("hole", "nowhere")),
        ("DvrAuthenticationFailed", "stranger"),
        (prolonged, "stranger"),
        (unreachable, "front"),
        ("DvrStreamFrozen", "picture"),
        ("DvrStreamFrozen", "yard"),
    }
    assert not {labels["alertname"] for labels in alerts} & {"CollectorFailing", "ExporterDown"}


def test_no_password_is_shown(device: Device, tmp_path_factory: pytest.TempPathFactory) -> None:
    shown = [requests.get(f"{device.url('exporter')}/metrics", timeout=10).text, device.app_log(), device.output()]
    shown += [path.read_text(errors="replace") for path in Path(device.state).rglob("*") if path.is_file()]
    shown.append(subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout)

    assert [text for text in shown if PASSWORD in text or WRONG in text] == []
