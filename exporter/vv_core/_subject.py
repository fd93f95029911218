"""Whom and what an event is about, if the script does not say it: the run that is in progress knows."""

from __future__ import annotations

from vv_core import _runs
from vv_core.common import environment, texts


def reporter(component: object) -> str:
    """The component that reports: the one that is named, else that of the surrounding run, else the script."""
    if component is not None and (name := texts.name(component)):
        return name
    run = _runs.current()
    return run.component if run is not None else environment.script_name()


def video_fields(video: object, video_sha256: object) -> dict[str, object]:
    """`video` and `video_sha256` of an event: those that are given, or, if none is, those of the surrounding run."""
    fields: dict[str, object] = {}
    if video is not None:
        fields["video"] = texts.video(video, _runs.MAX_PATH)
    if video_sha256 is not None:
        fields["video_sha256"] = texts.line(video_sha256, 128)
    run = None if fields else _runs.current()
    while run is not None:  # a stage within a stage need not name the video again
        fields.update((name, run.notes[name]) for name in ("video", "video_sha256") if name in run.notes)
        if fields:
            break
        run = run.parent
    return fields
