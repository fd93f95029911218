"""Alerts reach Alertmanager however often either side fails, and end when they are over."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.clock import Clock
from vv_exporter.alertmanager.client import DeliveryError, RejectedError
from vv_exporter.delivery.relay import BACKOFF_MAX, NOTIFIED_WITHIN, RESEND, Relay, waiting
from vv_exporter.metrics.alerts import ALERTS_DROPPED, RELAY_DELIVERIES
from vv_exporter.state import timeline
from vv_exporter.state.openalerts import ALERTS, ENDED, OpenAlert, end_alert
from vv_exporter.state.store import Store

WINDOW = 900.0


class Destination:
    """Records what it takes; refuses while `down`."""

    def __init__(self) -> None:
        self.down = False
        self.tries = 0
        self.refuses: set[str] = set()
        self.taken: list[dict[str, Any]] = []

    def send(self, alerts: list[dict[str, Any]]) -> None:
        self.tries += 1
        if self.down:
            raise DeliveryError("refused")
        if self.refuses & {alert["key"] for alert in alerts}:
            raise RejectedError("answered 400")
        self.taken += alerts


class Bench:
    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.path = path
        self.destination = Destination()
        self.store = Store(path, self.clock)
        self.relay = self._relay()

    def _relay(self) -> Relay:
        return Relay(self.store, self.destination, present, WINDOW, self.clock, self.clock)

    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.path, self.clock)
        self.relay = self._relay()

    def put(self, key: str = "k", **changes: Any) -> None:
        now = self.clock.now
        alert = OpenAlert(
            id="i", key=key, severity="error", title="T", component="c", first=now, last=now, ends=now + WINDOW
        )
        with self.store.transaction() as tx:
            tx.put(ALERTS, key, msgspec.structs.replace(tx.get(ALERTS, key) or alert, **changes))

    def open(self) -> dict[str, OpenAlert]:
        return self.store.docs(ALERTS)


UNWRITABLE = "cannot be written"


def present(alert: OpenAlert) -> dict[str, Any]:
    if alert.details == UNWRITABLE:
        raise ValueError("an alert that has no words")
    return {"key": alert.key, "count": alert.count, "ends": alert.ends}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state.db")
    yield bench
    bench.store.close()


def test_an_alert_is_sent_at_once_and_only_once(bench: Bench) -> None:
    bench.put()
    bench.relay.round()
    bench.relay.round()

    assert bench.destination.taken == [{"key": "k", "count": 1, "ends": bench.clock.now + WINDOW}]
    assert waiting(bench.open().values()) == []
    assert bench.store.value(RELAY_DELIVERIES, ("alertmanager", "ok")) == 1


def test_it_is_sent_again_while_it_lasts(bench: Bench) -> None:
    bench.put()
    bench.relay.round()
    bench.clock.advance(RESEND)
    bench.relay.round()

    assert len(bench.destination.taken) == 2


def test_a_repeat_is_sent_at_once(bench: Bench) -> None:
    bench.put()
    bench.relay.round()
    bench.put(count=2, ends=bench.clock.now + WINDOW + 5)
    bench.relay.round()
    bench.relay.round()

    assert [alert["count"] for alert in bench.destination.taken] == [1, 2]


def test_it_ends(bench: Bench) -> None:
    bench.put()
    bench.relay.round()
    bench.clock.advance(WINDOW)
    bench.relay.round()

    assert bench.open() == {}
    assert len(bench.destination.taken) == 1


def test_what_alertmanager_does_not_take_waits_with_growing_pauses_and_is_not_lost(bench: Bench) -> None:
    bench.destination.down = True
    bench.put()
    waited = []
    for _ in range(400):
        tries = bench.destination.tries
        bench.relay.round()
        if bench.destination.tries > tries:
            waited.append(bench.clock.now)
        bench.clock.advance(1)
    pauses = [later - earlier for earlier, later in itertools.pairwise(waited)]
    bench.destination.down = False
    bench.clock.advance(BACKOFF_MAX)
    bench.relay.round()

    assert pauses[:4] == [1, 2, 4, 8]
    assert max(pauses) == BACKOFF_MAX
    assert len(bench.destination.taken) == 1
    assert bench.store.value(RELAY_DELIVERIES, ("alertmanager", "failed")) == len(waited)


def test_an_alert_that_waited_longer_than_it_lasts_is_shown_firing_when_it_arrives(bench: Bench) -> None:
    bench.destination.down = True
    bench.put()
    bench.relay.round()
    bench.clock.advance(86_400)
    bench.destination.down = False
    bench.relay.round()
    (alert,) = bench.open().values()

    assert bench.destination.taken[0]["ends"] == bench.clock.now + WINDOW
    assert alert.ends == bench.clock.now + WINDOW
    bench.clock.advance(WINDOW)
    bench.relay.round()
    assert bench.open() == {}


def test_after_a_restart_it_goes_on(bench: Bench) -> None:
    bench.put("delivered")
    bench.relay.round()
    bench.put("waiting")
    bench.restart()
    bench.relay.round()

    assert [alert["key"] for alert in bench.destination.taken] == ["delivered", "delivered", "waiting"]


def test_very_many_alerts_are_sent_in_portions(bench: Bench) -> None:
    for number in range(150):
        bench.put(f"k{number}")
    bench.relay.round()

    assert len(bench.destination.taken) == 150
    assert bench.destination.tries == 3


def test_a_repeat_during_delivery_is_not_forgotten(bench: Bench) -> None:
    bench.put()
    send = bench.destination.send

    def repeat_meanwhile(alerts: list[dict[str, Any]]) -> None:
        bench.destination.send = send  # type: ignore[method-assign]
        send(alerts)
        bench.put(count=2)

    bench.destination.send = repeat_meanwhile  # type: ignore[method-assign]
    bench.relay.round()
    bench.relay.round()

    assert [alert["count"] for alert in bench.destination.taken] == [1, 2]


def test_an_alert_that_is_refused_for_what_it_says_holds_up_no_other(bench: Bench) -> None:
    for number in range(100):
        bench.put(f"k{number}")
    bench.destination.refuses = {"k3", "k77"}
    bench.relay.round()

    assert {alert["key"] for alert in bench.destination.taken} == {f"k{n}" for n in range(100)} - {"k3", "k77"}
    assert {key for key, alert in bench.open().items() if alert.rejected} == {"k3", "k77"}
    assert waiting(bench.open().values()) == []
    assert bench.relay.is_accepting
    assert bench.store.value(RELAY_DELIVERIES, ("alertmanager", "rejected")) == 2
    assert bench.store.value(RELAY_DELIVERIES, ("alertmanager", "failed")) is None
    assert bench.destination.tries < 40


def test_what_was_refused_is_not_sent_again_and_ends(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.put(details="all that it says")
    bench.destination.refuses = {"k"}
    for _ in range(30):
        bench.relay.round()
        bench.put(count=bench.open()["k"].count + 1, ends=bench.clock.now + WINDOW)
        bench.clock.advance(RESEND)
    tries = bench.destination.tries
    bench.clock.advance(WINDOW)
    bench.relay.round()

    assert tries == 1
    assert bench.open() == {}
    # There is no other way here: nobody hears of it.
    assert bench.store.value(ALERTS_DROPPED, ("error",)) == 1
    assert "all that it says" in caplog.text
    (moment,) = timeline.read(bench.store, timeline.Filter()).moments
    assert (moment.kind, moment.alert_id) == ("alert.dropped", "i")


def test_an_alert_that_cannot_even_be_written_costs_itself_only(bench: Bench) -> None:
    bench.put("bad", details=UNWRITABLE)
    bench.put("good")
    bench.relay.round()

    assert [alert["key"] for alert in bench.destination.taken] == ["good"]
    assert bench.open()["bad"].rejected


def test_critical_alerts_go_first(bench: Bench) -> None:
    for number in range(70):
        bench.put(f"k{number}", severity="info")
    bench.put("c", severity="critical")
    bench.relay.round()

    assert bench.destination.taken[0]["key"] == "c"


def test_an_alert_that_gave_way_is_ended_at_the_destination_once_people_have_heard_of_it(bench: Bench) -> None:
    bench.put()
    bench.relay.round()
    with bench.store.transaction() as tx:
        end_alert(tx, bench.open()["k"])
    bench.relay.round()
    assert len(bench.destination.taken) == 1

    bench.clock.advance(NOTIFIED_WITHIN)
    bench.destination.down = True
    bench.relay.round()
    bench.restart()
    bench.destination.down = False
    bench.relay.round()
    bench.relay.round()

    assert [alert["ends"] for alert in bench.destination.taken[1:]] == [bench.clock.now]
    assert bench.store.docs(ENDED) == {}


def test_one_that_gave_way_and_is_open_again_is_not_ended(bench: Bench) -> None:
    bench.put(occurrence=5.0)
    bench.relay.round()
    with bench.store.transaction() as tx:
        end_alert(tx, bench.open()["k"])
    bench.put(occurrence=5.0)
    bench.clock.advance(NOTIFIED_WITHIN)
    bench.relay.round()

    assert all(alert["ends"] > bench.clock.now for alert in bench.destination.taken)
    assert bench.store.docs(ENDED) == {}
