"""The critical conditions that the exporter can judge from its own series: the rules' expressions, now, on one device.

Each function here is one alert of `prometheus/rules/` and gives its subjects; how long it must hold, its labels and its
words are read from the rule itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from prometheus_client.core import Metric as Family

from vv_exporter.alert_path.words import Sample, Words
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
from vv_exporter.metrics.thresholds import (
    DVR_DOWN_SECONDS,
    DVR_FAILURES,
    FREE_BYTES,
    FREE_RATIO,
)
from vv_exporter.metrics.videos import BACKLOG_OLDEST, STALLED_SECONDS
from vv_exporter.render import base
from vv_exporter.render.annotations import translated_rule

HMAC_WINDOW_SECONDS = 900.0  # as the rules' record operation_component:vv_hmac_operations:new15m
UNLIMITED_RUN_SECONDS = 3600.0  # at work, of a stage whose limit is not known, as the rule PipelineStalled has it
SUBJECT_LABELS = ("role", "path", "name", "dvr", "component")  # by which the subjects of one alert differ


class Observed(NamedTuple):
    """Something that holds now: the rule's labels and value."""

    labels: Mapping[str, str]
    value: float

    @property
    def subject(self) -> str:
        """What it is about: of one alert no two have the same."""
        return "/".join(self.labels[name] for name in SUBJECT_LABELS if name in self.labels)


class Now:
    """The exporter's series at a time, by name, those that the rules record included.

    `failures` counts, by operation and component, the failed signatures of the last 15 minutes.
    """

    def __init__(
        self, families: Iterable[Family], device: str, time: float, failures: Mapping[tuple[str, str], float]
    ) -> None:
        self.time = time
        self.device = device
        self.failures = failures
        self._samples: dict[str, list[Sample]] = {}
        for family in families:
            for sample in family.samples:
                labels = {**sample.labels, "device": device}
                self._samples.setdefault(sample.name, []).append(Sample(labels, float(sample.value)))

    def all(self, metric: Metric) -> list[Sample]:
        """The samples of a family."""
        return self._samples.get(metric.name, [])

    def one(self, metric: Metric, **labels: str) -> float | None:
        """The first value with these labels."""
        return next((one.value for one in self.all(metric) if labels.items() <= one.labels.items()), None)

    def select(self, name: str) -> Iterable[Sample]:
        """The samples of a series, or of one that rules record."""
        recorded = _RECORDED.get(name)
        return recorded(self) if recorded else self._samples.get(name, [])


def _free_ratio(now: Now) -> Iterator[Sample]:
    sizes = {(one.labels["role"], one.labels["path"]): one.value for one in now.all(SIZE)}
    for one in now.all(FREE):
        size = sizes.get((one.labels["role"], one.labels["path"]))
        if size:
            yield Sample(one.labels, one.value / size)


def _last_failures(now: Now) -> Iterator[Sample]:
    """When each component last failed, with what is known of that."""
    for one in now.all(LAST_FAILURE):
        of = {"component": one.labels["component"], "kind": one.labels["kind"]}
        info = next((info.labels for info in now.all(LAST_FAILURE_INFO) if of.items() <= info.labels.items()), {})
        yield Sample({**one.labels, **info}, one.value)


_RECORDED: Mapping[str, Callable[[Now], Iterable[Sample]]] = {
    "path:vv_filesystem_free:ratio": _free_ratio,
    "component_kind:vv_last_check_failure:timestamp": _last_failures,
    "component_kind:vv_last_dvr_failure:timestamp": _last_failures,
}


def _observed_by_labels(sample: Sample, *labels: str) -> Observed:
    return Observed({name: sample.labels[name] for name in ("device", *labels)}, sample.value)


def _storage_unavailable(now: Now) -> Iterator[Observed]:
    yield from (_observed_by_labels(one, "role", "path") for one in now.all(PROBE_SUCCESS) if one.value == 0)


def _storage_missing(now: Now) -> Iterator[Observed]:
    yield from (_observed_by_labels(one, "role", "path") for one in now.all(MISSING) if one.value == 1)


def _filesystem_readonly(now: Now) -> Iterator[Observed]:
    yield from (_observed_by_labels(one, "role", "path") for one in now.all(READONLY) if one.value == 1)


def _disk_space_critical(now: Now) -> Iterator[Observed]:
    ratios = {(one.labels["role"], one.labels["path"]): one.value for one in _free_ratio(now)}
    for one in now.all(FREE):
        ratio = ratios.get((one.labels["role"], one.labels["path"]))
        if ratio is None:
            continue
        limits = {"role": one.labels["role"], "severity": "critical"}
        if ratio < (now.one(FREE_RATIO, **limits) or 0.0) or one.value < (now.one(FREE_BYTES, **limits) or 0.0):
            yield _observed_by_labels(one, "role", "path")


