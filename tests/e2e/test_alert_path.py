"""The alert path proves itself: whichever hop breaks, people are told directly, once, and once when it is mended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.support.device import about
from tests.support.disks import small_disk
from tests.support.exporter import QUIET, Exporter
from tests.support.links import Link
from tests.support.ports import free_port
from tests.support.receivers import Slack
from tests.support.servers import Alertmanager, Programs, Prometheus
from tests.support.waiting import wait_until
from vv_exporter.delivery.accounts import moment
from vv_exporter.render import render
from vv_exporter.render.intervals import resend_delay
from vv_exporter.settings import load

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(600)]

AFTER_SECONDS = 20
TOLD_WITHIN_SECONDS = 60.0
MENDED_WITHIN_SECONDS = 90.0
SCRAPE_INTERVAL = os.environ.get("VV_TEST_SCRAPE_INTERVAL", "2s")
BROKEN = "The alert path is broken"
OF_OTHERS = ("Docker Engine", "Rules of Prometheus cannot be evaluated")
"""There is no Engine; the rule tells of rules beforehand, less urgently, and not just after another outage."""
LAST_BEAT = "vv_alert_path_last_beat_timestamp_seconds"
MANY_TO_MANY = "up * on (nothing) up"  # an error at each evaluation


@dataclass
class Site:
    """An exporter, a Prometheus and an Alertmanager, with a wire that can be cut between each two of them."""

    folder: Path
    exporter: Exporter
    prometheus: Prometheus
    alertmanager: Alertmanager
    slack: Slack
    scrapes: Link
    sends: Link
    deliveries: Link
    texts: dict[str, str] = field(default_factory=dict)

    def state(self) -> str:
        """What the status says of the path."""
        found: str = self.document()["alert_path"]["state"]
        return found

    def document(self) -> dict[str, Any]:
        answer = requests.get(f"{self.exporter.url}/api/v1/status", timeout=20)
        document: dict[str, Any] = answer.json()
        return document

    def vv(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "vv_exporter", *words],
            env={**os.environ, **self.exporter.environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def of_the_rule(self, name: str) -> dict[str, Any] | None:
        """The alert as Prometheus sent it; what the exporter told directly stands beside it."""
        return next((alert for alert in self.alertmanager.alerts(name) if "told" not in alert["labels"]), None)

    def script(self, code: str) -> None:
        """Run a script of the pipeline."""
        environ = {**os.environ, **self.exporter.environ}
        subprocess.run([sys.executable, "-c", code], env=environ, check=False, timeout=60)

    def rewrite(self, file: str, change: Callable[[Any], None]) -> None:
        """Change a file of Prometheus' configuration, and have it read."""
        path = self.folder / "config" / file
        self.texts.setdefault(file, path.read_text())
        document = yaml.safe_load(path.read_text())
        change(document)
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        self.prometheus.reload()

    def restore(self) -> None:
        for file, text in self.texts.items():
            (self.folder / "config" / file).write_text(text)
        self.prometheus.reload()


@dataclass(frozen=True)
class Fault:
    """Something that breaks the path, and the hop that people are told of."""

    name: str
    hop: str
    inflict: Callable[[Site], None]
    end: Callable[[Site], None]


def refuse_samples(site: Site) -> None:
    def change(document: Any) -> None:
        for job in document["scrape_configs"]:
            if job["job_name"] == "vv-exporter":
                job["sample_limit"] = 1

    site.rewrite("prometheus.yml", change)


def break_rule(site: Site) -> None:
    def change(document: Any) -> None:
        for rule in document["groups"][0]["rules"]:
            if rule.get("alert") == "Watchdog":
                rule["expr"] = MANY_TO_MANY

    site.rewrite("rules/meta.yml", change)


FAULTS = (
    (
        Fault("Prometheus frozen", "not scraped", lambda s: s.prometheus.freeze(), lambda s: s.prometheus.thaw()),
        Fault("Prometheus cannot store", "not stored", refuse_samples, Site.restore),
        Fault("Alertmanager killed", "not sent on", lambda s: s.alertmanager.kill(), lambda s: s.alertmanager.start()),
    ),
    (
        Fault("Prometheus killed", "not scraped", lambda s: s.prometheus.kill(), lambda s: s.prometheus.start()),
        Fault("rules fail", "not evaluated", break_rule, Site.restore),
        Fault("no way to the exporter", "not delivered", lambda s: s.deliveries.cut(), lambda s: s.deliveries.mend()),
    ),
    (
        Fault("exporter not reached", "not scraped", lambda s: s.scrapes.cut(), lambda s: s.scrapes.mend()),
        Fault("Alertmanager not reached", "not sent on", lambda s: s.sends.cut(), lambda s: s.sends.mend()),
        Fault("Alertmanager frozen", "not sent on", lambda s: s.alertmanager.freeze(), lambda s: s.alertmanager.thaw()),
    ),
)


