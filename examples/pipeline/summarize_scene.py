"""Stage summarize_scene: say in words what `analytic` JSON says in numbers, and write it down as `summary` JSON.

    summarize_scene.py $VIDEO_STORAGE_ROOT/input/front-door-1.mp4

Shows `stage` as in scan_video.py, in a script whose only expected trouble is the result of the stage before.
"""

import os
import sys
from pathlib import Path
from typing import Any

from storage import read_json, result, write_json

from vv_core.logs import setup_logging
from vv_core.stages import stage

DARK, BRIGHT = 0.25, 0.6
STILL = 0.002


def main(video: Path) -> int:
    """Run the stage for one video."""
    log = setup_logging("summarize_scene.py")
    try:
        with stage("summarize_scene", video=video, component="summarize_scene.py") as run:
            analytic = read_json(result(video, "analytic"))
            run.note(video_sha256=analytic["sha256"])
            write_json(result(video, "summary"), summarize(analytic))
    except (OSError, ValueError, KeyError) as error:
        log.error("%s: its analytic cannot be used: %r", video.name, error)
        return os.EX_TEMPFAIL
    except Exception:  # last resort
        log.exception("%s: an error nobody expected", video.name)
        return os.EX_SOFTWARE
    return os.EX_OK


def summarize(analytic: dict[str, Any]) -> dict[str, Any]:
    """A summary of an analytic. Raises `KeyError` when something is missing in it."""
    scenes = [f"{scene['seconds']:.1f} s {light(scene)}, {motion(scene)}" for scene in analytic["scenes"]]
    return {name: analytic[name] for name in ("video", "sha256", "duration")} | {"scenes": scenes}


def light(scene: dict[str, Any]) -> str:
    """How bright a scene is."""
    return "dark" if scene["brightness"] < DARK else "bright" if scene["brightness"] > BRIGHT else "dim"


def motion(scene: dict[str, Any]) -> str:
    """Whether something moves."""
    return "nothing moves" if scene["motion"] < STILL else f"motion {scene['motion']:.1%}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
