"""A drill: which channels it is for, what counts as taken, why one failed, when one is due, and what is shown."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.clock import Clock
from tests.support.routes import taken
from tests.unit.render.conftest import EVERY_CHANNEL
from vv_exporter.alert_path.drill_reasons import Known, out_of_time
from vv_exporter.alert_path.drill_worker import LATE_SECONDS, MARK, DrillWorker, Mark, is_quiet, overdue_after
from vv_exporter.alert_path.state import PATH, PathState
from vv_exporter.channels import REACHED, names_of
from vv_exporter.collectors.drills import DrillCollector
from vv_exporter.context import Context
from vv_exporter.delivery import channel_health, notificationevents, notifications
from vv_exporter.delivery.accounts import ACCOUNTS
from vv_exporter.delivery.channel_health import CHANNELS, Channel
from vv_exporter.delivery.drill_hook import is_for_webhook, note_parcel
from vv_exporter.delivery.parcels import OK, REFUSED
from vv_exporter.delivery.webhook import OUTBOX, Links, queue_event
from vv_exporter.digest import digest, history
from vv_exporter.drills.failure import WEBHOOK_REFUSED, Failure, given_up
from vv_exporter.drills.plan import SEVERITIES, Step, drill_channels, patience, plan
from vv_exporter.drills.report import report
from vv_exporter.drills.request import RequestError, request_drill
from vv_exporter.drills.state import DRILL, DRILLS, MAX_DRILLS, PROOFS, Drill, Proof, begin_drill, fail_drill
from vv_exporter.journal.events import AlertRaised, DrillAsked
from vv_exporter.journal.folds import Source
from vv_exporter.journal.folds.drills import asked
from vv_exporter.render import base
from vv_exporter.settings import Settings, SettingsError, load
from vv_exporter.settings.values import QuietHours
from vv_exporter.state import timeline
from vv_exporter.state.store import Store
from vv_exporter.status import Known as KnownStatus
from vv_exporter.status import alert_path, status
from vv_exporter.status.series import Series

NOW = 1_795_762_800.0  # 2026-11-27 07:00:00 UTC, a Friday
ALL = ("slack", "telegram", "pagerduty", "opsgenie", "email", "webhook", "alertmanager-webhook")
KINDS = {"chat": ("slack", "telegram"), "pager": ("pagerduty", "opsgenie"), "mail": ("email",)}
_numbers = itertools.count()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def settings_of(tmp_path: Path, **environ: str) -> Settings:
    return load(
        {
            "VV_STATE_DIR": str(tmp_path),
            "VV_CONFIG": "",
            **EVERY_CHANNEL,
            "WEBHOOK_URL": "https://example.org/hook",
            **environ,
        }
    )


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    store = Store(tmp_path / "state.db", clock)
    yield store
    store.close()


def begun(store: Store, *steps: Step, now: float = NOW) -> Drill:
    """A drill that was asked for three seconds ago."""
    steps = steps or (Step("critical", ("slack", "pagerduty")),)
    drill = Drill(id=f"0197-{next(_numbers)}", started=now - 3, counted=now - 2, ends=now + 150, steps=steps)
    with store.transaction() as tx:
        begin_drill(tx, drill)
    return current(store, drill)


def current(store: Store, drill: Drill) -> Drill:
    found = store.document(DRILLS, drill.id)
    assert found is not None
    return found


def labels_of(drill: Drill, severity: str = "critical", channel: str = "") -> dict[str, str]:
    labels = {"alertname": DRILL, "severity": severity, "component": "drill", "device": "edge-1", "channel": channel}
    return {name: text for name, text in (labels | {"occurrence": drill.id}).items() if text}


def event(drill: Drill, integration: str, receiver: str, severity: str = "critical", channel: str = "") -> bytes:
    """What Alertmanager's event recorder posts when a channel has taken it."""
    pairs = [{"key": name, "value": text} for name, text in labels_of(drill, severity, channel).items()]
    alert = {"hash": "1", "details": {"fingerprint": "7", "labels": {"labels": pairs}}}
    notification = {
        "alerts": [alert], "firingAlerts": [{"hash": "1"}], "groupInfo": {"receiverName": receiver},
        "integration": {"name": integration},
    }  # fmt: skip
    return msgspec.json.encode({"data": {"notification": notification}, "@timestamp": "2026-11-27T07:00:20Z"})


def took(store: Store, *told: bytes) -> None:
    with store.transaction() as tx:
        for body in told:
            notificationevents.record(tx, notificationevents.parse(body))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_channels_of_a_severity_are_those_that_alertmanager_routes_it_to(severity: str) -> None:
    committed = base.load(base.folder() / "alertmanager" / "alertmanager.yml")
    receivers = [route["receiver"] for route in taken(committed["route"], {"alertname": DRILL, "severity": severity})]

    # `log` is the exporter, which serves the generic webhook.
    hooks = {"webhook"} | ({"alertmanager-webhook"} if "webhook" in receivers else set())
    assert {*names_of(*REACHED[severity])} == hooks | {name for kind in receivers for name in KINDS.get(kind, ())}


