"""Stage scan_video: measure what happens in a video, scene by scene, and write it down as `analytic` JSON.

    scan_video.py $VIDEO_STORAGE_ROOT/input/front-door-1.mp4

Shows the structure of a stage's script: `stage` around the work reports its start, end and failure; exceptions are
handled from the expected to the unexpected; the exit code and the last line on stderr tell the orchestrator.
"""

import sys
from collections.abc import Iterator
from operator import sub
from pathlib import Path
from typing import Any

import av
from storage import result, schema, write_json

from vv_core.attempts import Attempts
from vv_core.guard import guard
from vv_core.logs import setup_logging
from vv_core.quarantine import move_to_corrupted
from vv_core.schemas import SchemaValidationError, check_schema
from vv_core.stages import stage

WIDTH, HEIGHT = 64, 36
CUT = 0.2  # a mean change of brightness, of 1, that makes a new scene


class UnusableVideo(Exception):  # noqa: N818 - a business exception: no other try will help
    """The file is no video that can be processed."""


def main(video: Path) -> str | None:
    """Run the stage for one video. Returns what went wrong, if anything did."""
    log = setup_logging("scan_video.py")
    try:
        with stage("scan_video", video=video) as run:
            sha256 = Attempts(video).sha256
            run.note(video_sha256=sha256)
            log.info("%s: scanning", video.name)
            analytic = {"video": video.name, "sha256": sha256, **scan(video)}
            check_schema(analytic, schema("analytic"))
            write_json(result(video, "analytic"), analytic)
    except (UnusableVideo, SchemaValidationError) as error:
        move_to_corrupted(video, type(error).__name__, error)
        return str(error)
    except OSError as error:  # may go away: the orchestrator tries again
        return str(error)
    return None


def scan(video: Path) -> dict[str, Any]:
    """Measure a video. Raises `UnusableVideo`, or `OSError` when it cannot be read."""
    try:
        with av.open(video) as container:
            if not container.streams.video:
                raise UnusableVideo("it has no pictures")
            stream = container.streams.video[0]
            fps = float(stream.average_rate or 25)
            scenes = [measure(scene, fps) for scene in split(pictures(container))]
            promised = stream.frames
            facts = {"codec": stream.codec_context.name, "width": stream.width, "height": stream.height, "fps": fps}
    except av.error.InvalidDataError as error:
        raise UnusableVideo(error.strerror) from error
    frames = sum(scene["frames"] for scene in scenes)
    if frames < max(promised, 1):
        raise UnusableVideo(f"{frames} of {promised} frames can be read: it is cut off")
    return facts | {"frames": frames, "duration": frames / fps, "scenes": scenes}


def pictures(container: av.container.InputContainer) -> Iterator[bytes]:
    """Each frame's brightness, reduced to a few pixels of 0 to 255."""
    for frame in container.decode(video=0):
        yield bytes(frame.reformat(WIDTH, HEIGHT, "gray").planes[0])


def change(one: bytes, other: bytes) -> float:
    """How much two pictures differ, 0 to 1."""
    total: int = sum(map(abs, map(sub, one, other)))
    return total / len(one) / 255


def split(frames: Iterator[bytes]) -> Iterator[list[tuple[float, float]]]:
    """Scenes, as each frame's brightness and its change from the frame before, 0 to 1."""
    scene: list[tuple[float, float]] = []
    before: bytes | None = None
    for picture in frames:
        motion = 0.0 if before is None else change(picture, before)
        if motion > CUT:
            yield scene
            scene, motion = [], 0.0
        scene.append((sum(picture) / len(picture) / 255, motion))
        before = picture
    if scene:
        yield scene


def measure(scene: list[tuple[float, float]], fps: float) -> dict[str, Any]:
    """A scene's length in frames and seconds, its mean brightness and motion."""
    frames = len(scene)
    brightness, motion = (round(sum(values) / frames, 4) for values in zip(*scene, strict=True))
    return {"frames": frames, "seconds": frames / fps, "brightness": brightness, "motion": motion}


if __name__ == "__main__":
    path = Path(sys.argv[1])
    with guard(video=path, quarantine=True):  # last resort
        sys.exit(main(path))