@contextmanager
def running_site(folder: Path, programs: Programs, *arguments: str, **environ: str) -> Iterator[Site]:
    """All of it at work, and the loop closed. `arguments` are Prometheus'."""
    prometheus_port, alertmanager_port = free_port(), free_port()
    with ExitStack() as stack:
        slack = stack.enter_context(Slack())
        exporter = Exporter(
            folder / "state",
            VV_DEVICE_ID="edge-7",
            VV_PROMETHEUS_PORT=str(prometheus_port),
            VV_ALERTMANAGER_PORT=str(alertmanager_port),
            VV_SCRAPE_INTERVAL=SCRAPE_INTERVAL,
            VV_ALERT_PATH_AFTER=f"{AFTER_SECONDS}s",
            SLACK_WEBHOOK_URL=slack.url,
            **{**QUIET, **environ},
        )
        scrapes = stack.enter_context(Link(exporter.port))
        deliveries = stack.enter_context(Link(exporter.port))
        sends = stack.enter_context(Link(alertmanager_port))
        config = folder / "config"
        render(load(exporter.environ), config)
        _by_way_of(config / "prometheus.yml", {exporter.port: scrapes.port})
        _by_way_of(config / "alertmanager.yml", {exporter.port: deliveries.port})
        text = yaml.safe_load((config / "prometheus.yml").read_text())
        text["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{sends.port}"]
        (config / "prometheus.yml").write_text(yaml.safe_dump(text, sort_keys=False))
        prometheus = Prometheus(
            config / "prometheus.yml",
            folder / "prometheus",
            programs,
            prometheus_port,
            *arguments,
            after=AFTER_SECONDS,
        )
        alertmanager = Alertmanager(config / "alertmanager.yml", folder / "alertmanager", programs, alertmanager_port)
        for part in (exporter, alertmanager, prometheus):
            stack.enter_context(part)  # type: ignore[arg-type]
        site = Site(folder, exporter, prometheus, alertmanager, slack, scrapes, sends, deliveries)
        wait_until(lambda: site.state() == "works", 60, what="a beat that comes back")
        yield site
        assert slack.violations == []


def _by_way_of(file: Path, ports: dict[int, int]) -> None:
    text = file.read_text()
    for port, link in ports.items():
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{link}")
    file.write_text(text)


def break_and_mend(site: Site, fault: Fault) -> None:
    """One fault: told in time with its hop, once; seen everywhere; told once when it is over."""
    site.slack.clear()
    began = time.monotonic()
    fault.inflict(site)
    broken = site.slack.wait_for(about(f"CRITICAL: {BROKEN}: "), TOLD_WITHIN_SECONDS)
    assert broken.time - began < TOLD_WITHIN_SECONDS
    assert f"The alert path is broken: {fault.hop}" in broken.body.decode(), (fault.name, titles(site))
    assert "AlertPathBroken" in broken.body.decode()
    assert "What to do" in broken.body.decode()
    found = site.document()
    assert (found["ok"], found["alert_path"]["state"], found["alert_path"]["hop"]) == (False, "broken", fault.hop)
    assert "alert path" in found["troubles"][0]
    status = site.vv("status")
    assert status.returncode == 1
    assert "alert path is broken" in status.stdout.splitlines()[1]
    assert site.vv("health", "exporter").stdout.startswith(f"alert path: broken, {fault.hop}")
    assert site.exporter.metrics()["vv_alert_path_up"] == 0
    # A restart of the exporter tells nobody again.
    if fault.name in ("Prometheus killed", "Alertmanager frozen"):
        site.exporter.kill()
        site.exporter.start()
        wait_until(lambda: site.document()["alert_path"]["state"] == "broken", 20)
    fault.end(site)
    site.slack.wait_for(about("The alert path works again", "RESOLVED"), MENDED_WITHIN_SECONDS)
    wait_until(lambda: site.state() == "works", 20)
    assert titles(site) == [f"CRITICAL: {BROKEN}: {fault.hop}", "RESOLVED: The alert path works again"]