def _container_failed_persistently(now: Now) -> Iterator[Observed]:
    yield from (_observed_by_labels(one, "name") for one in now.all(GAVE_UP) if one.value == 1)


def _docker_unreachable(now: Now) -> Iterator[Observed]:
    yield from (_observed_by_labels(one) for one in now.all(DOCKER_UP) if one.value == 0)


def _dvr_unreachable_prolonged(now: Now) -> Iterator[Observed]:
    limit, failures = now.one(DVR_DOWN_SECONDS), now.one(DVR_FAILURES)
    if limit is None or failures is None:
        return
    ages: dict[str, float] = {}
    for one in now.all(DVR_DOWN_SINCE):
        source = {"dvr": one.labels["dvr"], "source": one.labels["source"]}
        if (now.one(DVR_CONSECUTIVE_FAILURES, **source) or 0.0) >= failures:
            ages[source["dvr"]] = max(now.time - one.value, ages.get(source["dvr"], 0.0))
    for one in now.all(DVR_LAST_FRAME):
        dvr = one.labels["dvr"]
        if now.one(DVR_UP, dvr=dvr, source="agent") == 1:
            ages[dvr] = max(now.time - one.value, ages.get(dvr, 0.0))
    yield from (Observed({"device": now.device, "dvr": dvr}, age) for dvr, age in ages.items() if age >= limit)


def _hmac_failed(operation: str) -> Callable[[Now], Iterator[Observed]]:
    def failed(now: Now) -> Iterator[Observed]:
        for (of, component), count in now.failures.items():
            if of == operation and count > 0:
                yield Observed({"device": now.device, "component": component, "operation": of}, count)

    return failed


def _pipeline_stalled(now: Now) -> Iterator[Observed]:
    limit, oldest = now.one(STALLED_SECONDS), now.one(BACKLOG_OLDEST)
    succeeded = max((one.value for one in now.all(STAGE_LAST_SUCCESS)), default=None)
    if limit is None or oldest is None or succeeded is None:
        return
    at_work = any(_is_at_work(now, one.labels["stage"], one.value) for one in now.all(STAGE_RUNNING))
    if now.time - oldest > limit and now.time - succeeded > limit and not at_work:
        yield Observed({"device": now.device}, now.time - oldest)


def _is_at_work(now: Now, stage: str, running: float) -> bool:
    started = now.one(STAGE_OLDEST_START, stage=stage) or 0.0
    limited = (now.one(STAGE_LIMIT_USED, stage=stage) or 0.0) > 0
    within = running > (now.one(STAGE_OVERDUE, stage=stage) or 0.0)
    return within and (limited or now.time - started < UNLIMITED_RUN_SECONDS)


CONDITIONS: Mapping[str, Callable[[Now], Iterator[Observed]]] = {
    "StorageUnavailable": _storage_unavailable,
    "StorageMissing": _storage_missing,
    "FilesystemReadOnly": _filesystem_readonly,
    "DiskSpaceCritical": _disk_space_critical,
    "ContainerFailedPersistently": _container_failed_persistently,
    "DvrUnreachableProlonged": _dvr_unreachable_prolonged,
    "HmacSigningFailed": _hmac_failed("sign"),
    "HmacVerificationFailed": _hmac_failed("verify"),
    "PipelineStalled": _pipeline_stalled,
    "DockerUnreachable": _docker_unreachable,
}
"""The last line: what is announced directly while the alert path is broken, by the alert's name."""


class Fired(NamedTuple):
    """An alert as its rule would have it."""

    alert: str
    subject: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@cache
def rule_of(alert: str) -> Mapping[str, Any]:
    """The rule that announces it, as committed."""
    for path in sorted((base.folder() / "prometheus" / "rules").glob("*.yml")):
        for group in base.load(path)["groups"]:
            for rule in group["rules"]:
                if rule.get("alert") == alert and rule["labels"]["severity"] == "critical":
                    found: Mapping[str, Any] = rule
                    return found
    raise LookupError(alert)


def find_conditions(now: Now) -> Iterator[tuple[str, Observed]]:
    """Everything that holds."""
    for alert, observe in CONDITIONS.items():
        yield from ((alert, observed) for observed in observe(now))


def fire(alert: str, observed: Observed, now: Now) -> Fired:
    """The alert with the rule's own labels and words. Raises `WordsError`."""
    rule = translated_rule(rule_of(alert))
    words = Words(now.select, observed.labels, observed.value, now.time)
    labels = {name: words.fill(text) for name, text in rule["labels"].items()}
    annotations = {name: words.fill(text) for name, text in rule["annotations"].items()}
    return Fired(alert, observed.subject, {"alertname": alert, **observed.labels, **labels}, annotations)