def test_without_more_words_every_channel_gets_one_message_by_the_gravest_route_that_leads_to_it() -> None:
    steps = plan("", "", ALL)

    assert sorted(name for step in steps for name in step.channels) == sorted(ALL)
    assert [(step.severity, step.only) for step in steps] == [("critical", ""), ("warning", "email")]
    assert plan("", "", ("email",)) == (Step("warning", ("email",), "email"),)
    assert plan("", "", ()) == ()


def test_a_severity_is_for_the_channels_of_its_routes_and_a_channel_for_itself_alone() -> None:
    assert plan("error", "", ALL) == (Step("error", ("slack", "telegram", "webhook", "alertmanager-webhook")),)
    assert plan("error", "", ("pagerduty",)) == ()
    assert plan("", "slack", ALL) == (Step("critical", ("slack",), "slack"),)
    assert plan("", "email", ALL) == (Step("warning", ("email",), "email"),)
    assert plan("warning", "pagerduty", ALL) == (Step("warning", ("pagerduty",), "pagerduty"),)
    assert plan("", "fax", ALL) == ()


def test_the_dead_mans_switch_is_not_drilled(settings: Settings) -> None:
    assert settings.deadman_url
    assert sorted(drill_channels(settings)) == sorted(ALL)


def test_it_goes_through_the_journal(store: Store, settings: Settings, clock: Clock) -> None:
    id_ = request_drill(settings, "error", "slack")

    (file,) = settings.journal_dir.iterdir()
    line = next(line for line in file.read_bytes().splitlines() if b'"drill"' in line and b"severity" in line)
    found = msgspec.json.decode(line, type=DrillAsked)
    assert (found.id, found.severity, found.channel) == (id_, "error", "slack")
    with store.transaction() as tx:
        asked(tx, msgspec.structs.replace(found, ts=NOW - 1), Source("w"), settings)
    assert current(store, Drill(id_, 0, 0, 0)).steps == (Step("error", ("slack",), "slack"),)


def fold(store: Store, settings: Settings, **fields: Any) -> None:
    with store.transaction() as tx:
        asked(tx, DrillAsked(v=1, **{"ts": NOW, "id": "a", **fields}), Source("w"), settings)


def test_one_that_has_waited_in_the_journal_for_longer_than_a_drill_lasts_pages_nobody(
    store: Store, settings: Settings
) -> None:
    fold(store, settings, ts=NOW - patience(settings))
    late = store.docs(DRILLS)["a"]
    assert (late.is_running, late.refused) == (False, "it was asked for 3 min ago, and read only now")
    fold(store, settings, ts=NOW - patience(settings) + 1, id="b")
    assert store.docs(DRILLS)["b"].is_running


def test_an_event_that_is_read_twice_is_one_drill_and_words_that_nobody_knows_are_left_out(
    store: Store, settings: Settings
) -> None:
    fold(store, settings, severity="fatal")
    fold(store, settings)
    fold(store, settings, id="b", channel="fax")

    first, second = store.docs(DRILLS)["a"], store.docs(DRILLS)["b"]
    assert [step.severity for step in first.steps] == ["critical", "warning"]
    assert (first.refused, bool(second.refused)) == ("", True)


def test_while_one_runs_another_is_refused_and_says_so(store: Store) -> None:
    first = begun(store)
    second = begun(store)

    assert first.is_running
    assert not second.is_running
    assert first.id in second.refused
    with store.transaction() as tx:
        for name in first.channels:
            fail_drill(tx, first.id, name, WEBHOOK_REFUSED)
    assert begun(store).is_running


def test_a_drill_without_any_channel_is_refused(store: Store) -> None:
    with store.transaction() as tx:
        begin_drill(tx, Drill("a", NOW, NOW, NOW + 9))  # no steps

    assert "no channel" in store.docs(DRILLS)["a"].refused


def test_very_many_drills_are_not_kept(store: Store) -> None:
    for _ in range(MAX_DRILLS + 5):
        drill = begun(store)

    kept = store.docs(DRILLS)
    assert len(kept) == MAX_DRILLS
    assert drill.id in kept
    assert [one.is_running for one in kept.values()].count(True) == 1  # those that are refused push no other out