def titles(site: Site) -> list[str]:
    """What people were told of that is about the path."""
    found = [request.json["attachments"][0]["title"] for request in site.slack.received]
    return [title for title in found if not any(words in title for words in OF_OTHERS)]


def through(folder: Path, programs: Programs, faults: Sequence[Fault]) -> None:
    with running_site(folder, programs) as site:
        for fault in faults:
            break_and_mend(site, fault)


VERIFY = """
from vv_core.signing import verify_signature
verify_signature({"a": 1, "signature": "x"}, component="check.py")
"""
FLEETING = """
groups:
  - name: fleeting
    rules:
      - alert: Fleeting
        expr: vector(time()) > {begin} < {end}
        labels: {{severity: error, component: lens, path: /fleeting}}
        annotations: {{summary: "A fleeting fault", description: "It came and went."}}
"""


def tell_the_last_line(folder: Path, programs: Programs) -> None:
    videos = folder / "videos"
    videos.mkdir(parents=True)
    with running_site(folder, programs, VIDEO_STORAGE_ROOT=str(videos)) as site:
        site.prometheus.freeze()
        site.slack.wait_for(about(f"CRITICAL: {BROKEN}: "), TOLD_WITHIN_SECONDS)
        began = time.monotonic()
        videos.rename(folder / "gone")
        site.script(VERIFY)
        told = [
            site.slack.wait_for(about(f"CRITICAL: Storage {videos} cannot be used"), TOLD_WITHIN_SECONDS),
            site.slack.wait_for(about("CRITICAL: check.py found signatures that do not verify"), TOLD_WITHIN_SECONDS),
        ]
        assert max(request.time for request in told) - began < 60
        for request in told:
            assert "sent directly" in request.body.decode()
            assert "What to do" in request.body.decode()

        site.prometheus.thaw()
        site.slack.wait_for(about("The alert path works again"), MENDED_WITHIN_SECONDS)
        for name in ("StorageUnavailable", "HmacVerificationFailed"):
            ruled = wait_until(lambda name=name: site.of_the_rule(name), 90, what=f"{name} by its rule")
            assert ruled["status"]["inhibitedBy"], ruled
        # One on the same routes that comes after them.
        site.alertmanager.post_alert(
            {"alertname": "Later", "severity": "critical", "component": "c", "device": "edge-7"},
            {"summary": "Later one"},
        )
        site.slack.wait_for(about("Later one"), 60)
        (folder / "gone").rename(videos)
        site.slack.wait_for(about(f"RESOLVED: Storage {videos} cannot be used"), 120)

        assert len(site.slack.matching(about("cannot be used"))) == 2
        assert len(site.slack.matching(about("signatures that do not verify"))) == 1


def tell_what_was_missed(folder: Path, programs: Programs) -> None:
    with running_site(folder, programs, VV_DELIVERY_SETTLE="10s") as site:
        now = time.time()
        rules = FLEETING.format(begin=now + 15, end=now + 30)
        (site.folder / "config" / "rules" / "fleeting.yml").write_text(rules)
        site.prometheus.reload()
        site.alertmanager.kill()
        site.slack.wait_for(about(f"CRITICAL: {BROKEN}: not sent on"), TOLD_WITHIN_SECONDS)
        wait_until(lambda: time.time() > now + 40, 60, what="the end of it")
        site.alertmanager.start()
        site.slack.wait_for(about("The alert path works again"), MENDED_WITHIN_SECONDS)

        site.slack.wait_for(about("was not delivered", "Fleeting", "/fleeting"), 60)
        assert site.slack.matching(about("A fleeting fault")) == []
        # That Alertmanager was away has been told.
        assert site.slack.matching(about("AlertmanagerDown")) == []


# `Down` is what is wrong without new samples, and lasts for a while when they are back.
OF_SAMPLES = """
groups:
  - name: of samples
    rules:
      - alert: Lasting
        expr: up{{job="vv-exporter"}} == 1 unless on () vv_job_runs_total
        labels: {{severity: error, component: lens, path: /lasting}}
        annotations: {{summary: "A lasting fault"}}
      - alert: Ending
        expr: up{{job="vv-exporter"}} == 1 and on () vector(time()) < {end}
        labels: {{severity: error, component: lens, path: /ending}}
        annotations: {{summary: "An ending fault"}}
      - alert: Down
        expr: absent(up{{job="vv-exporter"}})
        keep_firing_for: 40s
        labels: {{severity: critical, component: lens, path: /down}}
        annotations: {{summary: "A fault that is none"}}
"""
LOOKBACK_SECONDS = 45
"""What fires must be held before it is over, as with Prometheus' own of 300 s: on a busy machine it is found late."""


