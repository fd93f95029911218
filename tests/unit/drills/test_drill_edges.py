"""Drills at their edges: what begins, reaches, is accepted, fails, and what is said of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.clock import Clock
from vv_exporter.alert_path.drill_reasons import Known, out_of_time
from vv_exporter.alert_path.hops import Hop
from vv_exporter.alert_path.state import PathState
from vv_exporter.delivery.channel_health import Channel
from vv_exporter.delivery.drill_hook import is_for_webhook, note_parcel
from vv_exporter.delivery.notifications import NotifiedAlert
from vv_exporter.delivery.parcels import OK, Parcel
from vv_exporter.drills import state
from vv_exporter.drills.failure import Failure
from vv_exporter.drills.plan import Step, patience, plan
from vv_exporter.drills.report import ChannelReport, report
from vv_exporter.drills.state import DRILLS, PROOFS, Drill, Proof
from vv_exporter.settings import load
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import Filter, Moment, read

NOW = 1_700_000_000.0
STEPS = (Step("critical", ("slack", "pagerduty")), Step("warning", ("email",), "email"))
WHY = Failure("reason", "cure")


def drill(id_: str = "d", **more: Any) -> Drill:
    return Drill(**{"id": id_, "started": NOW - 5, "counted": NOW - 4, "ends": NOW + 100, "steps": STEPS, **more})


class Room:
    def __init__(self, path: Path) -> None:
        self.clock = Clock(NOW)
        self.store = Store(path, self.clock)
        self.store._connection.execute("PRAGMA synchronous = OFF")  # no power is cut here

    def put(self, *drills: Drill) -> None:
        with self.store.transaction() as tx:
            for one in drills:
                tx.put(DRILLS, one.id, one)

    def do(self, function: Any, *arguments: Any) -> None:
        with self.store.transaction() as tx:
            function(tx, *arguments)

    def only(self, id_: str = "d") -> Drill:
        return self.store.docs(DRILLS)[id_]

    def told(self) -> list[Moment]:
        return list(reversed(read(self.store, Filter(), 100).moments))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "state.db")
    yield made
    made.store.close()


class TestADrill:
    def test_its_channels_and_who_is_waited_for(self) -> None:
        one = drill(accepted={"slack": NOW}, failed={"email": WHY})

        assert one.channels == {"slack": "critical", "pagerduty": "critical", "email": "warning"}
        assert one.waiting == ["pagerduty"]
        assert (one.seconds("slack"), one.seconds("email")) == (5.0, None)
        assert drill(accepted={"slack": NOW - 9}).seconds("slack") == 0.0

    @pytest.mark.parametrize(
        ("ended", "now", "shown"), [(0.0, NOW + 99.9, True), (0.0, NOW + 100, False), (NOW, NOW, False)]
    )
    def test_is_shown_until_its_time_is_over(self, ended: float, now: float, shown: bool) -> None:
        assert drill(ended=ended).is_shown(now) is shown
        assert drill(ended=ended).is_running is not bool(ended)

    def test_is_reported_channel_by_channel(self) -> None:
        one = report(drill(accepted={"slack": NOW}, failed={"email": WHY}, refused="no"))

        assert (one.id, one.started, one.ends, one.counted, one.reached, one.ended, one.refused) == (
            "d", NOW - 5, NOW + 100, NOW - 4, None, None, "no"
        )  # fmt: skip
        assert one.channels == (
            ChannelReport("slack", "critical", "accepted", 5.0),
            ChannelReport("pagerduty", "critical", "waiting"),
            ChannelReport("email", "warning", "failed", None, "reason", "cure"),
        )
        done = report(drill(reached=NOW, ended=NOW + 1))
        assert (done.reached, done.ended) == (NOW, NOW + 1)


class TestBegun:
    def test_it_is_on_the_timeline_and_an_event_that_is_read_twice_begins_nothing(self, room: Room) -> None:
        for _ in range(2):
            room.do(state.begin_drill, drill())

        assert room.only() == drill()
        assert [(one.kind, one.title, one.component, one.alert_id) for one in room.told()] == [
            ("drill.began", "A drill began: slack, pagerduty, email", "drill", "d")
        ]

    @pytest.mark.parametrize(
        ("more", "why"),
        [
            ({"steps": ()}, "no channel is configured that it would reach"),
            ({"ends": NOW}, "it was asked for 5.0 s ago, and read only now"),
            ({"ends": NOW + 0.1}, ""),
        ],
    )
    def test_it_is_refused_with_the_reason(self, room: Room, more: dict[str, Any], why: str) -> None:
        room.do(state.begin_drill, drill(**more))

        assert (room.only().refused, room.only().ended) == (why, NOW if why else 0.0)
        (told,) = room.told()
        assert told.kind == ("drill.refused" if why else "drill.began")
        assert not why or told.title == f"A drill was not begun: {why}"

    def test_while_another_runs_it_is_refused(self, room: Room) -> None:
        room.put(drill("other"), drill("old", ended=NOW))
        room.do(state.begin_drill, drill(steps=()))

        assert room.only().refused == "another drill is running: other"

    def test_the_last_twenty_are_kept(self, room: Room) -> None:
        assert state.MAX_DRILLS == 20
        room.put(*(drill(f"{n:02}", counted=NOW - 100 + n, ended=NOW) for n in range(20)))
        room.do(state.begin_drill, drill("new"))

        kept = sorted(room.store.docs(DRILLS))
        assert len(kept) == 20
        assert kept[0] == "01"
        room.clock.advance(1)
        room.put(drill("new", ended=NOW))
        room.put(drill("running", counted=NOW - 999))
        room.do(state.begin_drill, drill("refused"))
        assert {"running", "refused"} <= room.store.docs(DRILLS).keys()


class TestReached:
    def test_the_first_time_counts(self, room: Room) -> None:
        room.put(drill())
        room.do(state.reach_alertmanager, "unknown")
        room.do(state.reach_alertmanager, "d")
        room.clock.advance(5)
        room.do(state.reach_alertmanager, "d")

        assert room.only().reached == NOW


class TestAccepted:
    def test_it_proves_the_channel(self, room: Room) -> None:
        room.put(drill(failed={"slack": WHY, "email": WHY}))
        room.do(state.accept_drill, "d", "slack", NOW - 2)

        assert (room.only().accepted, room.only().failed) == ({"slack": NOW - 2}, {"email": WHY})
        assert room.store.docs(PROOFS) == {"slack": Proof(NOW, NOW - 2, 3.0)}
        assert [(one.kind, one.title, one.component, one.alert_id) for one in room.told()] == [
            ("drill.accepted", "Proven by a drill: slack, after 3.0 s", "drill", "d")
        ]
        assert room.only().is_running

    def test_since_when_it_is_known_stays_and_a_time_to_come_is_now(self, room: Room) -> None:
        room.put(drill())
        with room.store.transaction() as tx:
            tx.put(PROOFS, "slack", Proof(7.0, 8.0, 9.0))
        room.do(state.accept_drill, "d", "slack", NOW + 50)

        assert room.store.docs(PROOFS)["slack"] == Proof(7.0, NOW, 5.0)

    @pytest.mark.parametrize(("id_", "channel"), [("unknown", "slack"), ("d", "telegram"), ("d", "email")])
    def test_what_is_none_of_its_channels_or_took_it_already_changes_nothing(
        self, room: Room, id_: str, channel: str
    ) -> None:
        before = drill(accepted={"email": NOW - 3})
        room.put(before)
        room.do(state.accept_drill, id_, channel, NOW - 2)

        assert (room.only(), room.told(), room.store.docs(PROOFS)) == (before, [], {})

    def test_the_last_answer_ends_it_once(self, room: Room) -> None:
        room.put(drill(accepted={"slack": NOW - 1}, failed={"email": WHY}))
        room.do(state.accept_drill, "d", "pagerduty", NOW)
        assert room.only().ended == NOW
        room.clock.advance(9)
        room.do(state.accept_drill, "d", "email", NOW)

        assert (room.only().ended, room.only().failed) == (NOW, {})


class TestFailed:
    def test_it_is_told_with_the_reason(self, room: Room) -> None:
        room.put(drill())
        room.do(state.fail_drill, "d", "slack", WHY)

        assert room.only().failed == {"slack": WHY}
        assert [
            (one.kind, one.title, one.severity, one.component, one.details, one.alert_id) for one in room.told()
        ] == [("drill.failed", "A drill failed: slack", "warning", "drill", "reason", "d")]
        assert room.only().is_running
        for channel in ("pagerduty", "email"):
            room.do(state.fail_drill, "d", channel, WHY)
        assert room.only().ended == NOW

    @pytest.mark.parametrize(
        ("more", "channel"),
        [({"ended": NOW}, "slack"), ({"accepted": {"slack": NOW}}, "slack"), ({"failed": {"slack": WHY}}, "slack"),
         ({}, "telegram")],
    )  # fmt: skip
    def test_what_is_over_or_answered_fails_no_more(self, room: Room, more: dict[str, Any], channel: str) -> None:
        before = drill(**more)
        room.put(before)
        room.do(state.fail_drill, "d", channel, Failure("other", ""))
        room.do(state.fail_drill, "unknown", channel, Failure("other", ""))

        assert (room.only(), room.told()) == (before, [])

    @pytest.mark.parametrize(
        ("labels", "failed"),
        [
            ({"occurrence": "d", "severity": "critical"}, ["pagerduty", "slack"]),
            ({"occurrence": "d", "severity": "warning", "channel": "email"}, ["email"]),
            ({"occurrence": "d", "severity": "warning"}, []),
            ({"occurrence": "d", "severity": "critical", "channel": "slack"}, []),
            ({"occurrence": "x", "severity": "critical"}, []),
            ({"severity": "critical"}, []),
        ],
    )
    def test_what_is_muted_fails_where_it_was_for(self, room: Room, labels: dict[str, str], failed: list[str]) -> None:
        room.put(drill())
        room.do(state.mute_drill, labels, WHY)

        assert sorted(room.only().failed) == failed


class TestPlan:
    @pytest.mark.parametrize(
        ("severity", "channel", "available", "steps"),
        [
            ("", "slack", ["slack"], (Step("critical", ("slack",), "slack"),)),
            ("", "email", ["email"], (Step("warning", ("email",), "email"),)),
            ("error", "email", ["email"], (Step("error", ("email",), "email"),)),
            ("", "slack", ["email"], ()),
            ("", "", ["slack", "email"], (Step("critical", ("slack",)), Step("warning", ("email",), "email"))),
            ("", "", ["email"], (Step("warning", ("email",), "email"),)),
            ("error", "", ["slack", "email"], (Step("error", ("slack",)),)),
            ("error", "", ["email"], ()),
            ("", "", [], ()),
            ("", "new", ["new"], (Step("warning", ("new",), "new"),)),
        ],
    )
    def test_what_is_sent(self, severity: str, channel: str, available: list[str], steps: tuple[Step, ...]) -> None:
        assert plan(severity, channel, available) == steps

    def test_how_long_is_waited(self) -> None:
        settings = load({"VV_STATE_DIR": "/nonexistent", "VV_SCRAPE_INTERVAL": "7s"})

        assert patience(settings) == 120.0 + 4 * 7.0


BROKEN = PathState(since=NOW, hop=Hop.SEND.value, reason="gone", announced=True)
UNBROKEN = PathState(closed=True)


class TestReasons:
    def known(self, **more: Any) -> Known:
        return Known(**{"path": UNBROKEN, "channel": Channel(), "reports": True, "is_quiet": False, **more})

    @pytest.mark.parametrize(
        ("more", "known", "words"),
        [
            (
                {},
                {"path": BROKEN},
                "the alert path is broken (Prometheus does not get its alerts to Alertmanager: gone)",
            ),
            ({"accepted": {"email": NOW}}, {"path": BROKEN}, "it was not taken within 105 s"),
            ({}, {"path": None}, "Alertmanager reported nothing of it"),
            ({}, {}, "Alertmanager reported nothing of it"),
            ({"reached": NOW}, {"is_quiet": True}, "the quiet hours"),
            ({"accepted": {"email": NOW}}, {"is_quiet": True}, "the quiet hours"),
            ({"reached": NOW}, {"channel": Channel(tried=NOW - 3.9)}, "Alertmanager's tries fail"),
            ({"reached": NOW}, {"channel": Channel(tried=NOW - 4)}, "it was not taken within 105 s"),
            ({"reached": NOW}, {"reports": False}, "Alertmanager does not report"),
            ({"reached": NOW}, {}, "it was not taken within 105 s"),
        ],
    )
    def test_why_it_was_not_taken(self, more: dict[str, Any], known: dict[str, Any], words: str) -> None:
        found = out_of_time(drill(**more), "slack", self.known(**known))

        assert found.reason.startswith(words)
        assert found.cure
        assert ("is not known" in found.reason) == (known.get("reports") is False)

    def test_the_webhook_needs_no_reports(self) -> None:
        found = out_of_time(drill(reached=NOW), "webhook", self.known(reports=False))

        assert found == Failure("it was not taken within 105 s", "vv notify test --channel webhook")

    def test_behind_alertmanager_nothing_is_known(self) -> None:
        path = msgspec.structs.replace(BROKEN, hop=Hop.DELIVER.value)

        assert out_of_time(drill(), "slack", self.known(path=path)).reason.endswith("whether it was taken is not known")


class TestWebhook:
    @pytest.mark.parametrize(
        ("labels", "told"),
        [
            ({"alertname": "Drill"}, True),
            ({"alertname": "Drill", "channel": "webhook"}, True),
            ({"alertname": "Drill", "channel": "slack"}, False),
            ({"alertname": "Other", "channel": "slack"}, True),
        ],
    )
    def test_it_hears_of_all_but_the_drill_of_another(self, labels: dict[str, str], told: bool) -> None:
        assert is_for_webhook(NotifiedAlert("firing", labels)) is told

    @pytest.mark.parametrize(
        ("status", "id_", "result", "accepted", "failed"),
        [
            ("firing", "d", OK, ["webhook"], []),
            ("firing", "d", "refused", [], ["webhook"]),
            ("resolved", "d", OK, [], []),
            ("firing", "x", OK, [], []),
        ],
    )
    def test_its_answer_is_that_of_the_drill(
        self, room: Room, status: str, id_: str, result: str, accepted: list[str], failed: list[str]
    ) -> None:
        room.put(drill(steps=(Step("critical", ("webhook", "slack")),)))
        parcel = Parcel("key", msgspec.json.encode({"alert_id": id_}).decode(), NOW, {"VV-Alert-Status": status})
        room.do(note_parcel, parcel, result)

        assert (list(room.only().accepted), list(room.only().failed)) == (accepted, failed)
