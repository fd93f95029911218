"""File systems of their own on loop devices, whose `stat` says what reached the disk. As root.

Documentation/block/stat.rst: the seventh number is of sectors written; a sector has 512 bytes.
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

SECTOR_BYTES = 512
IMAGE_BYTES = 512 << 20


@contextlib.contextmanager
def own_disks(parts: Mapping[str, str], options: str = "loop") -> Iterator[tuple[Path, dict[str, Path]]]:
    """A folder in which each part lies on a device of its own, and each device's `stat`. `options` are mount(8)'s."""
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        folder, devices = Path(work, "state"), {}
        for number, (name, below) in enumerate(sorted(parts.items(), key=lambda part: len(part[1]))):
            image, place = Path(work, f"{number}.img"), folder / below
            image.touch()
            os.truncate(image, IMAGE_BYTES)
            quick = "lazy_itable_init=0,lazy_journal_init=0"  # or the kernel goes on making it while it is measured
            subprocess.run(["mkfs.ext4", "-q", "-F", "-E", quick, image], check=True)
            place.mkdir(parents=True)
            subprocess.run(["mount", "-o", f"loop,{options}", image, place], check=True)
            stack.callback(_unmount, place)
            source = subprocess.run(["findmnt", "-no", "SOURCE", place], check=True, capture_output=True, text=True)
            devices[name] = Path("/sys/class/block", Path(source.stdout.strip()).name, "stat")
        yield folder, devices


def _unmount(place: Path) -> None:
    subprocess.run(["umount", place], check=True)


def written_bytes(stat: Path) -> int:
    """What has been written to a device since it was made."""
    return int(stat.read_text().split()[6]) * SECTOR_BYTES