def fill_the_disk(folder: Path, programs: Programs) -> None:
    """State, Prometheus and Alertmanager on one that is full."""
    folder.mkdir(parents=True)
    with (
        small_disk(folder, "64m") as disk,
        running_site(folder / "site", programs, f"--query.lookback-delta={LOOKBACK_SECONDS}s") as site,
    ):
        end = time.time() + 90
        rules = site.folder / "config" / "rules" / "of-samples.yml"
        rules.write_text(OF_SAMPLES.format(end=end))
        site.prometheus.reload()
        site.slack.wait_for(about("A lasting fault"), 60)
        site.slack.wait_for(about("An ending fault"), 60)
        for name in ("Lasting", "Ending"):  # what is not known yet cannot be held
            wait_until(lambda name=name: is_leased(site, name), 60, what=f"the lease of {name}")

        disk.fill()
        site.slack.wait_for(about(f"CRITICAL: {BROKEN}: not stored"), TOLD_WITHIN_SECONDS)
        wait_until(lambda: site.prometheus.alerts("Down", "firing"), 90, what="what is wrong without samples")
        assert site.prometheus.alerts("Lasting") == []
        # Prometheus says at each resend that it has ended, until it is sent again.
        held = wait_until(lambda: site.of_the_rule("Lasting"), 90, what="what is held")
        assert held["status"]["state"] == "suppressed"
        wait_until(lambda: time.time() > end, 90, what="the end of the other")
        disk.empty()
        site.slack.wait_for(about("The alert path works again", "(not stored)"), MENDED_WITHIN_SECONDS)
        site.slack.wait_for(about("RESOLVED", "An ending fault"), 90)

        # One that times out when Prometheus is gone.
        site.prometheus.kill()
        site.slack.wait_for(about(f"CRITICAL: {BROKEN}: not scraped"), TOLD_WITHIN_SECONDS)
        assert is_leased(site, "Lasting")
        site.prometheus.start()
        wait_until(lambda: len(site.slack.matching(about("The alert path works again"))) == 2, MENDED_WITHIN_SECONDS)
        wait_until(lambda: site.alertmanager.alerts("AlertsHeld") == [], 60, what="the end of holding")

        site.vv("heartbeat", "over")
        site.slack.wait_for(about("RESOLVED", "A lasting fault"), 90)
        assert len(site.slack.matching(about("A lasting fault"))) == 2
        assert len(site.slack.matching(about("An ending fault"))) == 2
        assert site.slack.matching(about("A fault that is none")) == []
        assert site.slack.matching(about("AlertsHeld")) == []
        for untrue in ("ExporterDown", "AlertmanagerDown", "RuleEvaluationFailing"):
            assert site.slack.matching(about(untrue)) == []


LASTING_AND_ENDING = OF_SAMPLES[: OF_SAMPLES.index("      - alert: Down")]
LEASED_SECONDS = 3600  # at least


def stand_still(folder: Path, programs: Programs) -> None:
    """A suspended machine: all are stopped for longer than samples and alerts live, and Alertmanager wakes first."""
    with running_site(folder, programs, f"--query.lookback-delta={LOOKBACK_SECONDS}s") as site:
        end = time.time() + 90
        rules = site.folder / "config" / "rules" / "of-samples.yml"
        rules.write_text(LASTING_AND_ENDING.format(end=end))
        site.prometheus.reload()
        for name, title in (("Lasting", "A lasting fault"), ("Ending", "An ending fault")):
            site.slack.wait_for(about(title), 60)
            wait_until(lambda name=name: is_leased(site, name), 60, what=f"the lease of {name}")

        parts = (site.alertmanager, site.prometheus, site.exporter)
        for part in reversed(parts):
            part.freeze()
        stopped = time.time()
        longest = max(LOOKBACK_SECONDS, 4 * resend_delay(AFTER_SECONDS))
        wait_until(lambda: time.time() > max(stopped + longest + 10, end), 150, what="that nothing is new any more")
        site.alertmanager.thaw()
        held = wait_until(lambda: site.of_the_rule("Lasting"), 30, what="an Alertmanager that is awake")
        assert held["status"]["state"] == "active"
        site.prometheus.thaw()
        wait_until(lambda: site.prometheus.alerts("Lasting") == [], 60, what="a Prometheus that has no new samples")
        site.exporter.thaw()

        site.slack.wait_for(about("RESOLVED", "An ending fault"), 120)
        wait_until(lambda: site.alertmanager.alerts("AlertsHeld") == [], 60, what="the end of holding")
        assert "Nothing ran for" in site.vv("timeline", "--since", "10m").stdout
        assert site.slack.matching(about("RESOLVED", "A lasting fault")) == []
        site.vv("heartbeat", "over")
        site.slack.wait_for(about("RESOLVED", "A lasting fault"), 90)
        assert len(site.slack.matching(about("A lasting fault"))) == 2
        assert len(site.slack.matching(about("An ending fault"))) == 2
        for untrue in ("ExporterDown", "AlertmanagerDown", "RuleEvaluationFailing", "alert path", "AlertsHeld"):
            assert site.slack.matching(about(untrue)) == [], titles(site)


