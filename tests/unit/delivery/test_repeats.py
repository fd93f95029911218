"""How often an alert was repeated is told, once."""

import msgspec
import pytest

from tests.unit.delivery.bench import WINDOW, Bench, notified
from vv_exporter.state.openalerts import ALERTS, ENDED


def repeat(bench: Bench, times: int, key: str = "k") -> None:
    """The same alert, so many times more."""
    with bench.store.transaction() as tx:
        alert = tx.get(ALERTS, key)
        assert alert is not None
        tx.put(ALERTS, key, msgspec.structs.replace(alert, count=alert.count + times, ends=bench.clock.now + WINDOW))


def repeats_told(bench: Bench) -> list[str]:
    return [alert["annotations"]["summary"] for alert in bench.sent if "repeats" in alert["labels"]]


def test_how_often_an_alert_was_repeated_is_told_once_when_it_has_ended(bench: Bench) -> None:
    bench.put()
    bench.work(60)
    repeat(bench, 37)
    bench.work(60)
    assert repeats_told(bench) == []

    bench.work(WINDOW)
    bench.restart()
    bench.work(WINDOW)
    assert repeats_told(bench) == ["T k (repeated 37 times)"]
    (told,) = [alert for alert in bench.sent if "repeats" in alert["labels"]]
    assert "repeated 37 times since 2023-11-14T22:13:20Z" in told["annotations"]["description"]
    assert bench.store.docs(ALERTS) == {}


def test_the_last_count_is_sent_again_when_everything_stops_right_after_the_end(bench: Bench) -> None:
    bench.put()
    bench.work(60)
    repeat(bench, 37)
    bench.work(WINDOW)
    bench.restart()
    bench.sent.clear()
    bench.metrics["start"] = bench.clock.now  # Alertmanager as well, whose alerts are in memory only
    bench.work(60)
    assert repeats_told(bench) == ["T k (repeated 37 times)"]

    (told,) = [alert for alert in bench.sent if "repeats" in alert["labels"]]
    bench.event(notification=notified(**told["labels"]))
    bench.restart()
    bench.work(300)
    assert len(repeats_told(bench)) == 1
    assert bench.store.docs(ENDED) == {}


def test_one_that_goes_on_is_told_of_each_hour(bench: Bench) -> None:
    bench.put()
    for _ in range(13):
        bench.work(600)
        repeat(bench, 10)

    assert repeats_told(bench) == ["T k (repeated 60 times)", "T k (repeated 120 times)"]


def test_repeats_of_the_first_moment_were_told_with_it_and_those_of_a_note_to_nobody(bench: Bench) -> None:
    bench.put("burst")
    bench.put("note", "info")
    bench.relay.round()
    repeat(bench, 20, "burst")
    bench.relay.round()
    bench.work(60)
    repeat(bench, 5, "note")
    bench.work(3 * WINDOW)

    assert repeats_told(bench) == []
    assert bench.store.docs(ALERTS) == {}


@pytest.mark.parametrize(("severity", "after"), [("critical", 2), ("error", 7)])
def test_repeats_that_come_when_the_message_has_gone_are_told_at_the_end(
    bench: Bench, severity: str, after: float
) -> None:
    bench.put("k", severity)
    bench.relay.round()
    bench.clock.advance(after)
    repeat(bench, 20)
    bench.relay.round()
    bench.work(3 * WINDOW)

    assert repeats_told(bench) == ["T k (repeated 20 times)"]
