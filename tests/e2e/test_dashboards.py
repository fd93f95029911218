"""Every query of every dashboard, asked of a real Prometheus that scraped a device on which everything happens: the
demo's pipeline with its faults, containers that fail under the self-monitor, a DVR that works and one that does not."""

import contextlib
import math
import re
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.support import grafana
from tests.support.device import Device
from tests.support.engine import Engine
from tests.support.grafana import Json, Query
from tests.support.journals import RawWriter
from tests.support.ports import free_port
from tests.support.receivers import PagerDuty
from tests.support.rtsp import RtspServer
from tests.support.servers import Programs
from tests.support.waiting import wait_until
from vv_exporter.metrics import all_metrics
from vv_exporter.stack.demo import EXAMPLES, make_key, own_environment
from vv_exporter.stack.processes import Child

pytestmark = [pytest.mark.prometheus, pytest.mark.docker, pytest.mark.rtsp, pytest.mark.timeout(600)]

SPAN = 900.0  # seconds that the dashboards show
BOARDS = [grafana.load(file) for file in grafana.FILES]
QUERIES = [query for board in BOARDS for query in grafana.queries(board)]
VARIABLES = {name: variable for board in BOARDS for name, variable in grafana.variables(board).items()}

MAY_BE_EMPTY = {
    ("vv-pipeline", "Mean duration, last hour and usual", "A"): "needs five runs, and a past of an hour",
    ("vv-pipeline", "Mean duration, last hour and usual", "B"): "needs twenty runs, and a past of 25 hours",
    ("vv-pipeline", "Mean duration, last hour and usual", "C"): "the same",
    ("vv-pipeline", "Broken chains", "A"): "logs are verified at the start, when there are none, and an hour later",
    ("vv-pipeline", "Since a line was signed outside of its chain", "A"): "no line was",
    ("vv-pipeline", "Since the last complete verification of chains", "A"): "the same as of broken chains",
    ("vv-monitoring", "The fleet's configuration", "A"): "none is pulled",
    ("vv-monitoring", "The fleet's configuration", "B"): "the same",
    ("vv-footage", "Will reach back", "A"): "there are no files of footage",
    ("vv-footage", "Each camera", "C"): "nobody records",
    ("vv-footage", "Each camera", "D"): "there are no files of footage",
    ("vv-footage", "Footage missing, by cause", "A"): "nothing is missing of it",
    ("vv-footage", "How far back the footage will reach", "A"): "there are no files of footage",
    ("vv-footage", "How far back the footage will reach", "B"): "no target is set",
    ("vv-footage", "Recorded and not signed in time", "A"): "no time is set",
    ("vv-footage", "Files that cannot be played", "A"): "there are no files of footage",
    ("vv-alerts", "Since the last daily digest", "A"): "is sent once a day",
    ("vv-host", "Full in", "A"): "only while the disk fills up",
    ("vv-host", "Time until full", "A"): "the same",
    ("vv-host", "Temperature", "A"): "virtual machines have no sensors",
    ("vv-host", "Memory", "B"): "not every machine has swap",
    ("vv-monitoring", "Series that gave way", "A"): "nothing of the site has as many series as a family may have",
}
"""Dashboard, panel and letter of what a device that is minutes old cannot have, or not on every machine, and why."""

HAPPENINGS = """
import contextlib, sys
from vv_core.alerter import send_alert
from vv_core.attempts import Attempts
from vv_core.dvr import DvrLink
from vv_core.guard import guard
from vv_core.jobs import job, skipped
from vv_core.stages import stage
for _ in range(2):
    send_alert("WARNING", "Lens is dirty", "It looks like fog", "agent_dvr.py")
skipped("orchestrator", "another run is in progress")
attempts = Attempts(sys.argv[1], component="orchestrator.py")
for _ in range(3):
    with contextlib.suppress(ValueError), attempts.attempt("scan_video"):
        raise ValueError("no key frame")
assert attempts.exhausted("scan_video")
with contextlib.suppress(KeyError), guard("orchestrator.py"):
    {}["front"]
link = DvrLink("yard", component="agent_dvr.py")
link.connected()
link.frame()
with job("restore"), stage("summarize_scene", component="summarize_scene.py"):
    print("all has happened", flush=True)
    sys.stdin.read()
"""
"""What the demo does not show: a repeated alert, a skipped job, a hopeless video, a surprise, runs that go on."""

TARGET_LABELS = {"device", "instance", "job"}
OF_ALERTS = {"alertname", "alertstate", "severity", "component", "name", "stage", "dvr", "job", "role"}
MONOTONE = {"rate", "increase"}
"""What may be applied to a counter, which says little by itself."""


LIMITS = {"mem_limit": "64m", "nano_cpus": 500_000_000}


def nobody(path: str) -> str:
    """An address where nobody answers."""
    return f"http://127.0.0.1:{free_port()}/{path}"


