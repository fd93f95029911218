"""Job cleanup_old_files: delete what is older than some days.

    0 3 * * *  cleanup_old_files.py 30

Shows `job` with a failure that is no exception: one file that cannot be deleted stops neither the others nor the
report, and the run counts as failed.
"""

import sys
import time

from storage import folder

from vv_core.guard import guard
from vv_core.jobs import job
from vv_core.logs import setup_logging

FOLDERS = ("output", "processed", "corrupted")


def main(days: float) -> str | None:
    """Delete the files that were last changed more than `days` ago. Returns what went wrong, if anything did."""
    log = setup_logging("cleanup_old_files.py")
    before = time.time() - days * 86400
    deleted, problems = 0, list[str]()
    with job("cleanup_old_files") as run:
        for path in (path for name in FOLDERS for path in folder(name).iterdir()):
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
                    deleted += 1
            except OSError as error:
                problems.append(str(error))
        if problems:
            run.fail(f"{len(problems)} files cannot be deleted; the first: {problems[0]}")
    log.info("%d files deleted, %d cannot be", deleted, len(problems))
    return run.error


if __name__ == "__main__":
    with guard(then="exit"):
        sys.exit(main(float(sys.argv[1])))
