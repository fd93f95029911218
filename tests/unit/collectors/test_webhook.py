"""The collector of the generic webhook: it delivers, and shows what waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.receivers import Webhook
from tests.support.waiting import wait_until
from vv_exporter.collectors.webhook import build
from vv_exporter.context import Context
from vv_exporter.delivery.parcels import Parcel
from vv_exporter.delivery.webhook import OUTBOX
from vv_exporter.delivery.webhook_worker import WebhookWorker
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.settings import load
from vv_exporter.state.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.db", Clock())
    yield store
    store.close()


def context(store: Store, **environ: str) -> Context:
    return Context(settings=load(environ), store=store, clock=Clock(), monotonic=Clock())


def worker_of(context: Context) -> WebhookWorker:
    return WebhookWorker(context.store, context.settings, context.clock, context.monotonic)


def put(store: Store, number: int) -> None:
    with store.transaction() as tx:
        OUTBOX.put(tx, Parcel(f"k{number}", "{}", tx.now + number, {"VV-Alert-Status": "firing"}))


def test_it_shows_what_waits_and_since_when(store: Store) -> None:
    put(store, 5)
    put(store, 9)
    shown = {family.name: family.samples[0] for family in build(context(store, WEBHOOK_URL="http://h/x")).collect()}

    assert shown["vv_outbox_queue"].labels == {"destination": "webhook"}
    assert shown["vv_outbox_queue"].value == 2
    assert shown["vv_outbox_oldest_timestamp_seconds"].value == Clock().now + 5


def test_without_a_webhook_it_shows_nothing_and_what_waited_for_one_goes(store: Store) -> None:
    put(store, 1)
    worker = worker_of(context(store))
    worker.start()
    worker.stop()

    assert list(build(context(store)).collect()) == []
    assert OUTBOX.waiting(store) == {}


def test_it_delivers_what_waits_to_the_very_address(store: Store) -> None:
    put(store, 1)
    with Webhook() as receiver:
        worker = worker_of(context(store, WEBHOOK_URL=f"{receiver.base_url}/hook/"))
        worker.start()
        wait_until(lambda: not OUTBOX.waiting(store), 30, what="the delivery")
        worker.stop()

    assert [request.path for request in receiver.received] == ["/hook/"]
    results = {labels[1]: series.value for labels, series in store.series(RELAY_DELIVERIES)}
    assert sum(results.values()) == 1
    assert results.keys() == {"ok", "failed", "refused", "dropped"}
