"""A device in miniature and in no time: models of Prometheus and Alertmanager, the exporter's real parts between them.

The models have what the real servers remember, and what they forget: Prometheus its active alerts, Alertmanager its
alerts and groups; its record of notifications is on the disk as of its last orderly end, or of
two minutes ago. One alert is a group. (Of the two: `rules/alerting.go`, `dispatch/dispatch.go`, `notify/notify.go`,
`types/types.go`.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.clock import Clock
from vv_exporter.alert_path.beats import Beats
from vv_exporter.alert_path.hops import Observation
from vv_exporter.alert_path.questions import QuestionError
from vv_exporter.alert_path.standstill import Pause
from vv_exporter.alerting import Delivery, Outside
from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.channels import Answer
from vv_exporter.common.clock import isoformat, moment
from vv_exporter.context import Context
from vv_exporter.delivery import notificationevents, notifications
from vv_exporter.delivery.received import receive
from vv_exporter.delivery.webhook import OUTBOX, fingerprint
from vv_exporter.messages.message import Message
from vv_exporter.settings import Settings, load
from vv_exporter.state.openalerts import ALERTS, OpenAlert
from vv_exporter.state.store import Store

STEP = 2.0
SNAPSHOT_SECONDS = 120.0
RESOLVED_KEPT_SECONDS = 900.0
LOOKBACK_SECONDS = 300.0
Labels = Mapping[str, str]


@dataclass
class Rule:
    """An alerting rule, and since when it is so that it should fire; 0: it is not."""

    name: str
    waits: float
    severity: str
    since: float = 0.0

    @property
    def labels(self) -> dict[str, str]:
        return {"alertname": self.name, "severity": self.severity, "component": "c", "device": "edge-7"}


@dataclass
class Active:
    """What Prometheus knows of an alert."""

    since: float
    fired: float = 0.0
    ended: float = 0.0
    true: float = 0.0
    sent: float = 0.0


class Prometheus:
    """Scrapes and then evaluates every ten seconds, keeps firing for a minute, sends every 45, looks back for 300."""

    def __init__(self, world: World, rules: Sequence[Rule]) -> None:
        self.world, self.rules_ = world, rules
        self.start()

    def start(self) -> None:
        self.is_up, self.started = True, self.world.now
        self.active: dict[str, Active] = {}
        self.evaluated = self.scraped = self.world.now

    def stop(self) -> None:
        self.is_up = False

    def step(self) -> None:
        if self.is_up and self.world.now - self.evaluated >= 10:
            self.evaluated = self.world.now
            for rule in self.rules_:
                self._evaluate(rule)
            if self.world.exporter_is_up:  # as late as can be: on waking the rules see what was before
                self.scraped = self.world.now
                self.world.scraped()

    def _evaluate(self, rule: Rule) -> None:
        # Without the exporter there are no series.
        now, is_seen = self.world.now, self.world.exporter_is_up and self.world.now - self.scraped < LOOKBACK_SECONDS
        is_so = bool(rule.since) and is_seen
        known = self.active.get(rule.name)
        if is_so and (known is None or known.ended):
            known = self.active[rule.name] = Active(now)
        if known is None:
            return
        if is_so:
            known.true = now
            if not known.fired and now - known.since >= rule.waits:
                known.fired = now
        elif not known.fired:
            del self.active[rule.name]
            return
        elif not known.ended and now - known.true >= 60:
            known.ended = now
        if known.ended and now - known.ended > RESOLVED_KEPT_SECONDS:
            del self.active[rule.name]
        elif known.fired and (known.ended > known.sent or now - known.sent >= 45):
            ends = known.ended or now + 180
            if self.world.alertmanager.post([document(rule.labels, known.fired, ends)]):
                known.sent = now

    def groups(self) -> list[dict[str, Any]]:
        rules = []
        for rule in self.rules_:
            known = self.active.get(rule.name)
            shown = [] if known is None or known.ended else [
                {"labels": rule.labels, "state": "firing" if known.fired else "pending"}
            ]  # fmt: skip
            rules.append({"name": rule.name, "lastEvaluation": isoformat(self.evaluated), "alerts": shown})
        return [{"file": "f", "name": "g", "rules": rules}]


@dataclass
class Route:
    """A receiver, whom it is for, and its times."""

    receiver: str
    severities: tuple[str, ...]
    wait: float
    interval: float
    repeat: float
    tells_ends_of_events: bool = True


ROUTES = (
    Route("log", ("critical", "error"), 1, 10, 86400),
    Route("pagerduty", ("critical",), 5, 60, 3600),
    Route("slack", ("critical", "error"), 5, 60, 4 * 3600, False),
)


@dataclass
class Group:
    """One alert on one route: when it is looked at next, and what it was last seen as."""

    due: float
    alert: dict[str, Any]


@dataclass
class Entry:
    """Of the record of notifications."""

    firing: bool
    time: float


class Alertmanager:
    """Groups, tells, remembers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.record: dict[tuple[str, str], Entry] = {}
        self.saved: dict[tuple[str, str], Entry] = {}
        self.snapshot = world.now
        self.start()

    def start(self) -> None:
        self.is_up, self.started = True, self.world.now
        self.held: dict[str, dict[str, Any]] = {}
        self.groups: dict[tuple[str, str], Group] = {}

    def stop(self, *, kill: bool = False) -> None:
        self.is_up = False
        if not kill:
            self.saved = {**self.record}
        self.record = {**self.saved}

    def post(self, alerts: Sequence[Mapping[str, Any]]) -> bool:
        if not self.is_up:
            return False
        for alert in alerts:
            assert moment(alert["startsAt"]) < moment(alert["endsAt"]), "refused: it ends before it begins"  # type: ignore[operator]
            self._put(dict(alert))
        return True

    def _put(self, new: dict[str, Any]) -> None:
        name = fingerprint(new["labels"])
        old, start, end = self.held.get(name), at(new["startsAt"]), at(new["endsAt"])
        if old is not None:
            old_start, old_end = at(old["startsAt"]), at(old["endsAt"])
            if old_start < end < old_end or old_start < start < old_end:
                new["startsAt"] = old["startsAt"] if old_start < start else new["startsAt"]
                later = old_end > end
                if later and (end > self.world.now or old_end <= self.world.now):
                    new["endsAt"] = old["endsAt"]
        self.held[name] = new
        for route in ROUTES:
            if new["labels"]["severity"] in route.severities and "told" not in new["labels"]:
                known = self.groups.get((route.receiver, name))
                if known is None:
                    wait = 0.0 if start + route.wait < self.world.now else route.wait
                    due = max(self.world.now + wait, self.started + 3)
                    self.groups[route.receiver, name] = Group(due, new)
                else:
                    known.alert = new

    def step(self) -> None:
        if not self.is_up:
            return
        now = self.world.now
        if now - self.snapshot >= SNAPSHOT_SECONDS:
            self.snapshot, self.saved = now, {**self.record}
        for key, group in list(self.groups.items()):
            if now >= group.due:
                route = next(one for one in ROUTES if one.receiver == key[0])
                group.due = now + route.interval
                self._flush(route, key, group)

    def _is_inhibited(self, alert: Mapping[str, Any]) -> bool:
        """By AlertsHeld, as the rendered configuration has it."""
        return alert["labels"]["alertname"] != "VVEvent" and bool(self.world.holds("AlertsHeld"))

    def _flush(self, route: Route, key: tuple[str, str], group: Group) -> None:
        now, entry = self.world.now, self.record.get(key)
        is_firing = at(group.alert["endsAt"]) > now
        if self._is_inhibited(group.alert):
            is_news = False
        elif entry is None:
            is_news = is_firing
        elif is_firing:
            is_news = not entry.firing or now - entry.time >= route.repeat
        else:
            is_news = entry.firing
        if is_news:
            is_event = group.alert["labels"]["alertname"] == "VVEvent"
            is_told = is_firing or route.tells_ends_of_events or not is_event
            if is_told and not self.world.tell(route.receiver, group.alert, is_firing):
                return
            self.record[key] = Entry(is_firing, now)
        if not is_firing:
            del self.groups[key]


