"""What Alertmanager tells the exporter, alert by alert, and what each says in the log, on the timeline, in accounts."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import Clock
from vv_exporter.delivery import channel_health, notificationevents, notifications
from vv_exporter.delivery.accounts import ACCOUNTS
from vv_exporter.delivery.channel_health import CHANNELS, Channel
from vv_exporter.delivery.notifications import NOTIFIED, NotifiedAlert, alert_id, log_line, shown_id
from vv_exporter.drills.plan import Step
from vv_exporter.drills.state import DRILLS, Drill
from vv_exporter.metrics.alerts import NOTIFICATIONS_LOGGED
from vv_exporter.metrics.delivery import NOTIFICATIONS
from vv_exporter.state.openalerts import ALERTS, ENDED, OpenAlert
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import Filter, Moment, read

NOW = 1_700_000_000.0
BEGAN, ENDED_AT = "2023-11-14T22:10:00Z", "2023-11-14T22:12:00Z"
LABELS = {"alertname": "StageFailing", "severity": "error", "component": "scan", "device": "edge-1"}
NOTES = {
    "summary": "It fails", "description": "3 runs failed", "suggested_actions": "Look", "video": "a.mp4",
    "video_sha256": "ab", "error": "no frames", "alert_id": "id-1", "runbook_url": "https://r",
}  # fmt: skip


def alert(status: str = "firing", **more: Any) -> NotifiedAlert:
    given = {"labels": LABELS, "annotations": NOTES, "starts_at": BEGAN, "ends_at": ENDED_AT, "fingerprint": "f"}
    return NotifiedAlert(status, **{**given, **more})


class TestLine:
    def test_of_an_alert_that_fires(self) -> None:
        assert log_line(alert()) == (
            logging.ERROR,
            "ALERT FIRING ERROR StageFailing: It fails | 3 runs failed | component=scan device=edge-1 "
            f"since={BEGAN} | video=a.mp4 | video_sha256=ab | alert_id=id-1 | Do: Look | Runbook: https://r",
        )

    def test_of_one_that_has_ended_there_is_nothing_to_do(self) -> None:
        level, text = log_line(alert("resolved"))

        assert level == logging.INFO
        assert text.endswith("alert_id=id-1")
        assert text.startswith("ALERT RESOLVED ERROR")

    def test_of_which_nothing_is_said(self) -> None:
        assert log_line(NotifiedAlert("firing", {})) == (
            logging.ERROR,
            "ALERT FIRING ERROR ?: alert | component=? device=? since= | alert_id=alert-0",
        )
        assert "A: A |" in log_line(NotifiedAlert("firing", {"alertname": "A"})).text

    @pytest.mark.parametrize(
        ("severity", "level"),
        [("critical", 50), ("error", 40), ("warning", 30), ("info", 20), ("none", 40), ("", 40)],
    )
    def test_has_the_level_of_its_severity(self, severity: str, level: int) -> None:
        assert log_line(alert(labels={**LABELS, "severity": severity})).level == level

    def test_of_a_drill_is_no_fault(self) -> None:
        assert log_line(alert(labels={**LABELS, "alertname": "Drill", "severity": "critical"})).level == logging.INFO


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("id-1", "id-1"),
        ("a" * 64, "a" * 64),
        ("a" * 65, "f-1699999800"),
        ("", "f-1699999800"),
        ("a b", "f-1699999800"),
    ],
)
def test_an_id_is_its_own_or_made_of_what_alertmanager_knows(given: str, shown: str) -> None:
    assert alert_id(alert(annotations={"alert_id": given})) == shown
    assert alert_id(alert(annotations={}, fingerprint="")) == "StageFailing-1699999800"
    assert alert_id(alert(annotations={}, fingerprint="", labels={}, starts_at="x")) == "alert-0"
    assert shown_id({}, "f", "1970-01-01T00:00:01.9Z") == "f-1"


def posted(*alerts: Any) -> bytes:
    return json.dumps({"alerts": alerts, "groupKey": "g", "receiver": "log", "externalURL": "http://a"}).encode()


def test_a_post_is_read() -> None:
    good = {"status": "firing", "labels": {"a": "b"}, "annotations": {"c": "d"}, "startsAt": "s", "endsAt": "e",
            "fingerprint": "f"}  # fmt: skip
    read_ = notifications.parse(posted(good))

    assert (read_.group_key, read_.receiver, read_.external_url) == ("g", "log", "http://a")
    assert read_.alerts == (NotifiedAlert("firing", {"a": "b"}, {"c": "d"}, "s", "e", "f"),)
    for body in (b"x", b"[]", b'{"alerts": 5}', b"{}"):
        with pytest.raises(ValueError, match="not a notification"):
            notifications.parse(body)


def test_of_an_odd_alert_there_is_what_can_be_read() -> None:
    odd = {"status": "resolved", "labels": {"alertname": "A", "n": 5, "l": []}, "annotations": None, "startsAt": "s",
           "endsAt": "e", "fingerprint": "f"}  # fmt: skip
    one, none = notifications.parse(posted(odd, "x" * 2000)).alerts

    assert (one.status, one.labels, one.starts_at, one.ends_at, one.fingerprint) == (
        "resolved", {"alertname": "A", "n": "5"}, "s", "e", "f"
    )  # fmt: skip
    assert one.annotations["summary"].startswith("A (Alertmanager sent it in another form: ")
    assert '"alertname": "A"' in one.annotations["description"]
    assert (none.status, none.labels, none.fingerprint) == ("firing", {"alertname": "UnreadableAlert"}, "")
    assert len(none.annotations["description"]) == 1000


class Books:
    def __init__(self, path: Path) -> None:
        self.clock = Clock(NOW)
        self.store = Store(path, self.clock)
        self.store._connection.execute("PRAGMA synchronous = OFF")  # no power is cut here

    def notify(self, *alerts: NotifiedAlert) -> None:
        with self.store.transaction() as tx:
            notifications.record(tx, notifications.Notification(alerts))

    def happen(self, **data: Any) -> None:
        body = json.dumps({"data": data, "@timestamp": "2023-11-14T22:13:10Z"}).encode()
        with self.store.transaction() as tx:
            notificationevents.record(tx, notificationevents.parse(body))

    def put(self, kind: Any, key: str, document: Any) -> None:
        with self.store.transaction() as tx:
            tx.put(kind, key, document)

    def told(self) -> list[Moment]:
        return list(reversed(read(self.store, Filter(), 1000).moments))


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path / "state.db")
    yield made
    made.store.close()


class TestRecorded:
    def test_a_beginning_and_an_end_are_on_the_timeline_once(self, books: Books) -> None:
        for _ in range(2):
            books.notify(alert())
        assert books.store.docs(NOTIFIED)["f"] == notifications.Notified("firing", BEGAN, NOW)
        books.clock.advance(5)
        for _ in range(2):
            books.notify(alert("resolved"))

        first, *rest = books.told()
        assert (first.kind, first.title, first.severity) == ("alert.firing", "Alert: It fails", "error")
        assert (first.component, first.details) == ("scan", "3 runs failed\nno frames")
        assert (first.video, first.video_sha256, first.alert_id, first.runbook_url) == (
            "a.mp4",
            "ab",
            "id-1",
            "https://r",
        )
        assert {(one.kind, one.title, one.severity, one.details) for one in rest} == {
            ("alert.resolved", "Resolved: It fails", "info", "It lasted 2 min.")
        }
        assert books.store.docs(NOTIFIED) == {}
        counted = [books.store.value(NOTIFICATIONS_LOGGED, (status, "error")) for status in ("firing", "resolved")]
        assert counted == [2, 2]

    def test_one_that_began_anew_is_told_anew(self, books: Books) -> None:
        books.notify(alert(), alert(starts_at=ENDED_AT))

        assert len(books.told()) == 2

    @pytest.mark.parametrize(
        ("notes", "details"),
        [
            ({"description": "d: e", "error": "e"}, "d: e"),
            ({"error": "e"}, "e"),
            ({"description": "d"}, "d"),
            ({}, ""),
        ],
    )
    def test_an_error_is_told_unless_the_description_has_it(
        self, books: Books, notes: dict[str, str], details: str
    ) -> None:
        books.notify(alert(annotations=notes))

        assert [(one.title, one.details) for one in books.told()] == [("Alert: StageFailing", details)]

    @pytest.mark.parametrize(("began", "ended"), [("", ENDED_AT), (BEGAN, "")])
    def test_how_long_it_lasted_is_told_if_it_is_known(self, books: Books, began: str, ended: str) -> None:
        books.notify(alert("resolved", starts_at=began, ends_at=ended))

        assert books.told()[0].details == ""

    def test_another_status_is_firing_and_nothing_at_all_is_no_notification(self, books: Books) -> None:
        books.notify()
        assert books.store.document(notifications.LAST, "") is None
        books.notify(alert("odd"))

        assert books.store.document(notifications.LAST, "") == notifications.LastNotification(NOW)
        assert [one.kind for one in books.told()] == ["alert.firing"]
        assert list(books.store.docs(ACCOUNTS)) != []

    def test_accounts_open_and_end(self, books: Books) -> None:
        books.notify(alert())
        (account,) = books.store.docs(ACCOUNTS).values()
        assert (account.fingerprint, account.started, account.ended) == ("f", 1_699_999_800.0, 0.0)
        books.notify(alert("resolved"))
        (account,) = books.store.docs(ACCOUNTS).values()
        assert account.ended == 1_699_999_920.0

    def test_it_is_kept_as_history(self, books: Books) -> None:
        books.notify(alert(annotations={**NOTES, "other": "x"}))

        rows = books.store.raw_history(notifications.HISTORY, 0.0, (float("inf"), 2**62), 10)
        ((_, time, body),) = rows
        assert time == NOW
        assert json.loads(body) == {
            "status": "firing", "labels": LABELS, "annotations": NOTES, "starts_at": BEGAN, "ends_at": ENDED_AT,
            "fingerprint": "f",
        }  # fmt: skip

    def test_of_too_many_the_longest_known_gives_way(self, books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
        assert notifications.MAX_NOTIFIED == 2000
        monkeypatch.setattr(notifications, "MAX_NOTIFIED", 2)
        for fingerprint in ("a", "b", "b", "c"):
            books.clock.advance(1)
            books.notify(alert(fingerprint=fingerprint, starts_at=str(books.clock())))

        assert sorted(books.store.docs(NOTIFIED)) == ["b", "c"]

    def test_a_drill_reaches_and_is_no_alert_of_the_device(self, books: Books) -> None:
        books.put(DRILLS, "d", Drill("d", NOW - 5, NOW - 5, NOW + 100))
        books.notify(alert(labels={**LABELS, "alertname": "Drill", "occurrence": "d"}), alert())

        assert books.store.docs(DRILLS)["d"].reached == NOW
        assert [one.title for one in books.told()] == ["Alert: It fails"]


def pairs(labels: dict[str, str]) -> dict[str, Any]:
    return {"labels": [{"key": key, "value": value} for key, value in labels.items()]}


def details(labels: dict[str, str] | None = None, fingerprint: str = "255") -> dict[str, Any]:
    return {"fingerprint": fingerprint, "labels": pairs(labels or LABELS), "annotations": pairs({"summary": "S"}),
            "startsAt": BEGAN}  # fmt: skip


def taken(
    labels: dict[str, str] | None = None, by: str = "slack", receiver: str = "chat", **more: Any
) -> dict[str, Any]:
    return {
        "alerts": [{"hash": "1", "details": details(labels)}], "firingAlerts": [{"hash": "1"}],
        "groupInfo": {"receiverName": receiver}, "integration": {"name": by}, **more,
    }  # fmt: skip


class TestEvents:
    def test_a_channel_took_it(self, books: Books) -> None:
        books.happen(notification=taken())

        (account,) = books.store.docs(ACCOUNTS).values()
        assert (account.fingerprint, account.title, account.started) == ("00000000000000ff", "S", 1_699_999_800.0)
        assert account.delivered_by == {"slack": NOW - 10}
        assert books.store.document(notificationevents.LAST, "") == notificationevents.LastEvent(NOW)

    @pytest.mark.parametrize("body", [b"x", b"[]", b"5", b'{"data": 5}'])
    def test_what_is_none_is_refused(self, body: bytes) -> None:
        with pytest.raises(ValueError, match="not an event of Alertmanager"):
            notificationevents.parse(body)

    @pytest.mark.parametrize(
        ("by", "group", "incident"),
        [
            ("pagerduty", "g", hashlib.sha256(b"g").hexdigest()),
            ("opsgenie", "g", hashlib.sha256(b"g").hexdigest()),
            ("slack", "g", ""),
            ("pagerduty", "", ""),
        ],
    )
    def test_a_pager_knows_it_by_the_hash_of_its_group(self, books: Books, by: str, group: str, incident: str) -> None:
        books.happen(notification=taken(by=by, groupInfo={"receiverName": by, "groupKey": group}))

        (account,) = books.store.docs(ACCOUNTS).values()
        assert account.incidents == ({by: incident} if incident else {})

    @pytest.mark.parametrize(
        ("fingerprint", "shown"),
        [
            ("0", "0" * 16),
            ("18446744073709551615", "f" * 16),
            ("1" * 20, f"{int('1' * 20):016x}"),
            ("1" * 21, ""),
            ("-1", ""),
            ("x", ""),
            ("٣", ""),
        ],
    )
    def test_a_fingerprint_is_a_decimal_number(self, books: Books, fingerprint: str, shown: str) -> None:
        alerts = [{"hash": "1", "details": details(fingerprint=fingerprint)}]
        books.happen(notification=taken(alerts=alerts))

        assert [one.fingerprint for one in books.store.docs(ACCOUNTS).values()] == [shown]

    @pytest.mark.parametrize(
        ("by", "receiver"), [("webhook", "log"), ("webhook", "alert-path"), ("webhook", "deadman"), ("deadman", "x")]
    )
    def test_the_exporter_itself_and_the_dead_mans_switch_are_nobody(
        self, books: Books, by: str, receiver: str
    ) -> None:
        books.happen(notification=taken(by=by, receiver=receiver))

        assert books.store.docs(ACCOUNTS) == {}
        assert books.store.document(notificationevents.LAST, "") is None

    def test_only_what_fires_and_can_be_read_counts(self, books: Books) -> None:
        alerts = [
            5, {"hash": "1"}, {"hash": "2", "details": details()}, {"hash": "3", "details": details(fingerprint="3")}
        ]  # fmt: skip
        books.happen(notification=taken(alerts=alerts, firingAlerts=["x", {"hash": "1"}, {"hash": "3"}]))

        assert [one.fingerprint for one in books.store.docs(ACCOUNTS).values()] == [f"{3:016x}"]

    @pytest.mark.parametrize("kind", ["silenceMutedAlert", "inhibitionMutedAlert"])
    def test_what_was_muted_is_noted(self, books: Books, kind: str) -> None:
        books.happen(notification=taken())
        books.clock.advance(20)
        books.happen(**{kind: {"mutedAlert": details()}})

        (account,) = books.store.docs(ACCOUNTS).values()
        assert account.muted == NOW + 20

    @pytest.mark.parametrize(
        ("kind", "why"), [("silenceMutedAlert", "silenced:"), ("inhibitionMutedAlert", "inhibited:")]
    )
    def test_a_drill_that_was_muted_has_failed(self, books: Books, kind: str, why: str) -> None:
        steps = (Step("critical", ("slack", "pagerduty")), Step("warning", ("email",), "email"))
        books.put(DRILLS, "d", Drill("d", NOW - 5, NOW - 5, NOW + 100, steps))
        muted = {"alertname": "Drill", "severity": "critical", "occurrence": "d"}
        books.happen(**{kind: {"mutedAlert": details(muted)}})

        failed = books.store.docs(DRILLS)["d"].failed
        assert sorted(failed) == ["pagerduty", "slack"]
        assert failed["slack"].reason.startswith(why)

    @pytest.mark.parametrize(
        ("data", "kept"),
        [
            ({"notification": {"groupInfo": {"receiverName": "chat"}}}, True),
            ({"notification": {"groupInfo": {"receiverName": "log"}}}, False),
            ({"silenceMutedAlert": {}}, True),
            ({"inhibitionMutedAlert": {}}, True),
            ({"other": {}}, False),
            ({}, False),
        ],
    )
    def test_what_is_kept_of_an_event(self, data: dict[str, Any], kept: bool) -> None:
        event = notificationevents.parse(json.dumps({"data": data}).encode())

        assert bool(notificationevents.concerns(event)) == kept

    def open_alert(self, **more: Any) -> OpenAlert:
        given = {"id": "1", "key": "k", "severity": "error", "title": "T", "component": "c", "first": NOW - 50,
                 "last": NOW, "ends": NOW + 900, "occurrence": NOW - 50}  # fmt: skip
        return OpenAlert(**{**given, **more})

    @pytest.mark.parametrize(
        ("occurrence", "notified", "after"),
        [(NOW - 50, 0.0, NOW - 10), (NOW - 60, 0.0, 0.0), (NOW - 50, NOW - 40, NOW - 40)],
    )
    @pytest.mark.parametrize("kind", [ALERTS, ENDED])
    def test_people_have_heard_of_an_alert_of_a_script(
        self, books: Books, kind: Any, occurrence: float, notified: float, after: float
    ) -> None:
        one = self.open_alert(notified=notified)
        books.put(kind, one.key if kind is ALERTS else one.identity, one)
        labels = {**LABELS, "alertname": "VVEvent", "alert_key": "k", "occurrence": f"{occurrence:.3f}"}
        books.happen(notification=taken(labels))

        if kind is ALERTS or occurrence == NOW - 50:
            (found,) = books.store.docs(kind).values()
            assert found.notified == after

    @pytest.mark.parametrize(("count", "left"), [(4, 0), (3, 1), (5, 1)])
    def test_people_have_heard_how_often_it_was_repeated(self, books: Books, count: int, left: int) -> None:
        one = self.open_alert(count=count)
        books.put(ENDED, one.identity, one)
        labels = {**LABELS, "alert_key": "k", "occurrence": one.occurrence_label, "repeats": "3"}
        books.happen(notification=taken(labels))

        assert len(books.store.docs(ENDED)) == left
        assert books.store.docs(ACCOUNTS) == {}

    def test_a_drill_that_was_taken_is_accepted(self, books: Books) -> None:
        books.put(DRILLS, "d", Drill("d", NOW - 50, NOW - 50, NOW + 100, (Step("critical", ("slack",)),)))
        books.happen(notification=taken({**LABELS, "alertname": "Drill", "occurrence": "d"}))

        assert books.store.docs(DRILLS)["d"].accepted == {"slack": NOW - 10}


class TestChannels:
    def test_a_failure_and_its_end_are_told_once(self, books: Books) -> None:
        with books.store.transaction() as tx:
            channel_health.begin(tx, "slack")
            channel_health.failed(tx, "slack", "e" * 201, 2.0)
        books.clock.advance(5)
        with books.store.transaction() as tx:
            channel_health.failed(tx, "slack", "again")
        assert books.store.docs(CHANNELS)["slack"] == Channel(0.0, NOW + 5, NOW + 5, NOW, "again")
        books.clock.advance(5)
        with books.store.transaction() as tx:
            channel_health.took(tx, "slack", 3.0)
            channel_health.took(tx, "slack")

        assert books.store.docs(CHANNELS)["slack"] == Channel(NOW + 10, NOW + 5, NOW + 5)
        assert [books.store.value(NOTIFICATIONS, ("slack", result)) for result in ("ok", "failed")] == [4, 3]
        first, second = books.told()
        assert (first.kind, first.severity, first.component) == ("channel.fails", "error", "slack")
        assert (len(first.details), first.details[-1]) == (200, "…")
        assert (second.kind, second.title) == ("channel.works", "Notifications by slack arrive again")

    def test_a_single_attempt_is_no_failure(self, books: Books) -> None:
        with books.store.transaction() as tx:
            channel_health.begin(tx, "slack")
            channel_health.took(tx, "slack")
            channel_health.tried(tx, "slack")

        assert books.store.docs(CHANNELS)["slack"] == Channel(ok=NOW, tried=NOW)
        assert books.store.value(NOTIFICATIONS, ("slack", "failed")) == 0
        assert books.told() == []