class Site:
    """A device with the demo's pipeline, containers, and DVRs."""

    def __init__(self, folder: Path, engine: Engine, image: str, camera: RtspServer, pager: PagerDuty) -> None:
        self._client = engine.client()
        self._image = image
        own = own_environment(folder / "demo")
        taken = ("VIDEO_STORAGE_ROOT", "VV_HMAC_KEY_FILE", "MAX_PROCESSING_TIME_SCAN_VIDEO")
        environ = {name: own[name] for name in taken}
        environ |= {"DOCKER_HOST": engine.host, "SELF_MONITOR_BACKOFF": "300ms", "SELF_MONITOR_BACKOFF_MAX": "500ms"}
        environ |= {"PAGERDUTY_ROUTING_KEY": "0123456789abcdef" * 2, "PAGERDUTY_URL": pager.url}
        environ |= {"SLACK_WEBHOOK_URL": nobody("slack"), "WEBHOOK_URL": nobody("webhook")}
        environ |= {"SMTP_SMARTHOST": f"127.0.0.1:{free_port()}", "SMTP_FROM": "vv@example.org"}
        environ |= {"ALERT_EMAIL_TO": "ana@example.org"}
        environ |= {
            "VV_LOG_DIR": str(folder / "state" / "logs"),
            "VV_SCRAPE_INTERVAL": "2s",
            "VV_DRILL_OVERDUE": "30d",
            "DISK_WARNING_FREE": "2%,1GB",
            "DISK_CRITICAL_FREE": "1%,500MB",
        }
        Path(own["VIDEO_STORAGE_ROOT"]).mkdir(parents=True)
        make_key(Path(own["VV_HMAC_KEY_FILE"]))
        self.device = Device(folder, environ, _config(camera, folder))
        script = [sys.executable, EXAMPLES / "demo.py", "faults"]
        self._demo = Child("the demo", script, folder / "demo.out", self.device.env)
        drill = [sys.executable, "-m", "vv_exporter", "drill", "--channel", "pagerduty"]
        self._drill = Child("a drill", drill, folder / "drill.out", self.device.env)
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "Site":
        with self._open:
            self._open.callback(self._remove_containers)
            self._run("agent_dvr", "sleep 1000", healthcheck={"test": ["CMD", "true"], "interval": 10**9}, **LIMITS)
            self._run("scene_scanner", "sleep 1; exit 3", "always")
            self._run("web", "echo 'disk full'; exit 3")
            self._open.enter_context(self.device)
            self._open.enter_context(self._happenings())
            for child in (self._demo, self._drill):
                child.start()
                self._open.callback(child.stop)
            self._open = self._open.pop_all()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._open.close()
        if error is not None:
            for child in (self._demo, self._drill):
                error.add_note(f"{child.name} said last:\n{child.tail(20)}")

    def _run(self, name: str, command: str, restart: str = "no", **config: Any) -> None:
        limits = {name: config.pop(name) for name in LIMITS if name in config}
        host = self._client.create_host_config(network_mode="none", restart_policy={"Name": restart}, **limits)
        self._client.create_container(self._image, ["sh", "-c", command], name=name, host_config=host, **config)
        self._client.start(name)

    @contextlib.contextmanager
    def _happenings(self) -> Iterator[None]:
        writer = RawWriter(self.device.state / "journal", "camera-firmware")
        writer.raw(b"no JSON\n")
        writer.event("dropped", count=2)
        writer.close()
        video = Path(self.device.env["VIDEO_STORAGE_ROOT"]) / "input" / "hopeless.mp4"
        video.parent.mkdir(exist_ok=True)
        video.write_bytes(b"no video")
        script = self.device.script(HAPPENINGS, str(video))
        try:
            assert script.stdout is not None
            assert script.stdout.readline() == "all has happened\n"
            yield
        finally:
            script.communicate("")

    def _remove_containers(self) -> None:
        for container in self._client.containers(all=True):
            self._client.remove_container(container["Id"], force=True)
        self._client.close()

    def api(self, path: str, **parameters: Any) -> Any:
        """What Prometheus answers; it must be a success."""
        answer = requests.post(f"{self.device.url('prometheus')}/api/v1/{path}", parameters, timeout=30).json()
        assert answer["status"] == "success", f"{parameters}: {answer}"
        return answer["data"]

    def label_values(self, metric: str, label: str) -> list[str]:
        """As Grafana asks for the values of a variable."""
        url = f"{self.device.url('prometheus')}/api/v1/label/{label}/values"
        values: list[str] = requests.get(url, {"match[]": metric}, timeout=30).json()["data"]
        return values

    def answer(self, query: Query, values: Mapping[str, str]) -> list[Json]:
        """The series that a query gives, as far as they have numbers."""
        promql, step = grafana.fill_in(query, values, SPAN)
        now = time.time()
        if query.instant:
            found = self.api("query", query=promql, time=now)["result"]
            return [series for series in found if math.isfinite(float(series["value"][1]))]
        found = self.api("query_range", query=promql, start=now - SPAN, end=now, step=step)["result"]
        return [series for series in found if any(math.isfinite(float(value)) for _, value in series["values"])]


