"""What the exporter judges by itself: at the edge of each limit, with its series there, absent, and of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.core import GaugeMetricFamily

from vv_exporter.alert_path.conditions import CONDITIONS, Now, Observed, find_conditions, fire, rule_of
from vv_exporter.metrics import Metric
from vv_exporter.metrics.containers import DOCKER_UP
from vv_exporter.metrics.dvr import DVR_CONSECUTIVE_FAILURES, DVR_DOWN_SINCE, DVR_LAST_FRAME, DVR_UP
from vv_exporter.metrics.pipeline import (
    LAST_FAILURE,
    LAST_FAILURE_INFO,
    STAGE_LAST_SUCCESS,
    STAGE_LIMIT_USED,
    STAGE_OLDEST_START,
    STAGE_OVERDUE,
    STAGE_RUNNING,
)
from vv_exporter.metrics.self_monitor import GAVE_UP
from vv_exporter.metrics.storage import FREE, MISSING, PROBE_SUCCESS, READONLY, SIZE
from vv_exporter.metrics.thresholds import DVR_DOWN_SECONDS, DVR_FAILURES, FREE_BYTES, FREE_RATIO
from vv_exporter.metrics.videos import BACKLOG_OLDEST, STALLED_SECONDS

TIME = 10_000.0
Series = tuple[Metric, Mapping[str, str], float]


def now(*series: Series, failures: Mapping[tuple[str, str], float] | None = None) -> Now:
    families = []
    for metric, labels, value in series:
        family = GaugeMetricFamily(metric.name, "x", labels=list(labels))
        family.add_metric(list(labels.values()), value)
        families.append(family)
    return Now(families, "edge-7", TIME, failures or {})


def observed(alert: str, *series: Series, **more: Any) -> list[tuple[dict[str, str], float]]:
    return [(dict(one.labels), one.value) for one in CONDITIONS[alert](now(*series, **more))]


DISK = {"role": "video", "path": "/srv"}
AT = {"device": "edge-7"}


@pytest.mark.parametrize(
    ("alert", "metric", "labels", "bad", "well"),
    [
        ("StorageUnavailable", PROBE_SUCCESS, DISK, 0, 1),
        ("StorageMissing", MISSING, DISK, 1, 0),
        ("FilesystemReadOnly", READONLY, DISK, 1, 0),
        ("ContainerFailedPersistently", GAVE_UP, {"name": "web"}, 1, 0),
        ("DockerUnreachable", DOCKER_UP, {}, 0, 1),
    ],
)
def test_a_series_that_says_so(alert: str, metric: Metric, labels: dict[str, str], bad: float, well: float) -> None:
    assert observed(alert, (metric, labels, bad)) == [(AT | labels, bad)]
    assert observed(alert, (metric, labels, well)) == []
    assert observed(alert) == []


@pytest.mark.parametrize(("free", "low"), [(99.9, True), (100.0, False), (50.0, True)])
def test_a_disk_below_its_share_is_low(free: float, low: bool) -> None:
    limits = {"role": "video", "severity": "critical"}
    series = [(FREE, DISK, free), (SIZE, DISK, 1000.0), (FREE_RATIO, limits, 0.1)]

    assert bool(observed("DiskSpaceCritical", *series)) == low


@pytest.mark.parametrize(("free", "low"), [(499.9, True), (500.0, False)])
def test_a_disk_below_its_bytes_is_low(free: float, low: bool) -> None:
    limits = {"role": "video", "severity": "critical"}
    found = observed("DiskSpaceCritical", (FREE, DISK, free), (SIZE, DISK, 1000.0), (FREE_BYTES, limits, 500.0))

    assert found == ([(AT | DISK, free)] if low else [])


def test_limits_of_another_role_or_severity_and_none_at_all_say_nothing() -> None:
    disk = [(FREE, DISK, 0.0), (SIZE, DISK, 1000.0)]
    for labels in ({"role": "system", "severity": "critical"}, {"role": "video", "severity": "warning"}):
        assert observed("DiskSpaceCritical", *disk, (FREE_RATIO, labels, 0.5), (FREE_BYTES, labels, 500.0)) == []
    assert observed("DiskSpaceCritical", *disk) == []


def test_a_disk_whose_size_is_not_known_or_nothing_is_passed_over_and_the_next_is_judged() -> None:
    limits = {"role": "video", "severity": "critical"}
    other, third = {**DISK, "path": "/b"}, {**DISK, "path": "/c"}
    series = [
        (FREE, DISK, 1.0), (FREE, other, 1.0), (SIZE, other, 0.0), (FREE, third, 1.0), (SIZE, third, 1000.0),
        (FREE_RATIO, limits, 0.5),
    ]  # fmt: skip

    assert observed("DiskSpaceCritical", *series) == [(AT | third, 1.0)]
    ratio = list(now(*series).select("path:vv_filesystem_free:ratio"))
    assert [(one.labels["path"], one.value) for one in ratio] == [("/c", 0.001)]


class TestADvr:
    LIMITS: tuple[Series, ...] = ((DVR_DOWN_SECONDS, {}, 300.0), (DVR_FAILURES, {}, 3.0))

    def down(self, since: float, failures: float | None, source: str = "probe", dvr: str = "front") -> list[Series]:
        of = {"dvr": dvr, "source": source}
        counted: list[Series] = [] if failures is None else [(DVR_CONSECUTIVE_FAILURES, of, failures)]
        return [(DVR_DOWN_SINCE, of, TIME - since), *counted]

    @pytest.mark.parametrize(
        ("since", "failures", "holds"),
        [(300.0, 3, True), (299.9, 3, False), (300.0, 2, False), (400.0, 4, True), (400.0, None, False)],
    )
    def test_is_down_for_as_long_and_as_often_as_the_limits_say(
        self, since: float, failures: float | None, holds: bool
    ) -> None:
        found = observed("DvrUnreachableProlonged", *self.LIMITS, *self.down(since, failures))

        assert found == ([({**AT, "dvr": "front"}, since)] if holds else [])

    @pytest.mark.parametrize("limit", LIMITS)
    def test_is_not_judged_without_a_limit(self, limit: Series) -> None:
        assert observed("DvrUnreachableProlonged", limit, *self.down(400, 5)) == []

    def test_has_the_longest_of_its_ages(self) -> None:
        two = [*self.down(400, 5), *self.down(500, 5, "agent"), *self.down(350, 5, "other")]

        assert observed("DvrUnreachableProlonged", *self.LIMITS, *two) == [({**AT, "dvr": "front"}, 500.0)]

    @pytest.mark.parametrize(("up", "source", "holds"), [(1, "agent", True), (0, "agent", False), (1, "probe", False)])
    def test_that_is_up_and_sends_no_frames_is_down(self, up: float, source: str, holds: bool) -> None:
        frozen: list[Series] = [
            (DVR_LAST_FRAME, {"dvr": "front"}, TIME - 301), (DVR_UP, {"dvr": "front", "source": source}, up)
        ]  # fmt: skip

        assert observed("DvrUnreachableProlonged", *self.LIMITS, *frozen) == (
            [({**AT, "dvr": "front"}, 301.0)] if holds else []
        )

    def test_that_is_down_for_longer_than_it_is_frozen_has_that_age(self) -> None:
        frozen: list[Series] = [
            (DVR_LAST_FRAME, {"dvr": "front"}, TIME - 301), (DVR_UP, {"dvr": "front", "source": "agent"}, 1)
        ]  # fmt: skip

        for since, age in ((400, 400.0), (200, 301.0)):
            found = observed("DvrUnreachableProlonged", *self.LIMITS, *self.down(since, 5), *frozen)
            assert found == [({**AT, "dvr": "front"}, age)]


@pytest.mark.parametrize(("alert", "operation"), [("HmacSigningFailed", "sign"), ("HmacVerificationFailed", "verify")])
def test_signatures_that_failed(alert: str, operation: str) -> None:
    failures = {("sign", "a"): 2.0, ("verify", "a"): 2.0, (operation, "b"): 0.0, (operation, "c"): 1.0}

    assert observed(alert, failures=failures) == [
        ({**AT, "component": name, "operation": operation}, count) for name, count in (("a", 2.0), ("c", 1.0))
    ]


class TestAStalledPipeline:
    def stalled(self, oldest: float | None = 700.0, succeeded: float | None = 700.0, *more: Series) -> list[Any]:
        series: list[Series] = [(STALLED_SECONDS, {}, 600.0), *more]
        if oldest is not None:
            series.append((BACKLOG_OLDEST, {}, TIME - oldest))
        if succeeded is not None:
            series.append((STAGE_LAST_SUCCESS, {"stage": "scan"}, TIME - succeeded))
        return observed("PipelineStalled", *series)

    @pytest.mark.parametrize(
        ("oldest", "succeeded", "holds"),
        [
            (600.1, 600.1, True),
            (600.0, 700.0, False),
            (700.0, 600.0, False),
            (None, 700.0, False),
            (700.0, None, False),
        ],
    )
    def test_has_old_videos_and_no_success(self, oldest: float | None, succeeded: float | None, holds: bool) -> None:
        assert self.stalled(oldest, succeeded) == ([(AT, TIME - (TIME - 600.1))] if holds else [])

    def test_the_latest_success_of_any_stage_counts(self) -> None:
        assert self.stalled(700.0, 700.0, (STAGE_LAST_SUCCESS, {"stage": "other"}, TIME - 10)) == []

    def test_is_not_judged_without_its_limit(self) -> None:
        series = [(BACKLOG_OLDEST, {}, 0.0), (STAGE_LAST_SUCCESS, {"stage": "scan"}, 0.0)]

        assert observed("PipelineStalled", *series) == []

    @pytest.mark.parametrize(
        ("running", "overdue", "used", "since", "at_work"),
        [
            (1, None, 0.2, 9_000, True),
            (1, 0, 0.2, 9_000, True),
            (1, 1, 0.2, 10, False),
            (2, 1, 0.2, 9_000, True),
            (0, 0, 0.2, 10, False),
            (1, 0, 0, 3_599.9, True),
            (1, 0, 0, 3_600, False),
            (1, 0, None, 3_599.9, True),
            (1, 0, None, None, False),
        ],
    )
    def test_is_at_work_while_a_run_is_within_its_limit_or_an_hour(
        self, running: float, overdue: float | None, used: float | None, since: float | None, at_work: bool
    ) -> None:
        of = {"stage": "scan"}
        series: list[Series] = [(STAGE_RUNNING, {"stage": "idle"}, 0), (STAGE_RUNNING, of, running)]
        series += [] if overdue is None else [(STAGE_OVERDUE, of, overdue)]
        series += [] if used is None else [(STAGE_LIMIT_USED, of, used)]
        series += [] if since is None else [(STAGE_OLDEST_START, of, TIME - since)]

        assert (self.stalled(700.0, 700.0, *series) == []) == at_work


def test_a_failure_is_quoted_with_what_is_known_of_it() -> None:
    of, other = {"component": "scan", "kind": "a"}, {"component": "scan", "kind": "b"}
    series: list[Series] = [
        (LAST_FAILURE, of, 5.0), (LAST_FAILURE, other, 6.0), (LAST_FAILURE_INFO, {**other, "error": "no frames"}, 1.0)
    ]  # fmt: skip
    for name in ("component_kind:vv_last_check_failure:timestamp", "component_kind:vv_last_dvr_failure:timestamp"):
        found = [(dict(one.labels), one.value) for one in now(*series).select(name)]
        assert found == [({**AT, **of}, 5.0), ({**AT, **other, "error": "no frames"}, 6.0)]


def test_series_are_found_by_name_and_have_the_device() -> None:
    one = now((DOCKER_UP, {}, 1.0), (GAVE_UP, {"name": "a"}, 0.0), (GAVE_UP, {"name": "b"}, 1.0))

    assert one.one(GAVE_UP, name="b") == 1.0
    assert one.one(GAVE_UP) == 0.0
    assert one.one(GAVE_UP, name="c") is None
    assert one.one(MISSING) is None
    assert [sample.labels for sample in one.all(DOCKER_UP)] == [AT]
    assert [sample.value for sample in one.select(GAVE_UP.name)] == [0.0, 1.0]
    assert list(one.select("unknown")) == []


def test_what_holds_is_fired_with_the_words_of_its_rule() -> None:
    one = now((GAVE_UP, {"name": "web"}, 1.0), (DOCKER_UP, {}, 0.0))
    found = [(alert, what.subject) for alert, what in find_conditions(one)]

    assert found == [("ContainerFailedPersistently", "web"), ("DockerUnreachable", "")]
    fired = fire("ContainerFailedPersistently", Observed({**AT, "name": "web"}, 1.0), one)
    assert (fired.alert, fired.subject) == ("ContainerFailedPersistently", "web")
    assert fired.labels["alertname"] == "ContainerFailedPersistently"
    assert (fired.labels["severity"], fired.labels["name"], fired.labels["device"]) == ("critical", "web", "edge-7")
    assert "web" in fired.annotations["summary"]
    assert rule_of("DiskSpaceCritical")["labels"]["severity"] == "critical"
    with pytest.raises(LookupError):
        rule_of("NoSuchAlert")


def test_what_an_alert_is_about_is_told_by_its_labels() -> None:
    labels = {"device": "d", "dvr": "front", "path": "/srv", "role": "video", "other": "x"}

    assert Observed(labels, 1.0).subject == "video//srv/front"
