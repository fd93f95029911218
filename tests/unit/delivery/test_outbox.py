"""What waits for a receiver is delivered in order, survives restarts, and is bounded."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from vv_exporter.channels import ProviderError
from vv_exporter.delivery import outbox
from vv_exporter.delivery.outbox import MAX_BACKOFF_SECONDS
from vv_exporter.delivery.parcels import MAX_AGE_SECONDS, Parcel, Parcels, ParcelWorker
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store


class Carrier:
    """Records what it takes; raises what stands in `trouble`, by key, or always under ''."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.tries = 0
        self.trouble: dict[str, Exception] = {}

    def send(self, parcel: Parcel) -> None:
        self.tries += 1
        error = self.trouble.get(parcel.key) or self.trouble.get("")
        if error:
            raise error
        self.taken.append(parcel.key)


class Bench:
    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.path = path
        self.carrier = Carrier()
        self.outbox = Parcels("there")
        self.start()

    def start(self) -> None:
        self.store = Store(self.path, self.clock)
        self.worker = ParcelWorker(self.store, self.outbox, self.carrier, self.clock, self.clock)

    def restart(self) -> None:
        self.store.close()
        self.start()

    def put(self, *keys: str, body: str = "{}", severity: str = "") -> None:
        for key in keys:
            with self.store.transaction() as tx:
                self.outbox.put(tx, Parcel(key, body, tx.now, {}, severity))

    def waiting(self) -> list[str]:
        return [parcel.key for parcel in self.outbox.waiting(self.store).values()]

    def count(self, result: str) -> float:
        return self.store.value(RELAY_DELIVERIES, ("there", result)) or 0.0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state.db")
    yield bench
    bench.store.close()


def test_all_that_waits_is_delivered_once_and_in_order(bench: Bench) -> None:
    bench.put(*"abc")
    bench.worker.round()
    bench.put("d")
    bench.worker.round()
    bench.worker.round()

    assert bench.carrier.taken == list("abcd")
    assert bench.waiting() == []
    assert bench.count("ok") == 4


def test_many_of_one_transaction_keep_their_order(bench: Bench) -> None:
    keys = [str(number) for number in range(12)]
    with bench.store.transaction() as tx:
        for key in keys:
            bench.outbox.put(tx, Parcel(key, "{}", tx.now))
    bench.worker.round()

    assert bench.carrier.taken == keys


def test_a_round_has_an_end_however_much_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_A_ROUND", 2)
    bench.put(*"abcde")
    rounds = [(bench.worker.round(), list(bench.carrier.taken)) for _ in range(3)]

    assert rounds == [(True, list("ab")), (True, list("abcd")), (False, list("abcde"))]


def test_while_the_receiver_is_away_everything_waits_with_growing_pauses(bench: Bench) -> None:
    bench.carrier.trouble[""] = ProviderError("it answered 503")
    bench.put("a", "b")
    tried = []
    for _ in range(400):
        before = bench.carrier.tries
        bench.worker.round()
        if bench.carrier.tries > before:
            tried.append(bench.clock.now)
        bench.clock.advance(1)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried)]
    bench.carrier.trouble.clear()
    bench.clock.advance(MAX_BACKOFF_SECONDS)
    bench.worker.round()

    assert pauses[:4] == [1, 2, 4, 8]
    assert max(pauses) == MAX_BACKOFF_SECONDS
    assert bench.carrier.taken == ["a", "b"]
    assert bench.count("failed") == len(tried)


def test_the_receiver_may_ask_for_a_longer_pause(bench: Bench) -> None:
    bench.carrier.trouble[""] = ProviderError("it answered 429", retry_after=300)
    bench.put("a")
    bench.worker.round()
    bench.carrier.trouble.clear()
    bench.clock.advance(299)
    bench.worker.round()
    early = list(bench.carrier.taken)
    bench.clock.advance(1)
    bench.worker.round()

    assert early == []
    assert bench.carrier.taken == ["a"]


def test_a_receiver_cannot_ask_for_a_pause_without_end(bench: Bench) -> None:
    bench.carrier.trouble[""] = ProviderError("it answered 503", retry_after=1e9)
    bench.put("a")
    bench.worker.round()
    bench.carrier.trouble.clear()
    bench.clock.advance(outbox.MAX_ASKED_SECONDS)
    bench.worker.round()

    assert bench.carrier.taken == ["a"]


