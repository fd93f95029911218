"""Stage logline_generator: one line for the log of what cameras saw, as `logline` JSON.

Run it with the path of a video that the stages before have taken.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage import read_json, result, write_json

from vv_core.logs import setup_logging
from vv_core.stages import stage


def main(video: Path) -> int:
    """Run the stage for one video."""
    log = setup_logging("logline_generator.py")
    try:
        with stage("logline_generator", video=video, component="logline_generator.py") as run:
            summary = read_json(result(video, "summary"))
            run.note(video_sha256=summary["sha256"])
            write_json(result(video, "logline"), logline(summary, datetime.now(UTC)))
    except (OSError, ValueError, KeyError) as error:
        log.error("%s: its summary cannot be used: %r", video.name, error)
        return os.EX_TEMPFAIL
    except Exception:  # last resort
        log.exception("%s: an error nobody expected", video.name)
        return os.EX_SOFTWARE
    return os.EX_OK


def logline(summary: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The line. Raises `KeyError` when something is missing in the summary."""
    line = f"{summary['video']}, {summary['duration']:.1f} s: {'; '.join(summary['scenes'])}"
    return {"timestamp": now.isoformat(timespec="seconds"), "sha256": summary["sha256"], "line": line}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
