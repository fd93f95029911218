"""Stages of the pipeline: how long each took, how it ended, and which of them runs now.

with stage("scan_video", video=path) as run:
    analytic = scan(path)
    run.note(video_sha256=analytic["sha256"])
"""

from __future__ import annotations

import math

from vv_core import _environment, _runs, _text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os


class Stage(_runs.Span):
    """See `stage`."""

    kind = "stage"

    def __init__(self, name: object, video: object, component: object, limit: object, video_bytes: object) -> None:
        super().__init__(name, component)
        self._video = None if video is None else _text.path(video, _runs.MAX_PATH)
        self._video_bytes = video_bytes if type(video_bytes) is int and video_bytes >= 0 else None
        self._limit = _seconds(limit) if limit is not None else _environment.stage_limit(self._name)

    def _start(self, run: _runs.Run) -> dict[str, object]:
        fields: dict[str, object] = {}
        if self._video is not None:
            fields["video"] = run.notes["video"] = self._video
        if self._video_bytes is not None:
            fields["video_bytes"] = self._video_bytes
        if self._limit is not None:
            fields["limit"] = self._limit
        if run.parent is not None:
            fields["parent"] = run.parent
        return fields

    def _finish(self, run: _runs.Run) -> dict[str, object]:
        fields: dict[str, object] = {"outcome": "failure" if run.failed else "success", **run.notes}
        if run.error is not None:
            fields["error"] = run.error
        if run.exception is not None and run.failed:
            fields["exception"] = run.exception
        return fields


def stage(
    name: str,
    *,
    video: str | bytes | os.PathLike[str] | None = None,
    component: str | None = None,
    limit: float | None = None,
    video_bytes: int | None = None,
) -> Stage:
    """Report a run of the stage `name`: a context manager that yields the run (`run.note`, `run.fail`), or a decorator.

    The start is reported at once, so that a run past its limit is noticed while it runs, and one that is killed
    counts as crashed. An exception that leaves the body makes it a failure and goes on unchanged; `SystemExit(0)`
    does not. Nested stages name their parent; a child process does not report its parent's run.

    `component` is the script that reports (default: the running one). `limit` is in seconds, by default that of
    ``MAX_PROCESSING_TIME_<STAGE>``; ``MAX_PROCESSING_TIME_SUMMARIZE`` holds for ``summarize_scene`` too. The
    video's size in bytes is not looked up, for a hung disk would hold up the report. Raises nothing.
    """
    return Stage(name, video, component, limit, video_bytes)


def _seconds(value: object) -> float | None:
    """A limit that can be compared with a clock, or None."""
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