def test_a_channel_is_proven_by_what_alertmanager_says_that_it_took(store: Store) -> None:
    drill = begun(store)
    took(store, event(drill, "slack", "chat"))

    assert current(store, drill).is_running
    assert current(store, drill).waiting == ["pagerduty"]
    proof = store.docs(PROOFS)["slack"]
    assert (proof.proven, proof.seconds) == (NOW, 3.0)  # its clock was ahead: what is told has been
    took(store, event(drill, "pagerduty", "pager"))
    assert not current(store, drill).is_running
    assert [one.state for one in report(current(store, drill)).channels] == ["accepted", "accepted"]


def test_what_took_another_alert_or_another_drill_proves_nothing(store: Store) -> None:
    drill = begun(store)
    other = Drill("other", NOW, NOW, NOW)
    took(store, event(other, "slack", "chat"), event(drill, "telegram", "chat"), event(drill, "webhook", "log"))
    with store.transaction() as tx:
        channel_health.took(tx, "slack")

    assert store.docs(PROOFS) == {}
    assert current(store, drill).waiting == ["slack", "pagerduty"]


def test_that_it_was_told_to_the_record_is_no_proof(store: Store) -> None:
    drill = begun(store)
    alert = {"status": "firing", "labels": labels_of(drill), "startsAt": "2026-11-27T07:00:00Z", "fingerprint": "ab"}
    with store.transaction() as tx:
        notifications.record(tx, notifications.parse(msgspec.json.encode({"alerts": [alert]})))

    assert current(store, drill).reached == NOW
    assert current(store, drill).waiting == ["slack", "pagerduty"]


def test_one_that_takes_it_late_is_proven_all_the_same(store: Store, settings: Settings, clock: Clock) -> None:
    drill = begun(store)
    clock.advance(1000)
    DrillWorker(store, settings, (), clock).round()
    assert not current(store, drill).is_running
    assert set(current(store, drill).failed) == {"slack", "pagerduty"}

    took(store, event(drill, "slack", "chat"))
    assert store.docs(PROOFS)["slack"].proven > 0
    assert set(current(store, drill).failed) == {"pagerduty"}


def test_proofs_survive_a_restart_and_new_channels_are_known_from_then_on(
    store: Store, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    took(store, event(begun(store), "slack", "chat"))
    with store.transaction() as tx:
        tx.put(PROOFS, "fax", Proof(NOW - 9, NOW - 9))
    store.close()
    clock.advance(60)
    again = Store(tmp_path / "state.db", clock)
    DrillWorker(again, settings, ("slack", "email"), clock).round()

    known = {name: msgspec.structs.replace(proof, fingerprint="") for name, proof in again.docs(PROOFS).items()}
    assert known == {"slack": Proof(NOW, NOW, 3.0), "email": Proof(NOW + 60)}
    again.close()


CHANGES = {
    "SLACK_WEBHOOK_URL": ("slack", "https://hooks.example.org/other"),
    "TELEGRAM_BOT_TOKEN": ("telegram", "456:other"),
    "TELEGRAM_CHAT_ID": ("telegram", "-100123457"),
    "TELEGRAM_API_URL": ("telegram", "https://telegram.example.org"),
    "PAGERDUTY_ROUTING_KEY": ("pagerduty", "other"),
    "PAGERDUTY_URL": ("pagerduty", "https://pagerduty.example.org"),
    "OPSGENIE_API_KEY": ("opsgenie", "other"),
    "OPSGENIE_API_URL": ("opsgenie", "https://opsgenie.example.org"),
    "SMTP_SMARTHOST": ("email", "mail.example.org:465"),
    "SMTP_FROM": ("email", "other@example.org"),
    "SMTP_USERNAME": ("email", "other"),
    "SMTP_PASSWORD": ("email", "other"),
    "ALERT_EMAIL_TO": ("email", "eva@example.org"),
    "WEBHOOK_URL": ("webhook", "https://example.org/other"),
    "ALERTMANAGER_WEBHOOK_URL": ("alertmanager-webhook", "https://example.org/other"),
}


def test_every_channel_has_a_setting_whose_change_is_tried() -> None:
    assert {channel for channel, _ in CHANGES.values()} == {*ALL}


@pytest.mark.parametrize("name", CHANGES)
def test_a_proof_is_of_the_address_and_the_credentials_that_it_was_made_with(
    store: Store, clock: Clock, tmp_path: Path, name: str
) -> None:
    before = settings_of(tmp_path)
    DrillWorker(store, before, ALL, clock).round()
    took(store, *(event(begun(store, Step("critical", (one,))), one, "chat") for one in ("slack", "telegram")))
    with store.transaction() as tx:  # as if each had taken one
        for channel, proof in tx.docs(PROOFS).items():
            tx.put(PROOFS, channel, msgspec.structs.replace(proof, proven=NOW))
    clock.advance(60)

    DrillWorker(store, before, ALL, clock).round()
    assert {channel: proof.proven for channel, proof in store.docs(PROOFS).items()} == dict.fromkeys(ALL, NOW)

    channel, other = CHANGES[name]
    DrillWorker(store, settings_of(tmp_path, **{name: other}), ALL, clock).round()
    proven = {channel: proof.proven for channel, proof in store.docs(PROOFS).items()}
    assert proven == dict.fromkeys(ALL, NOW) | {channel: 0.0}
    assert store.docs(PROOFS)[channel].since == NOW + 60
    moments = timeline.read(store, timeline.Filter(NOW - 60, NOW + 61), 100).moments
    told = [moment.title for moment in moments if moment.kind == "drill.outdated"]
    assert told == [f"No longer proven by a drill: {channel}, since its settings were changed"]
    # What is kept tells nothing of either.
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("state.db*"))
    assert kept
    assert not [
        one
        for one in (EVERY_CHANNEL.get(name, "https://example.org/hook"), other)
        if one != "other" and one.encode() in kept
    ]


