"""Over restarts of exporter, Prometheus, Alertmanager and all of them each incident is opened and closed once, as one.

`VV_TEST_RESTARTS=100` for more of them, `VV_TEST_RESTARTS_SEED` for others.
"""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.exporter import QUIET, Exporter
from tests.support.ports import free_port
from tests.support.receivers import PagerDuty, Request, Slack, Webhook
from tests.support.routes import hasten
from tests.support.servers import Alertmanager, Programs, Prometheus, Server
from tests.support.waiting import wait_until
from vv_exporter.render import render
from vv_exporter.settings import load

RESTARTS = int(os.environ.get("VV_TEST_RESTARTS", "8"))
SEED = int(os.environ.get("VV_TEST_RESTARTS_SEED", "7"))
AFTER_SECONDS = 40
"""Alertmanager keeps what Prometheus does not send again for as long: any restart here is over by then."""
FAULTS = {"FaultAtOnce": 0, "FaultLater": 3, "FaultSlow": 6}
"""Rules of these names, and the seconds of their `for`."""

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(120 + 30 * RESTARTS)]


@dataclass
class Site:
    """All that tells people, and a rule for each fault, which fires while it is in `faults`."""

    folder: Path
    exporter: Exporter
    prometheus: Prometheus
    alertmanager: Alertmanager
    pagerduty: PagerDuty
    slack: Slack
    webhook: Webhook
    faults: set[str]

    def parts(self, what: str) -> Sequence[Server | Exporter]:
        every = {"exporter": self.exporter, "prometheus": self.prometheus, "alertmanager": self.alertmanager}
        return [*every.values()] if what == "all" else [every[what]]

    def write_rules(self) -> None:
        """Prometheus reads them at its next start or `reload`."""
        path = self.folder / "config" / "rules" / "meta.yml"
        document = yaml.safe_load(path.read_text())
        watchdog = [r for group in document["groups"] for r in group["rules"] if r.get("alert") == "Watchdog"]
        rules = [rule(name, seconds, name in self.faults) for name, seconds in FAULTS.items()]
        document["groups"] = [{"name": "meta", "rules": watchdog}, {"name": "faults", "rules": rules}]
        for other in path.parent.glob("*.yml"):
            if other != path:
                other.unlink()
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def change(self, name: str) -> None:
        """The fault begins, or ends."""
        self.faults ^= {name}
        self.write_rules()

    def told(self, name: str) -> list[Request]:
        """What the generic webhook was told of a fault."""
        return [one for one in self.webhook.received if name in one.json["title"]]


def rule(name: str, seconds: int, is_so: bool) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": f"vector(1) == {1 if is_so else 0}",
        "for": f"{seconds}s",
        "labels": {"severity": "critical", "component": "test"},
        "annotations": {"summary": f"{name} it is"},
    }


@pytest.fixture
def site(tmp_path: Path, programs: Programs) -> Iterator[Site]:
    with PagerDuty() as pagerduty, Slack() as slack, Webhook() as webhook:
        ports = {"VV_ALERTMANAGER_PORT": free_port(), "VV_PROMETHEUS_PORT": free_port()}
        exporter = Exporter(
            tmp_path / "state",
            **QUIET,
            **{name: str(port) for name, port in ports.items()},
            VV_DEVICE_ID="edge-7",
            VV_SCRAPE_INTERVAL="1s",
            VV_ALERT_PATH_AFTER=f"{AFTER_SECONDS}s",
            VV_DELIVERY_SETTLE="12s",
            PAGERDUTY_ROUTING_KEY="0123456789abcdef0123456789abcdef",
            PAGERDUTY_URL=pagerduty.url,
            SLACK_WEBHOOK_URL=slack.url,
            WEBHOOK_URL=webhook.url,
        )
        config = tmp_path / "config"
        render(load(exporter.environ), config)
        hasten(config / "alertmanager.yml")
        alertmanager = Alertmanager(
            config / "alertmanager.yml", tmp_path / "am", programs, ports["VV_ALERTMANAGER_PORT"]
        )
        prometheus = Prometheus(
            config / "prometheus.yml", tmp_path / "pr", programs, ports["VV_PROMETHEUS_PORT"], after=AFTER_SECONDS
        )
        found = Site(tmp_path, exporter, prometheus, alertmanager, pagerduty, slack, webhook, set())
        found.write_rules()
        try:
            for part in (exporter, alertmanager, prometheus):
                part.start()
            yield found
        finally:
            for part in (prometheus, alertmanager, exporter):
                part.stop()
        assert pagerduty.violations + slack.violations + webhook.violations == []


