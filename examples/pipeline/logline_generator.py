"""Stage logline_generator: one signed line for the log of what cameras saw, as `logline` JSON.

    logline_generator.py $VIDEO_STORAGE_ROOT/input/front-door-1.mp4

Has the structure of scan_video.py, and `sign_payload`: each line is bound to the one before. A key that cannot be used
is no fault of the video: the exit code says so.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage import read_json, result, schema, write_json

from vv_core.guard import guard
from vv_core.logs import setup_logging
from vv_core.quarantine import move_to_corrupted
from vv_core.schemas import SchemaValidationError, check_schema
from vv_core.signing import SigningError, not_written, sign_payload
from vv_core.stages import stage


def main(video: Path) -> str | int | None:
    """Run the stage for one video. Returns what went wrong, if anything did."""
    setup_logging("logline_generator.py")
    try:
        with stage("logline_generator", video=video) as run:
            summary = read_json(result(video, "summary"))
            run.note(video_sha256=summary["sha256"])
            logline = describe(summary, datetime.now(UTC))
            check_schema(logline, schema("logline"))
            signed = sign_payload(logline, chain="loglines")
            try:
                write_json(result(video, "logline"), signed)
            except OSError:
                not_written(signed)  # so that nobody is accused that the line is missing
                raise
    except SchemaValidationError as error:
        move_to_corrupted(video, "SchemaValidationError", error)
        return str(error)
    except SigningError as error:
        print(error, file=sys.stderr)
        return os.EX_TEMPFAIL
    except OSError as error:
        return str(error)
    return None


def describe(summary: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The line of a summary."""
    line = f"{summary['video']}, {summary['duration']:.1f} s: {'; '.join(summary['scenes'])}"
    return {"timestamp": now.isoformat(timespec="seconds"), "sha256": summary["sha256"], "line": line}


if __name__ == "__main__":
    path = Path(sys.argv[1])
    with guard(video=path, quarantine=True):  # last resort
        sys.exit(main(path))
