"""Every alert in each of its severities, as far as those who are told: the rules' own expressions in a real Prometheus,
a real Alertmanager with the configuration as it is rendered, and a receiver for every channel.

What makes each alert fire are the series of its unit test (`tests/rules/`), as the history of a device of its own. So
an alert that is added is here without a change. All of it is tried in each language. Times that differ from a device's:
see `tests/support/past.py`, and Alertmanager collects for a second. What inhibits what is another matter:
test_inhibitions.py.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.rules.catalogue import ALERTS
from tests.support.past import prometheus_with_a_past
from tests.support.proofs import Proof, proofs
from tests.support.receivers import Mail, Recorder, Request
from tests.support.servers import Programs
from tests.support.waiting import wait_until
from tests.support.world import CHANNELS, TEXTS, Alert, World, open_world, seen
from vv_exporter.render.annotations import TRANSLATED_ANNOTATIONS as TRANSLATED
from vv_exporter.render.annotations import messages
from vv_exporter.render.prometheus import here

pytestmark = pytest.mark.prometheus

NAMES = [f"{rule['alert']}.{rule['labels']['severity']}" for rule in ALERTS]
TOLD = [name for name in NAMES if not name.endswith(".none")]
NAME = re.compile(r"\b[A-Z]\w+\.(?:critical|error|warning|info|none)\b")
NUMBERS = re.compile(r"[-+]?\d[\w.:%+-]*(?:\s+[-+]?\d[\w.:%+-]*)*")
PATIENCE = 90  # seconds
LANGUAGES = ("en", "pt-BR")
RESOLVED = re.compile(r"\bRESOLV(?:ED|IDO) ")
DRILL = re.compile(r"\[?(\S+ <b>)?(?:DRILL|SIMULADO)\b")
# Of Slack: it cannot tell of itself.
BY_OTHERS = {"NotificationsFailing.error": {"telegram", "mail", "webhook", "log"}}


class Wire:
    """Who got what, of all alerts. An alert is known by its device, which has its name."""

    def __init__(self, world: World, proofs: dict[str, Proof]) -> None:
        self.world = world
        self.proofs = proofs
        self.unhealthy: list[str] = []
        """Rules that could not be evaluated."""
        self._read: Counter[str] = Counter()
        self._items: defaultdict[tuple[str, str, str], list[Any]] = defaultdict(list)
        self._aliases: dict[str, str] = {}

    def items(self, name: str, channel: str, status: str) -> list[Any]:
        """What a channel got of an alert that began (`firing`) or ended (`resolved`)."""
        receiver: Recorder[Any] = getattr(self.world, channel)
        for item in receiver.received[self._read[channel] :]:
            self._read[channel] += 1
            for named in self._names(item):
                self._items[named, channel, status_of(item)].append(item)
        return self._items[name, channel, status]

    def _names(self, item: Request | Mail) -> set[str]:
        """The alerts that it is about. Opsgenie's request that closes one has its alias only."""
        if isinstance(item, Request) and (closed := re.fullmatch(r"/v2/alerts/(\w+)/close", item.path)):
            return {self._aliases[closed[1]]} if closed[1] in self._aliases else set()
        names = set(NAME.findall(seen(item))) & self.proofs.keys()
        if isinstance(item, Request) and item.path == "/v2/alerts":
            self._aliases |= dict.fromkeys([item.json["alias"]], *names)
        return names

    def counts(self, name: str, status: str) -> dict[str, int]:
        """How many messages of it each channel got, if any. The dead man's switch has beats: one is enough."""
        channels = [channel for channel, receiver in vars(self.world).items() if isinstance(receiver, Recorder)]
        found = {channel: len(self.items(name, channel, status)) for channel in channels}
        found["deadman"] = min(found["deadman"], 1)
        return {channel: count for channel, count in found.items() if count}

    def expected(self, name: str, status: str) -> dict[str, int]:
        """What `counts` must be: the dead man's switch is told of no end."""
        channels = BY_OTHERS.get(name, CHANNELS[name.rpartition(".")[2]])
        return dict.fromkeys(channels if status == "firing" else channels - {"deadman"}, 1)

    def all_told(self, status: str) -> bool:
        """Whether everybody has got everything."""
        return all(self.counts(name, status).keys() >= self.expected(name, status).keys() for name in self.proofs)

    def alert(self, name: str) -> dict[str, Any]:
        """The alert as the log was told when it began."""
        (request,) = self.items(name, "log", "firing")
        (alert,) = request.json["alerts"]
        found: dict[str, Any] = alert
        return found


def status_of(item: Request | Mail) -> str:
    """`firing` or `resolved`."""
    if isinstance(item, Mail):
        resolved = bool(RESOLVED.match(item.subject, 1))
    elif item.path.endswith("/close"):
        resolved = True
    elif "event_action" in item.json:
        resolved = item.json["event_action"] == "resolve"
    elif "attachments" in item.json:
        resolved = bool(RESOLVED.match(item.json["attachments"][0]["title"]))
    elif "parse_mode" in item.json:
        resolved = bool(RESOLVED.search(item.json["text"].split("\n")[0]))
    else:
        resolved = item.json.get("status") == "resolved"
    return "resolved" if resolved else "firing"