def restart(site: Site, what: str, seconds: float, changing: Sequence[str], *, kill: bool) -> None:
    """Faults begin and end while it is down."""
    for part in site.parts(what):
        # What Alertmanager noted of notifications is as old as its last snapshot when it is killed.
        if kill and part is not site.alertmanager:
            part.kill()
        else:
            part.stop()
    for name in changing:
        site.change(name)
    time.sleep(seconds)
    for part in site.parts(what):
        part.start()
    if site.prometheus not in site.parts(what):
        site.prometheus.reload()


def test_each_incident_is_opened_and_closed_once_over_restarts(site: Site) -> None:
    chance = random.Random(SEED)
    for _ in range(RESTARTS):
        # Never one that another restart has just changed, and nobody was told of yet.
        settled = [name for name in FAULTS if is_told(site, name)]
        changing = [name for name in settled if chance.random() < 0.6]
        what = chance.choice(("exporter", "prometheus", "alertmanager", "all"))
        restart(site, what, chance.uniform(0, 2), changing, kill=chance.random() < 0.5)
        time.sleep(chance.uniform(0, 4))
    for name in sorted(site.faults):
        wait_until(lambda name=name: is_told(site, name), 90, what=f"the beginning of {name}")
        site.change(name)
    site.prometheus.reload()
    for name in FAULTS:
        wait_until(lambda name=name: is_told(site, name), 120, what=f"the end of {name}")
    wait_until(lambda: not open_incidents(site), 60, what="the end of every incident")
    wait_until(lambda: not open_in_chat(site), 60, what="the end in the chat of all that it was told of")

    assert len(site.webhook.received) >= 2
    check_webhook(site)
    check_pager(site)
    check_chat(site)


def is_told(site: Site, name: str) -> bool:
    """Whether the last that was told of a fault is as it is."""
    told = site.told(name)
    return (told[-1].headers["VV-Alert-Status"] == "firing" if told else False) == (name in site.faults)


def ids(site: Site) -> set[str]:
    return {one.json["alert_id"] for one in site.webhook.received}


def check_webhook(site: Site) -> None:
    by_id: dict[str, list[Request]] = defaultdict(list)
    for request in site.webhook.received:
        by_id[request.json["alert_id"]].append(request)
    for told in by_id.values():
        assert [one.headers["VV-Alert-Status"] for one in told] == ["firing", "resolved"], told
        assert len({one.json["timestamp"] for one in told}) == 1, told


def check_pager(site: Site) -> None:
    """Each trigger that opens has its resolve, which names the same alert; a repeat names it, too."""
    for key, told in incidents(site).items():
        opened = ""
        for request in told:
            action = request.json["event_action"]
            if action == "trigger":
                id_ = request.json["payload"]["custom_details"]["alert_id"].strip()
                assert id_ in ids(site)
                assert opened in ("", id_), f"{key} is opened twice"
                opened = id_
            else:
                assert opened, f"{key} is closed twice"
                opened = ""
        assert opened == ""


def check_chat(site: Site) -> None:
    for id_ in ids(site):
        texts = [str(one.json) for one in site.slack.received if id_ in str(one.json)]
        if texts:
            assert ["RESOLVED" in text for text in texts].count(True) == 1, texts
            assert "RESOLVED" in texts[-1]


def open_in_chat(site: Site) -> set[str]:
    texts = [str(one.json) for one in site.slack.received]
    return {
        id_ for id_ in ids(site) if (said := [text for text in texts if id_ in text]) and "RESOLVED" not in said[-1]
    }


def incidents(site: Site) -> dict[str, list[Request]]:
    found: dict[str, list[Request]] = defaultdict(list)
    for request in site.pagerduty.received:
        found[request.json["dedup_key"]].append(request)
    return dict(found)


def open_incidents(site: Site) -> list[str]:
    return [key for key, told in incidents(site).items() if told[-1].json["event_action"] == "trigger"]
