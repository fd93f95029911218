"""Stage summarize_scene: say in words what `analytic` JSON says in numbers, and write it down as `summary` JSON.

    summarize_scene.py $VIDEO_STORAGE_ROOT/input/front-door-1.mp4

Has the structure of scan_video.py.
"""

import sys
from pathlib import Path
from typing import Any

from storage import read_json, result, schema, write_json

from vv_core.guard import guard
from vv_core.logs import setup_logging
from vv_core.quarantine import move_to_corrupted
from vv_core.schemas import SchemaValidationError, check_schema
from vv_core.stages import stage

DARK, BRIGHT = 0.25, 0.6
STILL = 0.002


def main(video: Path) -> str | None:
    """Run the stage for one video. Returns what went wrong, if anything did."""
    setup_logging("summarize_scene.py")
    try:
        with stage("summarize_scene", video=video) as run:
            analytic = read_json(result(video, "analytic"))
            run.note(video_sha256=analytic["sha256"])
            summary = summarize(analytic)
            check_schema(summary, schema("summary"))
            write_json(result(video, "summary"), summary)
    except SchemaValidationError as error:
        move_to_corrupted(video, "SchemaValidationError", error)
        return str(error)
    except OSError as error:
        return str(error)
    return None


def summarize(analytic: dict[str, Any]) -> dict[str, Any]:
    """A summary of an analytic."""
    scenes = [f"{scene['seconds']:.1f} s {light(scene)}, {motion(scene)}" for scene in analytic["scenes"]]
    return {name: analytic[name] for name in ("video", "sha256", "duration")} | {"scenes": scenes}


def light(scene: dict[str, Any]) -> str:
    """How bright a scene is."""
    return "dark" if scene["brightness"] < DARK else "bright" if scene["brightness"] > BRIGHT else "dim"


def motion(scene: dict[str, Any]) -> str:
    """Whether something moves."""
    return "nothing moves" if scene["motion"] < STILL else f"motion {scene['motion']:.1%}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    with guard(video=path, quarantine=True):  # last resort
        sys.exit(main(path))