def _config(camera: RtspServer, folder: Path) -> str:
    """The demo's, with a limit for a job, two DVRs, and work for the self-monitor."""
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(camera.settings["password"])
    config: Json = yaml.safe_load((EXAMPLES / "vv.yml").read_text())
    config["jobs"]["orchestrator"]["max_runtime"] = "1h"
    front = {"url": camera.url(), "username": camera.settings["user"], "password_file": str(password)}
    yard = {"url": f"rtsp://127.0.0.1:{free_port()}/live"}
    config["dvrs"] = {"front": front | {"interval": "5s"}, "yard": yard | {"interval": "5s"}}
    config["containers"] = {"essential": ["agent_dvr"]}
    config["self_monitor"] = {"containers": ["web"]}
    return yaml.safe_dump(config)


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, programs: Programs, docker_engine: Engine, busybox: str, rtsp_tools: None
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with RtspServer() as camera, PagerDuty() as pager, Site(folder, docker_engine, busybox, camera, pager) as site:
        yield site


EVERYTHING = {"device": "edge-7"} | {
    name: ".*" for name, variable in VARIABLES.items() if variable.get("allValue") == ".*"
}


def test_every_query_of_every_panel_returns_data(site: Site) -> None:
    open_questions = set(QUERIES)

    def unanswered() -> list[str]:
        for query in list(open_questions):
            if (query.dashboard, query.of, query.ref) in MAY_BE_EMPTY:
                site.answer(query, EVERYTHING)  # it must be valid all the same
                open_questions.discard(query)
            elif site.answer(query, EVERYTHING):
                open_questions.discard(query)
        return sorted(map(str, open_questions))

    wait_until(lambda: _none(unanswered()), 300, what="answers to all queries")


def may_be_empty(query: Query) -> bool:
    return (query.dashboard, query.of, query.ref) in MAY_BE_EMPTY


def _none(left: list[str]) -> bool:
    if left:
        raise AssertionError("\n".join(left))
    return True


def test_what_may_be_empty_is_something_that_is_asked() -> None:
    assert MAY_BE_EMPTY.keys() <= {(query.dashboard, query.of, query.ref) for query in QUERIES}
    assert all(MAY_BE_EMPTY.values())


def test_series_have_the_labels_that_their_legends_name(site: Site) -> None:
    for query in QUERIES:
        named = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
        for series in site.answer(query, EVERYTHING):
            assert named <= series["metric"].keys(), query


def test_every_variable_has_values_and_every_query_takes_them(site: Site) -> None:
    for board in BOARDS:
        values = dict(EVERYTHING)
        for name, variable in grafana.variables(board).items():
            if variable["type"] != "query":
                continue
            metric, label = grafana.label_values(variable)
            found = site.label_values(metric.replace("$device", "edge-7"), label)
            assert found, f"{board['uid']}: {name}"
            values[name] = grafana.chosen(found)
        assert values["device"] == "edge-7"
        for query in grafana.queries(board):
            if site.answer(query, EVERYTHING) and not may_be_empty(query):
                wait_until(partial(site.answer, query, values), 30, what=f"{query} with {values}")


def test_queries_name_metrics_and_labels_that_exist(site: Site) -> None:
    labels = {
        sample: {*metric.labels, *TARGET_LABELS, *(("le",) if metric.type == "histogram" else ())}
        for metric in all_metrics().values()
        for sample in metric.sample_names()
    }
    for query in QUERIES:
        tree = parse(site, query)
        known = set[str]()
        for selector in selectors(tree):
            name = selector["name"]
            of_metric = labels.get(name) or OF_ALERTS | set(site.api("labels", **{"match[]": name}))
            asked = {matcher["name"] for matcher in selector["matchers"]} - {"__name__"}
            assert asked <= of_metric | TARGET_LABELS, f"{query}: {name}"
            known |= of_metric
        for node in walk(tree):
            assert set(node.get("grouping") or ()) <= known, query


def test_counters_are_not_shown_as_they_are(site: Site) -> None:
    counters = {name for metric in all_metrics().values() if metric.type != "gauge" for name in metric.sample_names()}
    for query in QUERIES:
        tree = parse(site, query)
        used = [node["name"] for node in selectors(tree) if node["name"] in counters]
        rates = [
            argument["name"]
            for node in walk(tree)
            if node["type"] == "call" and node["func"]["name"] in MONOTONE
            for argument in node["args"]
            if argument["type"] == "matrixSelector" and argument["name"] in counters
        ]
        assert used == rates, query
        windows = set(re.findall(r"\[([^\]]+)\]", query.expr)) if used else set()
        assert windows <= {"$__range" if query.instant else "$__rate_interval", "$__rate_interval"}, query


def parse(site: Site, query: Query) -> Json:
    """The syntax tree that Prometheus makes of a query."""
    tree: Json = site.api("parse_query", query=grafana.fill_in(query, EVERYTHING, SPAN)[0])
    return tree


def walk(node: Any) -> Iterator[Json]:
    """All nodes of a syntax tree."""
    if isinstance(node, dict) and "type" in node and node["type"] not in ("=", "!=", "=~", "!~"):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(inner)


def selectors(tree: Json) -> list[Json]:
    """Where series are named."""
    return [node for node in walk(tree) if node["type"] in ("vectorSelector", "matrixSelector")]