def test_a_drill_that_was_under_way_when_the_settings_were_changed_proves_nothing_of_the_new_ones(
    store: Store, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    DrillWorker(store, settings, ALL, clock).round()
    drill = begun(store)
    clock.advance(5)
    DrillWorker(store, settings_of(tmp_path, SLACK_WEBHOOK_URL="https://example.org/new"), ALL, clock).round()

    took(store, event(drill, "slack", "chat"), event(drill, "pagerduty", "pager"))
    assert store.docs(PROOFS)["slack"].proven == 0.0
    assert store.docs(PROOFS)["pagerduty"].proven > 0.0


def test_a_proof_of_a_version_that_kept_no_fingerprint_is_good_until_the_next_change(
    store: Store, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    with store.transaction() as tx:
        tx.put(PROOFS, "slack", Proof(NOW - 9, NOW - 9))
    DrillWorker(store, settings, ("slack",), clock).round()
    assert store.docs(PROOFS)["slack"].proven == NOW - 9
    DrillWorker(store, settings_of(tmp_path, SLACK_WEBHOOK_URL="https://example.org/x"), ("slack",), clock).round()
    assert store.docs(PROOFS)["slack"].proven == 0.0


def test_a_channel_that_gives_up_fails_with_what_was_said(store: Store, settings: Settings, clock: Clock) -> None:
    drill = begun(store)
    with store.transaction() as tx:
        channel_health.failed(tx, "slack", "Alertmanager gave up: refused by the provider (4xx)")
    DrillWorker(store, settings, (), clock).round()

    slack, pagerduty = report(current(store, drill)).channels
    assert (slack.state, slack.reason) == ("failed", "Alertmanager gave up: refused by the provider (4xx)")
    assert slack.cure == "vv notify test --channel slack"
    assert pagerduty.state == "waiting"
    took(store, event(drill, "slack", "chat"))  # a later try
    assert report(current(store, drill)).channels[0].state == "accepted"


def test_a_failure_from_before_the_drill_is_none_of_it(store: Store, settings: Settings, clock: Clock) -> None:
    with store.transaction() as tx:
        tx.put(CHANNELS, "slack", Channel(failed=NOW - 100, tried=NOW - 100, since=NOW - 100, error="x"))
    drill = begun(store)
    DrillWorker(store, settings, (), clock).round()

    assert current(store, drill).waiting == ["slack", "pagerduty"]


def test_a_silence_fails_what_it_holds_back_at_once_and_nothing_else(store: Store) -> None:
    drill = begun(store, Step("critical", ("slack",)), Step("warning", ("email",), "email"))
    pairs = [{"key": name, "value": text} for name, text in labels_of(drill).items()]
    muted = {"mutedAlert": {"fingerprint": "7", "labels": {"labels": pairs}}}
    took(store, msgspec.json.encode({"data": {"silenceMutedAlert": muted}}))

    found = current(store, drill)
    assert found.waiting == ["email"]
    assert "silence" in found.failed["slack"].reason
    assert "end the silence" in found.failed["slack"].cure


def test_an_inhibition_of_the_sites_own_is_not_taken_for_a_silence(store: Store) -> None:
    drill = begun(store, Step("critical", ("slack",)))
    pairs = [{"key": name, "value": text} for name, text in labels_of(drill).items()]
    muted = {"mutedAlert": {"fingerprint": "7", "labels": {"labels": pairs}}}
    took(store, msgspec.json.encode({"data": {"inhibitionMutedAlert": muted}}))

    assert current(store, drill).failed["slack"].reason.startswith("inhibited")


UP = PathState(closed=True)
BROKEN = PathState(closed=True, since=NOW - 300, hop="not evaluated", reason="many-to-many")
MUTE = PathState(closed=True, since=NOW - 300, hop="not delivered", reason="connection refused")
WENT = {"reached": NOW}


@pytest.mark.parametrize(
    ("drill", "known", "words", "do"),
    [
        ({}, Known(BROKEN, Channel(), True, False), "many-to-many", "AlertPathBroken"),
        (WENT, Known(BROKEN, Channel(), True, False), "many-to-many", "AlertPathBroken"),
        ({}, Known(MUTE, Channel(), False, False), "whether it was taken is not known", "AlertPathBroken"),
        ({}, Known(UP, Channel(), False, False), "reported nothing of it", "vv config render"),
        (WENT, Known(UP, Channel(), False, False), "does not report", "event-recorder"),
        (WENT, Known(UP, Channel(tried=NOW), True, False), "tries fail", "vv notify test --channel slack"),
        (WENT, Known(UP, Channel(), True, True), "VV_QUIET_HOURS", "--severity critical"),
        (WENT, Known(UP, Channel(), True, False), "not taken within", "vv notify test --channel slack"),
    ],
)
def test_each_way_to_fail_has_a_reason_and_a_cure(drill: dict[str, float], known: Known, words: str, do: str) -> None:
    asked_for = Drill("a", NOW - 3, NOW - 2, NOW + 150, (Step("critical", ("slack",)),), **drill)
    found = out_of_time(asked_for, "slack", known)

    assert words in found.reason
    assert do in found.cure


def test_what_a_provider_says_chooses_no_cure_for_something_else() -> None:
    said = "Alertmanager gave up: no silence webhook, quiet hours, alert path"

    assert given_up("slack", said) == Failure(said, "vv notify test --channel slack")


def test_the_webhook_is_known_without_alertmanagers_reports() -> None:
    drill = Drill("a", NOW - 3, NOW - 2, NOW + 150, (Step("critical", ("webhook",)),), reached=NOW)

    assert "not taken within" in out_of_time(drill, "webhook", Known(UP, Channel(), False, False)).reason


def test_when_the_time_is_over_the_hop_that_is_broken_is_named(store: Store, settings: Settings, clock: Clock) -> None:
    drill = begun(store)
    with store.transaction() as tx:
        tx.put(PATH, "", BROKEN)
    clock.advance(149)
    worker = DrillWorker(store, settings, (), clock)
    assert worker.round()
    assert current(store, drill).is_running
    clock.advance(1)
    worker.round()

    assert not current(store, drill).is_running
    assert "many-to-many" in current(store, drill).failed["slack"].reason
    assert not worker.round()


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        (None, "07:00", False),
        (QuietHours("22:00", "06:00"), "23:00", True),
        (QuietHours("22:00", "06:00"), "05:59", True),
        (QuietHours("22:00", "06:00"), "06:00", False),
        (QuietHours("13:00", "14:00"), "13:30", True),
        (QuietHours("13:00", "14:00"), "14:00", False),
        (QuietHours("22:00", "24:00"), "23:59", True),
    ],
)
def test_whether_it_is_quiet(hours: QuietHours | None, now: str, expected: bool) -> None:
    hour, minute = map(int, now.split(":"))
    assert is_quiet(hours, "UTC", NOW - 7 * 3600 + hour * 3600 + minute * 60) is expected


