"""The centre of a fleet on real servers: what is told of devices that are off, doubled, at odds, and how often."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from tests.support import grafana
from tests.support.device import Channels
from tests.support.fleet import Centre
from tests.support.waiting import wait_until
from vv_dashboards import fleet
from vv_exporter.fleet.inventory import Device
from vv_exporter.stack import victoria
from vv_exporter.stack.programs import ALERTMANAGER, find

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(600)]

SITE = [f"porto-{number:02}" for number in range(40)]
OTHERS = ["faro-1", "faro-2", "braga-1", "ahead-1"]
MAY_BE_EMPTY = {"Devices", "Versions", "annotation Alerts"}
"""What these simulated devices do not send."""
MANY = [f"many-{number:03}" for number in range(200)]
FOOTAGE = [
    'latest_timestamp_seconds{{{},step="recorded"}}',
    "oldest_timestamp_seconds{{{}}}",
    "day_ratio{{{}}}",
    "unsigned_seconds{{{}}}",
    "corrupt_files{{{}}}",
    'missing_seconds_total{{{},cause="dvr_down"}}',
    'open_hole_timestamp_seconds{{{},cause="dvr_down"}}',
]
"""What a device sends of each camera."""


@pytest.fixture(scope="module")
def fleet_programs(store_program: Path) -> Mapping[str, Path]:
    found = {name: victoria.find(name) for name in victoria.PROGRAMS} | {"alertmanager": find(ALERTMANAGER)}
    assert all(found.values()), "make tools fetches them"
    return {name: path for name, path in found.items() if path is not None}


@pytest.fixture(scope="module")
def channels() -> Iterator[Channels]:
    with Channels() as channels:
        yield channels


class Beats:
    """Devices that beat every few seconds, each as its agent would."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.lines: dict[str, list[str]] = {}

    def __enter__(self) -> "Beats":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(5):
            self._centre.insert(line for lines in list(self.lines.values()) for line in lines)


def beat(device: str, site: str, machine: str = "aa") -> str:
    return f'up{{job="vmagent",device="{device}",site="{site}",machine="{machine}"}}'


def told(channels: Channels, *words: str) -> list[str]:
    """The texts that Slack was sent with all these words."""
    texts = [request.body.decode() for request in channels.slack.received]
    return [text for text in texts if all(word in text for word in words)]


@pytest.fixture(scope="module")
def centre(
    tmp_path_factory: pytest.TempPathFactory, fleet_programs: Mapping[str, Path], channels: Channels
) -> Iterator[Centre]:
    devices = [Device(name, "Porto") for name in SITE] + [Device(name) for name in OTHERS]
    environ = {"SLACK_WEBHOOK_URL": channels.slack.url, "DEADMAN_URL": channels.deadman.url}
    with Centre(tmp_path_factory.mktemp("fleet"), devices, fleet_programs, environ) as centre:
        yield centre


