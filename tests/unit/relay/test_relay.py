"""Alerts reach Alertmanager however often either side fails, and end when they are over."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.clock import Clock
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.openalerts import ALERTS, OpenAlert
from vv_exporter.relay.alertmanager import DeliveryError
from vv_exporter.relay.worker import BACKOFF_MAX, RESEND, Relay, waiting
from vv_exporter.store import Store

WINDOW = 900.0


class Destination:
    """Records what it takes; refuses while `down`."""

    def __init__(self) -> None:
        self.down = False
        self.tries = 0
        self.taken: list[dict[str, Any]] = []

    def send(self, alerts: list[dict[str, Any]]) -> None:
        self.tries += 1
        if self.down:
            raise DeliveryError("refused")
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


def present(alert: OpenAlert) -> dict[str, Any]:
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