def is_leased(site: Site, name: str) -> bool:
    """Whether Alertmanager keeps it though nobody sends it again."""
    alert = site.of_the_rule(name)
    return alert is not None and moment(alert["endsAt"]) > time.time() + LEASED_SECONDS


def tell_once(folder: Path, programs: Programs) -> None:
    """The exporter is not reached, which the path and the rule ExporterDown both notice."""
    with running_site(folder, programs) as site:
        site.scrapes.cut()
        site.slack.wait_for(about(f"CRITICAL: {BROKEN}: not scraped"), TOLD_WITHIN_SECONDS)
        ruled = wait_until(lambda: site.of_the_rule("ExporterDown"), 240, what="ExporterDown by its rule")
        assert ruled["status"]["inhibitedBy"], ruled
        # One on the same routes that comes after it.
        later = {"alertname": "Later", "severity": "critical", "component": "c", "device": "edge-7"}
        site.alertmanager.post_alert(later, {"summary": "Later one"})
        site.slack.wait_for(about("Later one"), 60)
        site.scrapes.mend()
        site.slack.wait_for(about("The alert path works again"), MENDED_WITHIN_SECONDS)

        assert [title for title in titles(site) if "Later one" not in title] == [
            f"CRITICAL: {BROKEN}: not scraped",
            "RESOLVED: The alert path works again",
        ]


def restart_each(folder: Path, programs: Programs) -> None:
    with running_site(folder, programs) as site:
        for server in (site.prometheus, site.alertmanager, site.exporter):
            server.stop()
            server.start()
            before = site.exporter.metrics()[LAST_BEAT]
            wait_until(lambda before=before: site.exporter.metrics()[LAST_BEAT] > before, 60, what="a beat after it")
        assert site.slack.matching(about("alert path")) == []
        assert site.document()["alert_path"]["latency"] < AFTER_SECONDS


SCENARIOS: dict[str, Callable[[Path, Programs], None]] = {
    **{f"hops{number}": partial(through, faults=faults) for number, faults in enumerate(FAULTS)},
    "last line": tell_the_last_line,
    "missed": tell_what_was_missed,
    "full disk": fill_the_disk,
    "restarts": restart_each,
    "once": tell_once,
    "standstill": stand_still,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, programs: Programs) -> Iterator[dict[str, Future[None]]]:
    """Every scenario on a device of its own, side by side: they wait for most of their time."""
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        yield {
            name: pool.submit(scenario, tmp_path_factory.mktemp("device") / "site", programs)
            for name, scenario in SCENARIOS.items()
        }


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=[", ".join(one.name for one in faults) for faults in FAULTS])
def test_a_broken_hop_is_told_once_within_a_minute_and_once_when_it_is_mended(
    runs: dict[str, Future[None]], number: int
) -> None:
    runs[f"hops{number}"].result()


def test_the_last_line_tells_each_condition_once_and_alertmanager_does_not_again(runs: dict[str, Future[None]]) -> None:
    runs["last line"].result()


def test_what_fired_and_ended_while_alertmanager_was_down_is_told_in_a_summary(runs: dict[str, Future[None]]) -> None:
    runs["missed"].result()


def test_that_the_exporter_is_not_reached_is_told_by_the_path_or_the_rule_and_not_by_both(
    runs: dict[str, Future[None]],
) -> None:
    runs["once"].result()


def test_restarts_of_each_server_bring_no_word(runs: dict[str, Future[None]]) -> None:
    runs["restarts"].result()


def test_after_a_standstill_nothing_that_lasts_is_told_as_ended_or_again(runs: dict[str, Future[None]]) -> None:
    runs["standstill"].result()


def test_on_a_full_disk_nothing_is_told_as_ended_or_down_that_is_not(runs: dict[str, Future[None]]) -> None:
    runs["full disk"].result()
