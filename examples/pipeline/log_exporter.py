"""Job log_exporter: copy the loglines to another disk.

    0 * * * *  log_exporter.py /mnt/nas/loglines

Shows `retry` for what fails for a moment, and `heartbeat`: no news of this job within its schedule is bad news.
"""

import shutil
import sys
from pathlib import Path

from storage import folder

from vv_core.guard import guard
from vv_core.jobs import heartbeat
from vv_core.logs import setup_logging
from vv_core.retry import retry


def main(target: Path) -> None:
    """Copy what is not there yet."""
    log = setup_logging("log_exporter.py")
    new = [path for path in folder("output").glob("*.logline.json") if not (target / path.name).exists()]
    for path in new:
        copy(path, target)
    heartbeat("log_exporter")
    log.info("%d loglines copied", len(new))


@retry(OSError, tries=3)
def copy(path: Path, target: Path) -> None:
    """Copy a file, which is there as a whole or not at all."""
    part = target / f"{path.name}.part"
    shutil.copyfile(path, part)
    part.replace(target / path.name)


if __name__ == "__main__":
    with guard(then="exit"):
        main(Path(sys.argv[1]))
