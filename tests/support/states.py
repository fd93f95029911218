"""States that a device can be in, as the families that its collectors would give."""

from collections.abc import Iterable, Sequence

from prometheus_client.core import Metric as Family

from vv_exporter.metrics import (
    containers,
    counters,
    dvr,
    exporter,
    gauges,
    histograms,
    jobs,
    pipeline,
    security,
    storage,
    videos,
)
from vv_exporter.state.dvrs import RESULTS
from vv_exporter.web.guard import Guarded

HOSTILE = '<script>alert("x")</script>&{{7*7}}\N{RIGHT-TO-LEFT OVERRIDE}"\'><img src=x onerror=alert(1)>'
LONG = "a-very-long-name-without-any-blank-" * 6


class Fixed:
    """A collector that always gives the same."""

    def __init__(self, name: str, families: Sequence[Family]) -> None:
        self.name = name
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def device(
    now: float,
    *,
    containers_: int = 3,
    stages: Sequence[str] = ("scan_video", "summarize_scene"),
    broken: bool = False,
    docker: bool = True,
) -> list[Guarded]:
    """A device with everything on it, in good order or with all of it broken."""
    names = [f"vv-{number}" for number in range(containers_)]
    parts = {
        "itself": _itself(now),
        "containers": _containers(names, broken, docker, now),
        "pipeline": _stages(stages, broken, now),
        "jobs": _jobs(broken, now),
        "dvr": _dvrs(broken, now),
        "storage": _storage(broken),
        "security": _security(broken),
        "videos": _videos(broken, now),
    }
    return [Guarded(Fixed(name, families)) for name, families in parts.items()]


def empty(now: float) -> list[Guarded]:
    """A device on which nothing is configured and nothing has reported."""
    return [Guarded(Fixed("itself", _itself(now)))]


def _itself(now: float) -> list[Family]:
    return [
        gauges(exporter.BUILD_INFO, [(("0.1.0", "unknown", "3.11"), 1)]),
        counters(exporter.EVENTS, [(("stage.finished",), 1234, now)]),
        gauges(exporter.EVENT_LAG, [((), 0.1)]),
    ]


def _containers(names: list[str], broken: bool, docker: bool, now: float) -> list[Family]:
    bad = set(names[: len(names) // 2 + 1]) if broken else set()
    return [
        gauges(containers.DOCKER_UP, [((), float(docker))]),
        gauges(containers.INFO, [((name, name, "vv", "image", "true"), 1) for name in names]),
        gauges(containers.EXPECTED, [((name,), 1) for name in names]),
        gauges(containers.RUNNING, [((name,), float(name not in bad)) for name in names]),
        gauges(containers.STATE, [((name, "exited" if name in bad else "running"), 1) for name in names]),
        gauges(containers.HEALTH, [((name, "healthy"), 1) for name in names if name not in bad]),
        gauges(containers.LAST_EXIT_CODE, [((name,), 137) for name in bad]),
        gauges(containers.MEMORY, [((name,), 123.4e6) for name in names if name not in bad]),
        gauges(containers.MEMORY_LIMIT, [((name,), 512e6) for name in names if name not in bad]),
        counters(containers.RESTARTS, [((name, "policy"), 4, now) for name in names]),
    ]


def _stages(stages: Sequence[str], broken: bool, now: float) -> list[Family]:
    buckets = (0, 3, 5, 2) + (0,) * (len(pipeline.STAGE_DURATION.buckets) - 3)
    failures = [(f"{stage}.py", f"stage_failure:{stage}") for stage in stages] if broken else []
    return [
        gauges(pipeline.STAGE_RUNNING, [((stage,), 1) for stage in stages]),
        gauges(pipeline.STAGE_OVERDUE, [((stage,), float(broken)) for stage in stages]),
        gauges(pipeline.STAGE_LAST_SUCCESS, [((stage,), now - 60) for stage in stages]),
        histograms(pipeline.STAGE_DURATION, [((stage, "success"), buckets, 9.0, now) for stage in stages]),
        gauges(pipeline.LAST_FAILURE, [(failure, now - 5) for failure in failures]),
        gauges(
            pipeline.LAST_FAILURE_INFO,
            [((*failure, f"/v/{HOSTILE}.mp4", "ab" * 32, f"no frames in {HOSTILE}", ""), 1) for failure in failures],
        ),
    ]


def _jobs(broken: bool, now: float) -> list[Family]:
    due = now - 900 if broken else now + 900
    return [
        gauges(jobs.JOB_RUNNING, [(("cleanup_old_files",), 0)]),
        gauges(jobs.JOB_NEXT_DUE, [(("cleanup_old_files",), due)]),
        gauges(jobs.JOB_GRACE, [(("cleanup_old_files",), 60)]),
        gauges(jobs.JOB_LAST_SUCCESS, [(("cleanup_old_files",), now - 3000)]),
        gauges(jobs.JOB_LAST_EXIT_CODE, [(("cleanup_old_files",), float(broken))]),
        gauges(jobs.JOB_LAST_DURATION, [(("cleanup_old_files",), 2.5)]),
    ]


def _dvrs(broken: bool, now: float) -> list[Family]:
    result = "refused" if broken else "ok"
    front = ("front", "probe")
    return [
        gauges(dvr.DVR_UP, [(front, float(not broken))]),
        gauges(dvr.DVR_LAST_RESULT, [((*front, each), float(each == result)) for each in RESULTS]),
        gauges(dvr.DVR_CONSECUTIVE_FAILURES, [(front, 7.0 if broken else 0.0)]),
        gauges(dvr.DVR_DOWN_SINCE, [(front, now - 200)] if broken else []),
        gauges(dvr.DVR_LAST_FRAME, [(("front",), now - (200 if broken else 1))]),
    ]


def _storage(broken: bool) -> list[Family]:
    disk = ("video_storage", "/srv/video")
    return [
        gauges(storage.PROBE_SUCCESS, [(disk, float(not broken)), (("system", "/"), 1)]),
        gauges(storage.SIZE, [(disk, 2e12), (("system", "/"), 2e11)]),
        gauges(storage.FREE, [(disk, 1.1e12), (("system", "/"), 1.5e11)]),
        gauges(storage.INGEST_PAUSED, [((), float(broken))]),
    ]


def _security(broken: bool) -> list[Family]:
    failed = 3 if broken else 0
    return [
        counters(
            security.SCHEMA_VALIDATIONS,
            [
                (("analytic", "scan_video.py", "valid"), 40, None),
                (("analytic", "scan_video.py", "invalid"), failed, None),
            ],
        ),
        counters(security.HMAC_OPERATIONS, [(("sign", "logline_generator.py", "ok"), 40, None)]),
    ]


def _videos(broken: bool, now: float) -> list[Family]:
    return [
        gauges(videos.BACKLOG_VIDEOS, [((), 4)]),
        gauges(videos.BACKLOG_OLDEST, [((), now - 30)]),
        gauges(videos.QUARANTINE_FILES, [((), 2.0 if broken else 0.0)]),
        gauges(videos.QUARANTINE_BYTES, [((), 3e8 if broken else 0.0)]),
    ]