@dataclass(frozen=True)
class Told:
    """What a receiver was told: whether it fires, what it is known by there, its id and start."""

    receiver: str
    firing: bool
    key: str
    id: str
    start: float
    time: float
    title: str = ""


class World:
    """Everything, and what people were told. `exporter` is None while it is down."""

    def __init__(self, folder: Path, rules: list[Rule], *, with_path: bool = False) -> None:
        """`with_path`: the exporter looks at the alert path, too."""
        self.clock = Clock()
        self.with_path = with_path
        self.evaluated_meanwhile = False
        self.folder, self.rules = folder, rules
        self.told: list[Told] = []
        self.events: list[tuple[float, str, Mapping[str, Any], bool]] = []
        self.exporter: Exporter | None = None
        self.alertmanager = Alertmanager(self)
        self.prometheus = Prometheus(self, rules)
        self.start_exporter()

    @property
    def now(self) -> float:
        return self.clock.now

    @property
    def exporter_is_up(self) -> bool:
        return self.exporter is not None

    def start_exporter(self) -> None:
        self.exporter = Exporter(self)

    def stop_exporter(self) -> None:
        if self.exporter is not None:
            self.exporter.close()
        self.exporter = None

    def work(self, seconds: float) -> None:
        for _ in range(int(seconds / STEP)):
            self.prometheus.step()
            self.alertmanager.step()
            self.report()
            if self.exporter is not None:
                self.exporter.step()
            self.clock.advance(STEP)

    def stand_still(self, seconds: float, order: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Nothing runs; then Alertmanager (a), Prometheus (p), the exporter (e) and messages (m) wake in this order."""
        meanwhile()
        self.clock.advance(seconds)
        assert self.exporter is not None
        steps = {
            "a": self.alertmanager.step,
            "p": self.prometheus.step,
            "e": self.exporter.step,
            "m": self.report,
        }
        for one in order:
            steps[one]()

    def scraped(self) -> None:
        """Prometheus has a new beat."""
        if self.exporter is not None:
            self.exporter.beat = self.exporter.context.beats.show()

    @property
    def store(self) -> Store:
        assert self.exporter is not None
        return self.exporter.store

    def holds(self, name: str) -> list[float]:
        """Until when Alertmanager holds what fires by this name."""
        held = self.alertmanager.held.values()
        ends = [at(one["endsAt"]) for one in held if one["labels"]["alertname"] == name]
        return [one for one in ends if one > self.now]

    def tell(self, receiver: str, alert: Mapping[str, Any], firing: bool) -> bool:
        """Alertmanager notifies. False when the receiver is away."""
        if receiver == "log":
            if self.exporter is None:
                return False
            self.exporter.notified(alert, firing)
            return True
        start = at(alert["startsAt"])
        id_ = notifications.shown_id(alert["annotations"], fingerprint(alert["labels"]), alert["startsAt"])
        key = notificationevents.Group(group_key=group_key(receiver, alert["labels"])).incident
        self.told.append(Told(receiver, firing, key, id_, start, self.now, alert["labels"]["alertname"]))
        self.events.append((self.now, receiver, alert, firing))
        self.report()
        return True

    def report(self) -> None:
        """The event recorder tries for eight seconds."""
        if self.exporter is None:
            return
        for time, receiver, alert, firing in self.events:
            if self.now - time <= 8:
                self.exporter.reported(receiver, alert, firing)
        self.events.clear()


class Exporter:
    """The real delivery, its loops turned by hand."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = Store(world.folder / "state.db", world.clock)
        beats = Beats(world.clock, world.clock)
        channels = {name: Recorder(world, name) for name in ("slack", "pagerduty")}
        self.context = Context(settings(), self.store, world.clock, world.clock, world.clock, "boot", beats)
        self.delivery = Delivery(self.context, Outside(self, self.metrics, self, channels))  # type: ignore[arg-type]
        self.senders = self.delivery.senders
        self.steps = 0
        self.beat = 0.0

    def close(self) -> None:
        self.take_parcels()
        self.store.close()

    def step(self) -> None:
        world, beats = self.world, self.context.beats
        beats.tick()
        self.steps += 1
        if world.with_path:
            self.delivery.path.round()
        self.delivery._continuity.round()
        if self.steps % (30 / STEP) == 0:
            self.delivery.leases.round()
        for seconds, work in (
            (4, self.delivery._look_at_alertmanager),
            (4, self.delivery.relay.round),
            (60, self.delivery._reconcile_accounts),
        ):
            if self.steps % (seconds / STEP) == 0:
                work()
        if self.steps % (30 / STEP) == 0 and world.prometheus.is_up and world.alertmanager.is_up:
            beats.arrived(self.beat)
        for sender in self.senders:
            sender.round()
        self.take_parcels()

    def take_parcels(self) -> None:
        """The generic webhook takes what waits for it."""
        parcels = OUTBOX.waiting(self.store)
        for parcel in parcels.values():
            body = json.loads(parcel.body)
            firing = parcel.headers["VV-Alert-Status"] == "firing"
            start = moment(body["timestamp"]) or 0.0
            title = body["title"]
            self.world.told.append(Told("webhook", firing, parcel.key, body["alert_id"], start, self.world.now, title))
        if parcels:
            with self.store.transaction() as tx:
                OUTBOX.clear(tx)

    def notified(self, alert: Mapping[str, Any], firing: bool) -> None:
        ends = "0001-01-01T00:00:00Z" if firing else alert["endsAt"]
        status = "firing" if firing else "resolved"
        shown = {**alert, "status": status, "endsAt": ends, "fingerprint": fingerprint(alert["labels"])}
        with self.store.transaction() as tx:
            receive(tx, notifications.parse(json.dumps({"alerts": [shown]}).encode()), self.context.settings)

    def reported(self, receiver: str, alert: Mapping[str, Any], firing: bool) -> None:
        pairs = {
            name: {"labels": [{"key": key, "value": value} for key, value in alert[name].items()]}
            for name in ("labels", "annotations")
        }
        details = {"fingerprint": str(int(fingerprint(alert["labels"]), 16)), "startsAt": alert["startsAt"], **pairs}
        told = {
            "alerts": [{"hash": "7", "details": details}],
            ("firingAlerts" if firing else "resolvedAlerts"): [{"hash": "7"}],
            "groupInfo": {"receiverName": receiver, "groupKey": group_key(receiver, alert["labels"])},
            "integration": {"name": receiver},
        }
        event = {"@timestamp": isoformat(self.world.now), "data": {"notification": told}}
        with self.store.transaction() as tx:
            notificationevents.record(tx, notificationevents.parse(json.dumps(event).encode()))

    def raise_alert(self, key: str, severity: str, window: float) -> None:
        """As a script does."""
        now = self.world.now
        alert = OpenAlert(
            id=f"0197-{key}", key=key, severity=severity, title=f"T {key}", component="c", first=now, last=now,
            ends=now + window, occurrence=now,
        )  # fmt: skip
        with self.store.transaction() as tx:
            tx.put(ALERTS, key, alert)

    # What the exporter asks of the servers.

    def send(self, alerts: Sequence[dict[str, Any]]) -> None:
        if not self.world.alertmanager.post(alerts):
            raise DeliveryError("down")

    def alerts(self) -> list[dict[str, Any]]:
        if not self.world.alertmanager.is_up:
            raise DeliveryError("down")
        held = self.world.alertmanager.held.items()
        known = {"status": {"state": "active"}}
        return [{**one, **known, "fingerprint": name} for name, one in held if at(one["endsAt"]) > self.world.now]

    def metrics(self) -> str:
        self.alerts()
        return f"process_start_time_seconds {self.world.alertmanager.started}\n"

    def __call__(self) -> Observation:
        """Nothing is known to be broken."""
        beats = self.context.beats
        return Observation(180.0, 10.0, beats.now(), beats.scraped_age(), "no answer", "no answer")

    def evaluated_within(self, _: Pause) -> bool:
        return self.world.evaluated_meanwhile

    def prometheus_started(self) -> float:
        return self._answer(self.world.prometheus.is_up, self.world.prometheus.started)

    def alertmanager_started(self) -> float:
        return self._answer(self.world.alertmanager.is_up, self.world.alertmanager.started)

    def rules(self) -> list[dict[str, Any]]:
        return self._answer(self.world.prometheus.is_up, self.world.prometheus.groups())

    def _answer(self, is_up: bool, answer: Any) -> Any:
        if not is_up:
            raise QuestionError("no answer")
        return answer


class Recorder:
    """A channel that is told directly."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name, self.title = world, name, name

    def send(self, message: Message) -> Answer:
        told = Told(
            self.name, not message.resolved, message.key, message.alert_id, message.time, self.world.now,
            message.alertname,
        )  # fmt: skip
        self.world.told.append(told)
        return Answer(200, "ok")

    test: Callable[[Message], Answer] = send


def settings() -> Settings:
    return load(
        {
            "VV_STATE_DIR": "/nonexistent",
            "VV_CONFIG": "",
            "VV_DEVICE_ID": "edge-7",
            "WEBHOOK_URL": "https://example.org/hook",
        }
    )


def document(labels: Labels, starts: float, ends: float) -> dict[str, Any]:
    return {
        "labels": {**labels},
        "annotations": {"summary": labels["alertname"]},
        "startsAt": isoformat(starts),
        "endsAt": isoformat(ends),
    }


def group_key(receiver: str, labels: Labels) -> str:
    return f"{receiver}:{json.dumps(labels, sort_keys=True)}"


def at(text: str) -> float:
    found = moment(text)
    assert found is not None
    return found
