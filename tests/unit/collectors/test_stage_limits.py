"""How long a run may take: who says so, and what is learned of the runs before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import Clock
from vv_exporter.collectors.thresholds import build
from vv_exporter.context import Context
from vv_exporter.metrics.thresholds import STAGE_USUAL_SECONDS
from vv_exporter.settings import Duration, StageSettings, load
from vv_exporter.state import stagelimits
from vv_exporter.state.runs import Run
from vv_exporter.state.stagelimits import (
    RECENT_RUNS,
    Limit,
    RecentRuns,
    is_limited,
    learned_limit,
    limit_of,
    note_success,
    usual_seconds,
)
from vv_exporter.state.store import Store

SETTINGS = load(
    {
        "VV_STATE_DIR": "/nonexistent",
        "VV_STAGE_OVERDUE_FACTOR": "3",
        "VV_STAGE_OVERDUE_FLOOR": "60s",
        "VV_STAGE_OVERDUE_DEFAULT": "2h",
    }
)


def recent(*seconds: float) -> RecentRuns:
    return RecentRuns("scan", seconds)


@pytest.mark.parametrize(
    ("count", "usual"),
    [(0, None), (4, None), (5, 5.0), (19, 19.0), (20, 19.0), (21, 20.0), (40, 38.0), (41, 39.0), (50, 48.0)],
)
def test_95_of_100_stay_below(count: int, usual: float | None) -> None:
    seconds = tuple(float(number) for number in reversed(range(1, count + 1)))

    assert usual_seconds(recent(*seconds)) == usual
    assert usual_seconds(None) is None


@pytest.mark.parametrize(
    ("known", "limit"),
    [
        (None, Limit(7200.0, "default")),
        (recent(1, 2, 3, 4), Limit(7200.0, "default")),
        (recent(100, 100, 100, 100, 100), Limit(300.0, "usual")),
        (recent(20, 20, 20, 20, 20), Limit(60.0, "usual")),
        (recent(1, 1, 1, 1, 1), Limit(60.0, "usual")),
    ],
)
def test_a_limit_is_learned(known: RecentRuns | None, limit: Limit) -> None:
    assert learned_limit(known, SETTINGS) == limit


@pytest.mark.parametrize(
    ("more", "limit"),
    [
        ({"limit": 5.0, "given": 5.0}, Limit(5.0, "script")),
        ({"limit": 5.0}, Limit(5.0, "configuration")),
        ({"limit": 0.0}, Limit(0.0, "configuration")),
        ({}, Limit(300.0, "usual")),
    ],
)
def test_who_says_so(more: dict[str, Any], limit: Limit) -> None:
    run = Run(name="scan", component="c", writer="w", started=0.0, **more)

    assert limit_of(run, recent(*[100.0] * 5), SETTINGS) == limit


def test_a_stage_without_a_limit_in_the_configuration_has_none() -> None:
    assert is_limited(StageSettings(limit=Duration(5))) is True
    assert is_limited(StageSettings()) is False
    assert is_limited(None) is False


def test_of_the_runs_the_last_fifty_are_known_to_the_millisecond(tmp_path: Path) -> None:
    assert (stagelimits.KEPT_RUNS, stagelimits.LEAST_RUNS, stagelimits.MAX_STAGES) == (50, 5, 1000)
    store = Store(tmp_path / "state.db", Clock())
    with store.transaction() as tx:
        note_success(tx, "scan", -1.0)
        note_success(tx, "scan", 0.12345)
        first = tx.get(RECENT_RUNS, "scan")
        for number in range(50):
            note_success(tx, "scan", float(number))
        last = tx.get(RECENT_RUNS, "scan")
    store.close()

    assert first == recent(0.0, 0.123)
    assert last == recent(*map(float, range(50)))


def test_limits_are_series_and_a_failure_without_one_has_none(tmp_path: Path) -> None:
    settings = load({"VV_STATE_DIR": str(tmp_path), "DISK_CRITICAL_FREE": "5%"})
    store = Store(tmp_path / "state.db", Clock())
    collector = build(Context(settings, store, Clock(), Clock()))
    found = {
        (family.name, *sample.labels.values()): sample.value
        for family in collector.collect()
        for sample in family.samples
    }
    store.close()

    assert found["vv_threshold_filesystem_free_ratio", "system", "critical"] == 0.05
    assert ("vv_threshold_filesystem_free_bytes", "system", "critical") not in found


def test_what_is_usual_is_a_series_of_stages_that_nobody_limits(tmp_path: Path) -> None:
    (tmp_path / "vv.yml").write_text("stages: {limited: {limit: 5s}, named: {}}")
    settings = load({"VV_STATE_DIR": str(tmp_path), "VV_CONFIG": str(tmp_path / "vv.yml")})
    store = Store(tmp_path / "state.db", Clock())
    with store.transaction() as tx:
        for stage, runs in (("limited", 5), ("named", 5), ("free", 5), ("new", 4)):
            for _ in range(runs):
                note_success(tx, stage, 1000.0)
    collector = build(Context(settings, store, Clock(), Clock()))
    (usual,) = [family for family in collector.collect() if family.name == STAGE_USUAL_SECONDS.name]
    store.close()

    assert {tuple(one.labels.values()): one.value for one in usual.samples} == {
        (stage,): settings.stage_overdue_factor * 1000.0 for stage in ("free", "named")
    }
