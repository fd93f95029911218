"""Stages of the pipeline: how long each took, how it ended, and which of them runs now.

with stage("scan_video", video=path) as run:
    analytic = scan(path)
    run.note(video_sha256=analytic["sha256"])
"""

from __future__ import annotations

from vv_core import _runs
from vv_core.common import environment, journals, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os


class Stage(_runs.Span):
    """See `stage`."""

    kind = "stage"

    def __init__(
        self,
        name: object,
        video: object,
        component: object,
        limit: object,
        video_bytes: object,
        video_seconds: object,
    ) -> None:
        super().__init__(name, component)
        self._video = None if video is None else texts.video(video, _runs.MAX_PATH)
        self._measures = _runs.measures(video_bytes, video_seconds)
        self._limit = _runs.positive(limit)
        self._scales = limit is None
        if self._scales:
            self._limit = environment.stage_limit(self._name)

    def noted(self, run: _runs.Run, facts: dict[str, object]) -> None:
        """Report what became known while `run` is in progress."""
        if run.recorded and facts:
            journals.emit("stage.noted", self._component, {"run": run.id, "stage": self._name, **facts})

    def _start(self, run: _runs.Run) -> dict[str, object]:
        fields: dict[str, object] = {}
        if self._video is not None:
            fields["video"] = run.notes["video"] = self._video
        fields.update(self._measures)
        if self._limit is not None:
            fields["limit"] = self._limit
            if self._scales:
                fields["limit_scales"] = True
        if run.parent is not None:
            fields["parent"] = run.parent.id
        return fields

    def _finish(self, run: _runs.Run) -> dict[str, object]:
        fields: dict[str, object] = {"outcome": "failure" if run.failed else "success", **run.notes}
        if run.error is not None:
            fields["error"] = run.error
        if run.exception is not None and run.failed and not run.reported:
            fields["exception"] = run.exception
        return fields


def stage(
    name: str,
    *,
    video: str | bytes | os.PathLike[str] | None = None,
    component: str | None = None,
    limit: float | None = None,
    video_bytes: int | None = None,
    video_seconds: float | None = None,
) -> Stage:
    """Report a run of the stage `name`: a context manager that yields the run (`run.note`, `run.fail`), or a decorator.

    The start is reported at once, so that a run past its limit is noticed while it runs, and one that is killed
    counts as crashed. An exception that leaves the body makes it a failure and goes on unchanged; `SystemExit(0)`
    does not. Nested stages name their parent; a child process does not report its parent's run.

    `component` is the script that reports (default: the running one). `limit` is in seconds, and final; by default it
    is that of ``MAX_PROCESSING_TIME_<STAGE>`` (``MAX_PROCESSING_TIME_SUMMARIZE`` holds for ``summarize_scene`` too), to
    which the exporter's configuration may add time by the video's length, `video_seconds`, and its size,
    `video_bytes`. The size is not looked up here, for a hung disk would hold up the script: the exporter does that,
    where it sees the file too. Raises nothing.
    """
    return Stage(name, video, component, limit, video_bytes, video_seconds)