class Hook:
    """The generic webhook's outbox with the event of a drill in it."""

    def __init__(self, store: Store, drill: Drill) -> None:
        self.store = store
        alert = notifications.NotifiedAlert(
            "firing", labels_of(drill), {"summary": "Drill", "alert_id": drill.id}, "2026-11-27T07:00:00Z"
        )
        with store.transaction() as tx:
            queue_event(tx, alert, Links("http://a", "http://b"))
        ((_, self.parcel),) = OUTBOX.waiting(store).items()

    def ends(self, result: str) -> None:
        with self.store.transaction() as tx:
            note_parcel(tx, self.parcel, result)


def test_the_generic_webhook_is_proven_when_its_server_took_the_drill(store: Store) -> None:
    drill = begun(store, Step("critical", ("webhook",)))
    hook = Hook(store, drill)
    assert current(store, drill).waiting == ["webhook"]

    hook.ends(OK)
    assert store.docs(PROOFS).keys() == {"webhook"}
    assert not current(store, drill).is_running


def test_the_generic_webhook_fails_when_its_server_refuses_the_drill(store: Store) -> None:
    drill = begun(store, Step("critical", ("webhook",)))
    Hook(store, drill).ends(REFUSED)

    assert current(store, drill).failed["webhook"] == WEBHOOK_REFUSED
    assert store.docs(PROOFS) == {}