def test_what_is_refused_does_not_hold_up_the_rest_and_the_reason_is_told(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.carrier.trouble["b"] = ProviderError("it answered 422", refused=True)
    bench.put(*"abc")
    bench.worker.round()

    assert bench.carrier.taken == ["a", "c"]
    assert bench.count("refused") == 1
    assert "there: given up on b: it answered 422" in caplog.text


def test_a_restart_loses_nothing_and_changes_no_order(bench: Bench) -> None:
    bench.carrier.trouble["b"] = ProviderError("ConnectionError")
    bench.put(*"abc")
    bench.worker.round()
    bench.restart()
    bench.put("d")
    bench.carrier.trouble.clear()
    bench.worker.round()

    assert bench.carrier.taken == list("abcd")


def test_a_day_away_loses_nothing_a_week_does_and_says_so(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.carrier.trouble[""] = ProviderError("ConnectionError")
    bench.put("old")
    bench.clock.advance(86_400)
    bench.put("new")
    bench.worker.round()
    after_a_day = bench.waiting()
    bench.clock.advance(MAX_AGE_SECONDS - 86_399)
    bench.worker.round()

    assert after_a_day == ["old", "new"]
    assert bench.waiting() == ["new"]
    assert bench.count("dropped") == 1
    assert "given up on old of 2023-11-14T22:13:20Z: it has waited for 7 days" in caplog.text


def test_too_many_push_the_oldest_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 3)
    bench.put(*"abcde")

    assert bench.waiting() == list("cde")
    assert bench.count("dropped") == 2


def test_of_too_many_the_least_severe_go_first_also_the_newest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 3)
    bench.put("critical", severity="critical")
    bench.put("note", "another", severity="info")
    bench.put("error", "last", severity="error")
    fitting = bench.waiting()
    bench.put("late note", severity="info")

    assert fitting == bench.waiting() == ["critical", "error", "last"]
    assert bench.count("dropped") == 3


def test_a_parcel_that_cannot_be_sent_at_all_holds_up_no_other(bench: Bench) -> None:
    bench.carrier.trouble["odd"] = UnicodeEncodeError("latin-1", "x", 0, 1, "no header")
    bench.put("odd", "good")
    bench.worker.round()

    assert bench.carrier.taken == ["good"]
    assert bench.waiting() == []
    assert bench.count("refused") == 1


def test_too_much_pushes_the_oldest_out_but_never_the_newest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_BYTES", 25)
    bench.put("a", "b", body="x" * 10)
    bench.put("c", body="x" * 10)
    fitting = bench.waiting()
    bench.put("huge", body="x" * 1000)

    assert fitting == ["b", "c"]
    assert bench.waiting() == ["huge"]


def test_on_a_disk_that_is_full_after_the_delivery_it_is_recorded_later_and_nothing_is_sent_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.carrier.trouble["refused"] = ProviderError("it answered 422", refused=True)
    for taken, key in enumerate(("a", "refused")):
        bench.put(key)
        with monkeypatch.context() as patch:
            patch.setattr(bench.store, "_write_transaction", lambda _: (_ for _ in ()).throw(StoreError("disk full")))
            for _ in range(3):
                with pytest.raises(StoreError):
                    bench.worker.round()
        assert bench.carrier.tries == taken + 1
        assert bench.waiting() == [key]
        bench.worker.round()
        assert bench.waiting() == []

    assert bench.carrier.tries == 2
    assert bench.carrier.taken == ["a"]
    assert (bench.count("ok"), bench.count("refused")) == (1, 1)


def test_what_was_taken_and_could_not_be_recorded_goes_once_more_with_the_same_key_after_a_kill(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.put("a", "b")
    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "_write_transaction", lambda _: (_ for _ in ()).throw(StoreError("disk full")))
        with pytest.raises(StoreError):
            bench.worker.round()
    bench.restart()
    bench.worker.round()

    assert bench.carrier.taken == ["a", "a", "b"]
    assert bench.waiting() == []


def test_an_outage_is_logged_once_and_so_is_its_end(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.carrier.trouble[""] = ProviderError("it answered 503")
    bench.put("a")
    for _ in range(50):
        bench.worker.round()
        bench.clock.advance(5)
    bench.carrier.trouble.clear()
    bench.clock.advance(MAX_BACKOFF_SECONDS)
    bench.worker.round()

    assert [record.getMessage() for record in caplog.records] == [
        "there: events wait, will try again: it answered 503",
        "there: answers again",
    ]