@pytest.fixture(scope="module", params=LANGUAGES)
def wire(
    programs: Programs, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Wire]:
    """All alerts fire and end, once. What does not come within its time is left to the tests."""
    folder = tmp_path_factory.mktemp("wire")
    chosen = [proof.on_a_device_of_its_own() for proof in proofs()]
    with open_world(folder, programs, VV_LANGUAGE=request.param) as world:
        wire = Wire(world, {proof.name: proof for proof in chosen})
        config = folder / "config" / "prometheus.yml"
        with prometheus_with_a_past(config, folder / "prometheus", programs, chosen) as prometheus:
            settle(wire, "firing")
            wire.unhealthy = [
                f"{one['name']}: {one['lastError']}" for one in prometheus.rules() if one["health"] != "ok"
            ]
        world.alertmanager.post("/api/v2/alerts", [ended(alert) for alert in world.alertmanager.alerts()])
        settle(wire, "resolved")
        yield wire


def settle(wire: Wire, status: str) -> None:
    """Wait until everybody has got everything, and then for an alert of each severity that came after."""
    with contextlib.suppress(AssertionError):  # each alert has a test that says so
        wait_until(lambda: wire.all_told(status), PATIENCE)
    last = [Alert(severity=severity) for severity in CHANNELS if severity != "none"]
    wire.world.raise_alerts(*last)
    for alert in last:
        for channel in CHANNELS[alert.severity]:
            getattr(wire.world, channel).wait_for(lambda item, alert=alert: alert.device in seen(item), 30)


def ended(alert: dict[str, Any]) -> dict[str, Any]:
    """As Prometheus tells of an end."""
    now = datetime.now(UTC).isoformat()
    return {name: alert[name] for name in ("labels", "annotations", "startsAt")} | {"endsAt": now}


def words(annotations: dict[str, str]) -> dict[str, str]:
    """What is said, numbers and times aside: they go on while the alert is on its way."""
    return {name: NUMBERS.sub("#", text).strip() for name, text in annotations.items() if text.strip()}


def test_all_rules_can_be_evaluated_side_by_side(wire: Wire) -> None:
    assert wire.unhealthy == []


def test_each_alert_has_a_unit_test_that_can_be_shown_to_prometheus(wire: Wire) -> None:
    assert sorted(wire.proofs) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_reaches_its_channels_once_and_no_others(wire: Wire, name: str) -> None:
    assert wire.counts(name, "firing") == wire.expected(name, "firing")


@pytest.mark.parametrize("name", TOLD)
def test_an_alert_says_what_its_unit_test_says(wire: Wire, name: str) -> None:
    alert, proof = wire.alert(name), wire.proofs[name]

    assert alert["labels"] == proof.labels
    said_here = {name: here(text, wire.world.settings) for name, text in proof.annotations.items()}
    if wire.world.settings.language == "en":
        assert words(alert["annotations"]) == words(said_here)
    else:
        found, rule = words(alert["annotations"]), ALERTS[NAMES.index(name)]
        assert found.keys() == words(said_here).keys()
        assert [
            part for part in TRANSLATED if found.get(part) == said_here[part] and messages(rule["annotations"][part])
        ] == []


@pytest.mark.parametrize("name", TOLD)
def test_every_channel_tells_every_field(wire: Wire, name: str) -> None:
    alert = wire.alert(name)
    missing = {}
    for channel, (receiver, text) in TEXTS.items():
        if receiver in wire.expected(name, "firing"):
            (item,) = wire.items(name, receiver, "firing")
            if absent := fields_not_in(text(item), alert, item, wire.world):
                missing[channel] = absent

    assert missing == {}


def fields_not_in(text: str, alert: dict[str, Any], item: Request | Mail, world: World) -> dict[str, str]:
    """The fields that a notification must have, and has not."""
    annotations = alert["annotations"]
    started = datetime.fromisoformat(alert["startsAt"]).astimezone(UTC)
    wanted = {
        "timestamp": f"{started:%Y-%m-%dT%H:%M:%S}",
        "severity": alert["labels"]["severity"],
        "device": alert["labels"]["device"],
        "component": alert["labels"]["component"],
        "title": annotations["summary"],
        "details": annotations["description"],
        "runbook": annotations["runbook_url"],
    }
    wanted |= {name: annotations[name].strip() for name in ("video", "video_sha256", "error") if name in annotations}
    wanted |= {f"action {line[:2]}": line for line in annotations["suggested_actions"].splitlines()}
    if isinstance(item, Mail) or item.json.get("version") != "4":
        wanted["status page"] = world.settings.exporter_url
        wanted["silence"] = f"{world.settings.public_url}/silence?filter="
        episode = f"{alert['fingerprint']}-{int(started.timestamp())}"
        wanted["alert id"] = annotations.get("alert_id", "").strip() or episode
    text = " ".join(text.split())
    return {name: value for name, value in wanted.items() if " ".join(value.split()).lower() not in text.lower()}


@pytest.mark.parametrize("name", NAMES)
def test_its_end_is_told_where_its_beginning_was(wire: Wire, name: str) -> None:
    assert wire.counts(name, "resolved") == wire.expected(name, "resolved")


def test_every_provider_would_have_taken_all_of_it(wire: Wire) -> None:
    assert {type(one).__name__: one.violations for one in wire.world.receivers() if one.violations} == {}


HEADLINES = {
    "slack": lambda item: item.json["attachments"][0]["title"],
    "telegram": lambda item: item.json["text"].splitlines()[0],
    "pagerduty": lambda item: item.json["payload"]["summary"],
    "opsgenie": lambda item: item.json["message"],
    "mail": lambda item: item.subject,
}


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("Drill.")])
def test_nobody_takes_a_drill_for_a_fault(wire: Wire, name: str) -> None:
    """What is read first, at a telephone's locked screen, says what it is and names no severity before that."""
    channels = HEADLINES.keys() & wire.expected(name, "firing").keys()

    heads = {channel: HEADLINES[channel](wire.items(name, channel, "firing")[0]) for channel in channels}
    assert heads
    assert {channel: head for channel, head in heads.items() if not DRILL.match(head)} == {}
