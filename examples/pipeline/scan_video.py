"""Stage scan_video: measure what happens in a video, scene by scene, and write it down as `analytic` JSON.

    scan_video.py $VIDEO_STORAGE_ROOT/input/front-door-1.mp4

Shows the structure of a stage's script: `stage` around the work reports its start, end and failure; exceptions are
handled from the expected to the unexpected, and the exit code (sysexits.h) tells the orchestrator what to do.
"""

import os
import sys
from collections.abc import Iterator
from operator import sub
from pathlib import Path
from typing import Any

import av
from storage import result, sha256, write_json

from vv_core.logs import setup_logging
from vv_core.stages import stage

WIDTH, HEIGHT = 64, 36
CUT = 0.2  # a mean change of brightness, of 1, that makes a new scene


class UnusableVideo(Exception):  # noqa: N818 - a business exception: no other try will help
    """The file is no video that can be processed."""


def main(video: Path) -> int:
    """Run the stage for one video."""
    log = setup_logging("scan_video.py")
    try:
        with stage("scan_video", video=video, component="scan_video.py") as run:
            digest = sha256(video)
            run.note(video_sha256=digest)
            log.info("%s: scanning", video.name)
            write_json(result(video, "analytic"), {"video": video.name, "sha256": digest, **scan(video)})
    except UnusableVideo as error:
        log.error("%s cannot be used: %s", video.name, error)
        return os.EX_DATAERR
    except OSError as error:  # the disk's trouble, not the video's
        log.error("%s cannot be scanned now: %s", video.name, error)
        return os.EX_TEMPFAIL
    except Exception:  # last resort
        log.exception("%s: an error nobody expected", video.name)
        return os.EX_SOFTWARE
    return os.EX_OK


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
    sys.exit(main(Path(sys.argv[1])))
