"""Alerts that go to people directly, and events that wait for a receiver: mark and message are one promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.powercut.scenarios import named, say
from tests.powercut.scenarios.device import damaged
from tests.support.clock import Clock
from tests.unit.delivery.bench import AFTER, Bench, Provider
from vv_exporter.channels import Answer
from vv_exporter.delivery.direct import waiting
from vv_exporter.delivery.parcels import Parcel, Parcels, ParcelWorker
from vv_exporter.messages.message import Message
from vv_exporter.state.openalerts import ALERTS
from vv_exporter.state.store import Store

STATE = "state.db"
CHANNELS = ("slack", "telegram")


class _Telling(Provider):
    def send(self, message: Message) -> Answer:
        say(f"{self.name} {message.title}")
        return super().send(message)

    test = send


class _Carrying:
    def send(self, parcel: Parcel) -> None:
        say(f"carried {parcel.key}")


def prepare(root: Path) -> None:
    """Nothing."""


def run(root: Path) -> None:
    """Alertmanager is away: alerts go directly, and events go to the receiver."""
    device = Bench(root / STATE)
    device.store._connection.execute("PRAGMA wal_autocheckpoint = 30")
    for sender in device.senders:
        sender._provider = _Telling(sender._provider.name)
    outbox = Parcels("receiver")
    worker = ParcelWorker(device.store, outbox, _Carrying(), device.clock, device.clock)
    device.down = True
    device.work(AFTER)
    for number in range(10):
        device.put(f"k{number}")
        say(f"opened T k{number}")
        with device.store.transaction() as tx:
            outbox.put(tx, Parcel(f"event {number}", "{}", tx.now))
        say(f"posted event {number}")
        device.work(10)
        worker.round()


def check(root: Path, said: Sequence[str]) -> Iterator[str]:
    """What was decided is kept, and what is marked as told was taken or waits."""
    store = Store(root / STATE, Clock())
    try:
        alerts = {alert.title: alert for alert in store.docs(ALERTS).values()}
        yield from (f"{title!r} was opened, and is lost" for title in named(said, "opened") if title not in alerts)
        for channel in CHANNELS:
            left = {one.message.title for one in waiting(store, channel)}
            for title, alert in alerts.items():
                is_told = title in left or title in named(said, channel)
                if bool(alert.direct) != is_told:
                    mark = "marked" if alert.direct else "not marked"
                    yield f"{title!r} is {mark} as sent directly, by {channel} it {'is' if is_told else 'is not'}"
        posted = {parcel.key for parcel in Parcels("receiver").waiting(store).values()} | set(named(said, "carried"))
        yield from (f"{key!r} is lost" for key in named(said, "posted") if key not in posted)
    finally:
        store.close()
    yield from (f"{name} was set aside" for name in damaged(root))
