"""Alertmanager's own counts of notifications, by channel, across restarts."""

import pytest

from tests.unit.delivery.bench import Bench
from vv_exporter.delivery.alertmanager_watch import SEEN, parse
from vv_exporter.delivery.channel_health import CHANNELS, Channel
from vv_exporter.metrics.delivery import NOTIFICATIONS


def test_alertmanagers_counts_are_told_by_channel(bench: Bench) -> None:
    bench.work(10)
    bench.metrics |= {"attempts": 9, "in_vain": 6, "given_up": 2}
    bench.work(10)

    assert bench.store.value(NOTIFICATIONS, ("slack", "ok")) == 3
    assert bench.store.value(NOTIFICATIONS, ("slack", "failed")) == 2
    channel = bench.store.document(CHANNELS, "slack") or Channel()
    assert channel.error == "Alertmanager gave up: the provider has trouble (5xx)"


def test_a_restart_of_alertmanager_or_of_the_exporter_counts_nothing_twice(bench: Bench) -> None:
    bench.work(10)
    bench.metrics["attempts"] = 5
    bench.work(10)
    bench.restart()
    bench.work(10)
    bench.metrics |= {"start": 2000.0, "attempts": 2}
    bench.work(10)

    assert bench.store.value(NOTIFICATIONS, ("slack", "ok")) == 7


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_a_clock_that_is_set_moves_alertmanagers_start_and_counts_nothing_twice(bench: Bench, step: float) -> None:
    """It reckons its start from the boot, and that from the clock."""
    bench.work(10)
    bench.metrics |= {"attempts": 9, "in_vain": 6, "given_up": 2}
    bench.work(10)
    bench.metrics["start"] += step
    bench.work(10)

    assert bench.store.value(NOTIFICATIONS, ("slack", "ok")) == 3
    assert bench.store.value(NOTIFICATIONS, ("slack", "failed")) == 2


def test_what_it_counted_before_anybody_looked_is_not_counted(bench: Bench) -> None:
    bench.metrics["given_up"] = 500
    bench.work(30)

    assert bench.store.value(NOTIFICATIONS, ("slack", "failed")) is None
    assert (bench.store.document(SEEN, "") or SEEN.type()).started == 1000.0


def test_metrics_without_receivers_or_of_another_kind_are_no_harm() -> None:
    assert parse("").counts == {}
    assert parse("# nothing\nx 1\nprocess_start_time_seconds 5\n").started == 5