@pytest.mark.parametrize("body", ["{}", '{"alert_id": "a", "new": 1}'])
def test_an_event_of_another_version_is_sent_all_the_same(store: Store, body: str) -> None:
    hook = Hook(store, begun(store, Step("critical", ("webhook",))))
    hook.parcel = msgspec.structs.replace(hook.parcel, body=body)
    hook.ends(OK)

    assert store.docs(PROOFS) == {}


def test_the_generic_webhook_does_not_hear_of_the_drill_of_another_channel() -> None:
    drill = Drill("a", NOW, NOW, NOW)
    for channel, expected in (("", True), ("webhook", True), ("slack", False), ("alertmanager-webhook", False)):
        assert is_for_webhook(notifications.NotifiedAlert("firing", labels_of(drill, channel=channel))) is expected
    assert is_for_webhook(notifications.NotifiedAlert("firing", {"alertname": "VVEvent", "channel": "slack"}))


def test_a_drill_is_no_alert_of_the_device(store: Store, settings: Settings) -> None:
    """Neither in the accounts (it is never missed), nor among the digest's alerts, nor as trouble of the status."""
    drill = begun(store)
    alert = {
        "status": "firing", "labels": labels_of(drill), "annotations": {"summary": "Drill of critical alerts"},
        "startsAt": "2026-11-27T06:59:00Z", "fingerprint": "ab",
    }  # fmt: skip
    with store.transaction() as tx:
        notifications.record(tx, notifications.parse(msgspec.json.encode({"alerts": [alert]})))
    took(store, event(drill, "slack", "chat"))

    assert store.docs(ACCOUNTS) == {}
    found = digest(history.read(store, NOW - 86400, NOW), "edge-1", NOW - 86400, NOW)
    assert found.alerts.began == 0
    assert [(one.channel, one.time) for one in found.proven] == [("slack", NOW)]
    shown = status([], KnownStatus([alert | {"status": {"state": "active"}}], NOW), "edge-1", NOW)
    assert shown.alerts is not None
    assert [one.name for one in shown.alerts] == [DRILL]
    assert shown.troubles == ()
    assert notifications.log_line(notifications.parse(msgspec.json.encode({"alerts": [alert]})).alerts[0]).level == 20
    kinds = [moment.kind for moment in timeline.read(store, timeline.Filter(NOW - 60, NOW + 1), 100).moments]
    assert set(kinds) == {"drill.began", "drill.accepted"}


def collector(store: Store, settings: Settings, clock: Clock) -> DrillCollector:
    worker = DrillWorker(store, settings, drill_channels(settings), clock)
    return DrillCollector(Context(settings=settings, store=store, clock=clock, monotonic=clock), worker)


def series(found: DrillCollector) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value for family in found.collect() for sample in family.samples
    }


def test_a_running_drill_is_a_series_for_each_of_its_alerts_and_then_none(
    store: Store, settings: Settings, clock: Clock
) -> None:
    shown = collector(store, settings, clock)
    drill = begun(store, *plan("", "", ("slack", "email")))
    name = "vv_drill_start_timestamp_seconds"

    found = {key: value for key, value in series(shown).items() if key[0] == name}
    assert found == {
        (name, "critical", "", drill.id): drill.started,
        (name, "warning", "email", drill.id): drill.started,
    }
    took(store, event(drill, "slack", "chat"), event(drill, "email", "mail", "warning", "email"))
    assert not any(key[0] == name for key in series(shown))
    assert series(shown)["vv_alarm_path_proven_timestamp_seconds", "slack"] == NOW
    assert series(shown)["vv_alarm_path_proven_duration_seconds", "email"] == 3.0
    assert series(shown)["vv_alarm_path_proven_timestamp_seconds", "telegram"] == 0


def test_a_drill_whose_end_cannot_be_written_down_fires_no_longer(
    store: Store, settings: Settings, clock: Clock
) -> None:
    """As on a disk that is full, or while the exporter was stopped."""
    shown = collector(store, settings, clock)
    drill = begun(store)
    name = "vv_drill_start_timestamp_seconds"
    clock.now = drill.ends - 1
    assert any(key[0] == name for key in series(shown))
    clock.now = drill.ends
    assert not any(key[0] == name for key in series(shown))
    assert current(store, drill).is_running


