"""How long Alertmanager has not answered: what adds up, what is written down, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.clock import Clock
from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.delivery.alertmanager_watch import SEEN, Metrics, Watch
from vv_exporter.delivery.channel_health import CHANNELS
from vv_exporter.metrics.delivery import NOTIFICATIONS
from vv_exporter.state.store import Store

NOW = 1_700_000_000.0
STARTED = "process_start_time_seconds 5\n"


class Desk:
    """An Alertmanager that answers, or does not, or takes no alerts."""

    def __init__(self, path: Path) -> None:
        self.wall, self.monotonic = Clock(NOW), Clock(1000.0)
        self.store = Store(path, self.wall)
        self.store._connection.execute("PRAGMA synchronous = OFF")  # no power is cut here
        self.answer: str | Exception = STARTED
        self.taking = True
        self.watch = self.begin()

    def begin(self) -> Watch:
        return Watch(self.store, self.ask, 30.0, self.monotonic)

    def ask(self) -> str:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def look(self, after: float = 5.0) -> float:
        self.wall.advance(after)
        self.monotonic.advance(after)
        self.watch.poll(is_accepting=self.taking)
        return self.watch.seen.down

    @property
    def saved(self) -> float:
        document = self.store.document(SEEN, "")
        return document.down if document else -1.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "state.db")
    yield made
    made.store.close()


@pytest.mark.parametrize("answer", [DeliveryError("away"), 'alertmanager_notifications_failed_total{x="y"} z\n'])
def test_seconds_without_an_answer_add_up_from_the_first_look(desk: Desk, answer: str | Exception) -> None:
    desk.answer = answer

    assert [desk.look() for _ in range(4)] == [0.0, 5.0, 10.0, 15.0]
    assert desk.watch.seen.since == NOW + 5


def test_one_look_adds_a_quarter_of_a_minute_at_most(desk: Desk) -> None:
    desk.look()
    desk.answer = DeliveryError("away")

    assert [desk.look(14.0), desk.look(15.0), desk.look(16.0)] == [14.0, 29.0, 44.0]


@pytest.mark.parametrize(("seconds", "outage"), [(29.0, False), (30.0, True)])
def test_an_outage_has_a_length(desk: Desk, seconds: float, outage: bool) -> None:
    desk.look()
    desk.answer = DeliveryError("away")
    desk.look(15.0)
    desk.look(seconds - 15.0)

    assert desk.watch.outage() is outage


def test_it_is_written_down_when_it_begins_and_every_quarter_of_a_minute(desk: Desk) -> None:
    desk.look()
    desk.answer = DeliveryError("away")

    assert [(desk.look(), desk.saved)[1] for _ in range(8)] == [5, 5, 5, 20, 20, 20, 35, 35]


def test_it_goes_on_after_a_restart(desk: Desk) -> None:
    desk.look()
    desk.answer = DeliveryError("away")
    desk.look()
    desk.watch = desk.begin()

    assert [desk.look(), desk.look()] == [5.0, 10.0]
    assert desk.saved == 5.0


def test_an_answer_ends_it_if_alerts_are_taken(desk: Desk) -> None:
    desk.look()
    desk.answer = DeliveryError("away")
    desk.look()
    desk.answer, desk.taking = STARTED, False
    assert [desk.look(), desk.look()] == [5.0, 10.0]  # at first it has not been asked to take anything yet
    desk.taking = True
    assert desk.look() == 0.0

    assert (desk.watch.seen.since, desk.saved) == (0.0, 0.0)
    desk.answer = DeliveryError("away")
    assert (desk.look(), desk.saved) == (5.0, 5.0)


def test_that_it_answers_again_is_said_once(desk: Desk) -> None:
    assert desk.watch.poll(is_accepting=True) is False
    desk.answer = DeliveryError("away")
    assert desk.watch.poll(is_accepting=True) is False
    desk.answer = STARTED

    assert [desk.watch.poll(is_accepting=True), desk.watch.poll(is_accepting=True)] == [True, False]


def test_how_long_there_is_no_outage_yet(desk: Desk) -> None:
    assert desk.watch.until_outage() == 30.0
    desk.look()
    desk.monotonic.advance(4.0)
    assert desk.watch.until_outage() == 30.0
    desk.answer = DeliveryError("away")
    desk.look()  # nine seconds after the last
    assert desk.watch.until_outage() == 21.0
    desk.monotonic.advance(4.0)
    assert desk.watch.until_outage() == 17.0
    desk.monotonic.advance(40.0)

    assert desk.watch.until_outage() == 0.0


def test_what_it_counted_is_kept_and_written_when_it_changes(desk: Desk) -> None:
    desk.look()
    assert desk.watch.seen.started == 5.0
    with desk.store.transaction() as tx:
        tx.delete(SEEN, "")
    desk.look()

    assert desk.store.document(SEEN, "") == desk.watch.seen


def test_a_new_process_with_the_same_counts_is_known_as_that(desk: Desk) -> None:
    desk.look()
    desk.answer = "process_start_time_seconds 7\n"
    desk.look()

    assert (desk.watch.seen.started, desk.store.document(SEEN, "")) == (7.0, desk.watch.seen)


@pytest.mark.parametrize(("status", "taken"), [(200, True), (199, False), (201, False), (503, False)])
def test_metrics_are_what_comes_with_200(monkeypatch: pytest.MonkeyPatch, status: int, taken: bool) -> None:
    metrics = Metrics("http://alertmanager:9093")
    monkeypatch.setattr(metrics._client, "get", lambda path: SimpleNamespace(status=status, text=f"of {path}"))
    if taken:
        assert metrics() == "of /metrics"
    else:
        with pytest.raises(DeliveryError, match=f"http://alertmanager:9093/metrics answered {status}"):
            metrics()


def test_after_a_restart_the_outage_is_as_near_as_before(desk: Desk) -> None:
    desk.look()
    desk.answer = DeliveryError("away")
    desk.look()

    assert desk.begin().until_outage() == 25.0


COUNTS = """\
process_start_time_seconds 5
alertmanager_notification_requests_total{integration="slack",receiver_name="chat"} %d
alertmanager_notification_requests_failed_total{integration="slack",receiver_name="chat"} %d
"""


@pytest.mark.parametrize(("failed", "tried", "ok"), [(0, 0.0, 2), (1, NOW + 10, 1), (2, NOW + 10, 0)])
def test_an_attempt_that_failed_is_a_try_and_no_failure(desk: Desk, failed: int, tried: float, ok: float) -> None:
    desk.answer = COUNTS % (0, 0)
    desk.look()
    desk.answer = COUNTS % (2, failed)
    desk.look()

    channel = desk.store.docs(CHANNELS)["slack"]
    assert (channel.tried, channel.failed, channel.since) == (tried, 0.0, 0.0)
    assert (desk.store.value(NOTIFICATIONS, ("slack", "ok")) or 0) == ok
    assert desk.store.value(NOTIFICATIONS, ("slack", "failed")) is None