def test_what_no_device_can_know_is_told_once(centre: Centre, channels: Channels) -> None:
    """All at once, for each takes its time: a dark site, a device, a name that two have, a fault of 200, a clock."""
    with Beats(centre) as beats:
        beats.lines = {name: [f"{beat(name, 'Porto')} 1"] for name in SITE}
        beats.lines |= {"faro-1": [f"{beat('faro-1', 'Faro')} 1"], "faro-2": [f"{beat('faro-2', 'Faro')} 1"]}
        beats.lines["braga-1"] = [f"{beat('braga-1', 'Braga')} 1", f"{beat('braga-1', 'Lagos', 'bb')} 1"]
        fault = 'ALERTS{{alertname="DvrUnreachable",alertstate="firing",severity="error",device="{}"}} 1'
        cameras = [f'device="faro-1",dvr="{camera}"' for camera in ("gate", "yard")]
        beats.lines["footage"] = [f"vv_footage_{series.format(one)} 0.5" for series in FOOTAGE for one in cameras]
        beats.lines["many"] = [fault.format(name) for name in MANY]
        centre.past(beat("ahead-1", "Braga"), 1, age=-120, until=-1800)
        wait_until(lambda: len(centre.query("device:vv_fleet_seen:timestamp_seconds")) >= 43, 120, what="all devices")
        wait_until(lambda: channels.deadman.received, 120, what="the beat of the centre")
        for name in [*SITE, "faro-2"]:
            del beats.lines[name]

        wait_until(lambda: told(channels, "DeviceMissing", "Porto"), 300, what="the site")
        wait_until(lambda: told(channels, "faro-2 does not report"), 120, what="the device")
        wait_until(lambda: told(channels, "DvrUnreachable on 200 devices"), 120, what="the fault")
        wait_until(lambda: told(channels, "More than one machine", "braga-1"), 120, what="the duplicate")
        firing = 'ALERTS{alertname="ClockSkew",alertstate=~"pending|firing",direction="ahead"}'
        (skewed,) = wait_until(lambda: centre.query(firing), 120, what="the clock")

    (site,) = told(channels, "DeviceMissing", "Porto")
    assert "40 devices at Porto" in site
    assert all(name in site for name in SITE)
    assert len(told(channels, "faro-2 does not report")) == 1
    assert len(told(channels, "DvrUnreachable")) == 1
    assert len(told(channels, "More than one machine")) == 1
    assert "aa at Braga" in told(channels, "More than one machine")[0]
    assert "bb at Lagos" in told(channels, "More than one machine")[0]
    assert not told(channels, "faro-1 does not report")
    assert not told(channels, "No device of the fleet")
    assert skewed["metric"]["device"] == "ahead-1"
    assert channels.violations() == []


def test_the_boards_ask_for_what_the_store_has_the_worst_first(centre: Centre) -> None:
    board = grafana.load(fleet.FILE)
    for query in [query for file in fleet.targets() for query in grafana.queries(grafana.load(file))]:
        assert centre.query(grafana.fill_in(query, {"device": "faro-1"}, 900)[0]) or query.of in MAY_BE_EMPTY, query.of
    (cells,) = [query for query in grafana.queries(board) if query.of == "Each device"]
    values = [float(cell["value"][1]) for cell in centre.query(cells.expr)]

    assert values == sorted(values, reverse=True)
    assert len(values) >= 43 + len(MANY)
    assert values[0] == 4
    assert 2 in values


def test_on_the_wall_no_answer_has_a_name(centre: Centre) -> None:
    wall = grafana.load(fleet.FOLDER / "fleet-wall.json")
    answers = {query.of: centre.query(query.expr) for query in grafana.queries(wall)}

    labels = {name for answer in answers.values() for one in answer for name in one["metric"]}
    assert labels <= {"__name__"}
    assert answers["Cameras without footage now"][0]["value"][1] == "2"
    assert answers["Cameras that are recorded"][0]["value"][1] == "0"
    devices = sum(int(answers[name][0]["value"][1]) for name in answers if name.startswith("Devices: "))
    assert devices >= 43 + len(MANY)


def test_a_device_writes_in_its_own_name_alone_and_reads_nothing(centre: Centre) -> None:
    def ask(path: str, token: str, method: str = "GET") -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.request(method, f"{centre.door}{path}", headers=headers, timeout=10).status_code

    device, reader = centre.token("faro-1"), centre.token("grafana")
    assert ask("/api/v1/query?query=up", reader) == 200
    assert ask("/api/v1/query?query=up", device) == 400
    assert ask("/api/v1/query?query=up", "") == 401
    assert ask("/api/v1/query?query=up", "wrong") == 401
    assert ask("/api/v1/write", reader, "POST") == 400
    assert ask("/api/v1/admin/tsdb/delete_series?match[]=up", reader, "POST") == 400
    assert ask("/api/v1/write", device, "POST") in (200, 204)