def test_a_proof_is_due_only_where_drills_are_asked_for(store: Store, clock: Clock, tmp_path: Path) -> None:
    due = "vv_alarm_path_proof_due_timestamp_seconds"
    for environ, expected in (
        ({}, None),
        ({"VV_DRILL_OVERDUE": "2d"}, 2 * 86400),
        ({"VV_DRILL_AT": "0 10 * * 1"}, 14 * 86400),  # every Monday
        ({"VV_DRILL_AT": "0 10 * * 1,4"}, 8 * 86400),  # Thursday to Monday is the longest
        ({"VV_DRILL_AT": "0 8-18 * * 1"}, 2 * 86400 * 7 - 20 * 3600),  # however many times come before it
        ({"VV_DRILL_AT": "0 10 * 1 *"}, 2 * 335 * 86400),  # from January to January
        ({"VV_DRILL_AT": "0 10 * * 1", "VV_DRILL_OVERDUE": "off"}, None),
        ({"VV_DRILL_AT": "0 10 * * 1", "VV_DRILL_OVERDUE": "30d"}, 30 * 86400),
    ):
        settings = settings_of(tmp_path, **environ)
        assert overdue_after(settings) == expected
        shown = collector(store, settings, clock)
        # Channels are known from now on: a device that is installed today is not overdue today.
        DrillWorker(store, settings, ALL, clock, lambda _: None).round()
        assert series(shown).get((due, "slack")) == (None if expected is None else NOW + expected)


def test_the_alert_path_shows_when_each_channel_was_proven(store: Store, clock: Clock, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, VV_DRILL_OVERDUE="1h")
    shown = collector(store, settings, clock)
    DrillWorker(store, settings, ALL, clock).round()
    took(store, event(begun(store), "slack", "chat"))
    clock.advance(3601)

    found = alert_path.read(Series(shown.collect()), UP, True)
    assert found is not None
    rows = {row[0].text: row[1] for row in alert_path.table(found, clock()).rows}
    assert (rows["proven by a drill: slack"].text, rows["proven by a drill: slack"].level) == ("60 min ago", "warning")
    assert rows["proven by a drill: slack"].note == "it took 3.0 s"
    assert rows["proven by a drill: telegram"].text == "never"
    assert "vv drill --channel telegram" in rows["proven by a drill: telegram"].note


class Asked:
    """Counts the drills that a schedule asks for. While `full`, none can be written down."""

    def __init__(self, store: Store, settings: Settings, clock: Clock) -> None:
        self.ids: list[str] = []
        self.full = False
        self.clock = clock
        self.worker = DrillWorker(store, settings, (), clock, self.ask)

    def ask(self, id_: str) -> None:
        if self.full:
            raise RequestError("no space left on device")
        self.ids.append(id_)

    def after(self, seconds: float) -> int:
        self.clock.advance(seconds)
        before = len(self.ids)
        self.worker.round()
        self.worker.round()
        return len(self.ids) - before


def test_drills_of_the_schedule_begin_once_each_at_their_time_also_after_a_restart(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, VV_DRILL_AT="0 8 * * *", VV_DRILL_TIMEZONE="UTC")
    first = Asked(store, settings, clock)
    assert first.worker.next() is None
    assert first.after(0) == 0
    assert first.worker.next() == NOW + 3600
    assert first.after(3599) == 0
    assert first.after(1) == 1
    assert Asked(store, settings, clock).after(5) == 0
    assert Asked(store, settings, clock).after(86395) == 1


