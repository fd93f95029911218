"""Recordings: which time of which camera is there as footage.

recorded("gate", start, end, video=path)       # after the file is closed
"""

from __future__ import annotations

from vv_core import _subject
from vv_core.common import journals, sdklog, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from datetime import datetime

_MAX_TIME = 1e10  # what the exporter takes of a number of seconds (``journal/events.py``)


def recorded(
    dvr: str,
    start: float | datetime,
    end: float | datetime,
    *,
    video: str | bytes | os.PathLike[str] | None = None,
    video_sha256: str | None = None,
    component: str | None = None,
) -> None:
    """Report that there is footage of the camera `dvr`, as the exporter's settings call it, from `start` to `end`.

    Both are Unix seconds or a `datetime` (one without a time zone is local time), by the clock that stands on the
    footage. `video` is the recording's file and `video_sha256` the SHA-256 of its content (hexadecimal): by one of them
    later stages and signatures of it are known to belong to this time; without both, those of the surrounding stage.

    The same footage may be reported again: each second counts once. Raises nothing; what is no time is logged, and not
    reported.
    """
    times = _unix_seconds(start), _unix_seconds(end)
    if None in times:
        given = texts.line((start, end), 200)
        sdklog.warn("vv_core.footage", "recorded(%s): no two times: %s", texts.line(dvr, 100), given)
        return
    fields = {"dvr": texts.name(dvr) or "dvr", "start": times[0], "end": times[1]}
    about = _subject.video_fields(video, video_sha256)
    journals.emit("footage.recorded", _subject.reporter(component), {**fields, **about}, journals.NEEDED)


def _unix_seconds(value: object) -> float | None:
    """A time in Unix seconds that can be written down, or None."""
    try:
        stamp = getattr(value, "timestamp", None)
        number = float(value if stamp is None else stamp())  # type: ignore[arg-type]
    except texts.ENDS:
        raise
    except BaseException:
        return None
    return number if -_MAX_TIME <= number <= _MAX_TIME else None