def test_one_that_was_due_while_the_device_was_off_is_made_good_for_a_quarter_of_an_hour(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    """However many were due before it: nobody expects those any more."""
    settings = settings_of(tmp_path, VV_DRILL_AT="0 8 * * *")
    Asked(store, settings, clock).after(0)
    assert Asked(store, settings, clock).after(3600 + LATE_SECONDS - 1) == 1
    assert Asked(store, settings, clock).after(86400 + 1) == 0
    assert Asked(store, settings, clock).worker.next() == NOW + 2 * 86400 + 3600
    late = Asked(store, settings, clock)
    assert late.after(5 * 86400 - LATE_SECONDS + 300) == 1
    assert late.ids == ["drill-20261203T080000Z"]


def test_a_kill_between_asking_and_writing_that_down_begins_it_once(
    store: Store, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, VV_DRILL_AT="0 8 * * *")
    first = Asked(store, settings, clock)
    first.after(0)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write_transaction", killed)
        with pytest.raises(KeyboardInterrupt):
            first.after(3600)
    again = Asked(store, settings, clock)
    again.after(5)

    assert first.ids == again.ids == ["drill-20261127T080000Z"]
    for id_ in (*first.ids, *again.ids):
        fold(store, settings, id=id_, ts=clock())
    assert len(store.docs(DRILLS)) == 1


def test_on_a_full_disk_it_is_tried_again_and_that_is_said_once(
    store: Store, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asks = Asked(store, settings_of(tmp_path, VV_DRILL_AT="0 8 * * *"), clock)
    asks.after(0)
    asks.full = True
    assert [asks.after(3600), asks.after(60)] == [0, 0]
    assert len([record for record in caplog.records if "no space left" in record.message]) == 1
    asks.full = False
    assert [asks.after(60), asks.after(60)] == [1, 0]


def test_one_that_is_due_while_another_runs_waits_for_its_end(store: Store, clock: Clock, tmp_path: Path) -> None:
    asks = Asked(store, settings_of(tmp_path, VV_DRILL_AT="0 8 * * *"), clock)
    asks.after(0)
    clock.advance(3595)
    drill = begun(store, Step("critical", ("slack",)), now=clock())
    assert asks.after(10) == 0
    took(store, event(drill, "slack", "chat"))
    assert asks.after(1) == 1


@pytest.mark.parametrize(
    ("schedule", "day", "ids"),
    [
        ("30 1 * * *", "2026-03-29", ["drill-20260329T010000Z"]),  # Lisbon has no 01:30 that day: right after the gap
        ("30 1 * * *", "2026-10-25", ["drill-20261025T003000Z"]),  # and two that day: the first
        ("0 10 * * *", "2026-03-29", ["drill-20260329T090000Z"]),
        ("0 10 * * *", "2026-10-25", ["drill-20261025T100000Z"]),
    ],
)
def test_where_the_clock_is_changed_for_summer_there_is_one_drill_that_day(
    store: Store, clock: Clock, tmp_path: Path, schedule: str, day: str, ids: list[str]
) -> None:
    clock.now = datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() - 1
    asks = Asked(store, settings_of(tmp_path, VV_DRILL_AT=schedule, VV_DRILL_TIMEZONE="Europe/Lisbon"), clock)
    for _ in range(24 * 12 - 24):
        asks.after(300)

    assert asks.ids == ids


def test_a_clock_that_is_set_back_over_the_time_of_a_drill_begins_none_twice(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, VV_DRILL_AT="0 8 * * *")
    asks = Asked(store, settings, clock)
    asks.after(0)
    assert asks.after(3601) == 1
    clock.advance(-60)
    with store.transaction() as tx:
        tx.put(MARK, "", Mark(clock()))  # as `Move` leaves it
    asks.after(120)

    assert {*asks.ids} == {"drill-20261127T080000Z"}


def test_a_clock_that_was_never_set_begins_no_drill(store: Store, clock: Clock, tmp_path: Path) -> None:
    clock.now = 1000.0
    assert Asked(store, settings_of(tmp_path, VV_DRILL_AT="0 * * * *"), clock).after(7200) == 0
    assert store.document(MARK, "") is None


def test_without_a_schedule_nothing_is_begun_or_kept(store: Store, settings: Settings, clock: Clock) -> None:
    assert Asked(store, settings, clock).after(86400) == 0
    assert store.document(MARK, "") is None
    with store.transaction() as tx:
        tx.put(MARK, "", Mark(NOW))
    assert Asked(store, settings, clock).worker.next() is None


@pytest.mark.parametrize(
    "text",
    [
        "every day", "61 * * * *", "0 0 30 2 *", "@daily", "* * * * *", "*/5 10 * * 1", "0,59 * * * *",
        "58,59 23 31 12 *", "* * * * * *", "0 10 * *", "\u0660 10 * * 1", " ; reboot", "0 10 * * 1\0", "0 " * 5000,
    ],
)  # fmt: skip
def test_a_schedule_that_is_none_or_never_ends_is_told_with_its_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="VV_DRILL_AT"):
        settings_of(tmp_path, VV_DRILL_AT=text)


@pytest.mark.parametrize("text", ["0 10 * * 1", "0 * * * *", "59 23 29 2 *", "0 0 10 * * 1", "0 10 1 1 *"])
def test_a_schedule_that_comes_once_an_hour_at_most_is_one(tmp_path: Path, text: str) -> None:
    assert settings_of(tmp_path, VV_DRILL_AT=text).drill_at == text


@pytest.mark.parametrize(
    ("overdue", "at", "is_wrong"),
    [("6d", "0 10 * * 1", True), ("8d", "0 10 * * 1", False), ("1h", "", False), ("off", "0 10 * * 1", False)],
)
def test_a_proof_must_be_good_until_the_next_drill(tmp_path: Path, overdue: str, at: str, is_wrong: bool) -> None:
    problem = pytest.raises(SettingsError, match="VV_DRILL_OVERDUE: VV_DRILL_AT may come only after 7 d")
    with problem if is_wrong else contextlib.nullcontext():
        settings_of(tmp_path, VV_DRILL_OVERDUE=overdue, VV_DRILL_AT=at)


@pytest.mark.parametrize("text", ["0s", "-1h", "never", "1e400d"])
def test_an_overdue_time_that_is_none_is_told_with_its_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="VV_DRILL_OVERDUE"):
        settings_of(tmp_path, VV_DRILL_OVERDUE=text)


def test_nothing_else_of_the_journal_is_taken_for_a_drill() -> None:
    assert {type_.__struct_config__.tag for type_ in (AlertRaised, DrillAsked)} == {"alert", "drill"}
