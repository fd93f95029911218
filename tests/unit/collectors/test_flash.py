"""What is told of the disk of the state folder, and of how worn it is; what it does not say is not made up."""

import os
from pathlib import Path

import pytest

from vv_exporter.collectors.flash import Flash

STAT = "  100  0  200  5  300  0  {written}  7  0  9  9 0 0 0 0 0 0\n"


class Sys:
    """A /sys with one disk, on a partition of which, or on the whole of it, a folder lies."""

    def __init__(self, root: Path) -> None:
        self.root = root / "sys"
        self.folder = root / "state"
        self.folder.mkdir()
        self.disk = self.root / "devices" / "mmc0" / "block" / "mmcblk0"
        (self.disk / "device").mkdir(parents=True)
        device = self.folder.stat().st_dev
        self.link = self.root / "dev" / "block" / f"{os.major(device)}:{os.minor(device)}"
        self.link.parent.mkdir(parents=True)
        (self.disk / "stat").write_text(STAT.format(written=1000))

    def lies_on_a_partition(self) -> None:
        partition = self.disk / "mmcblk0p2"
        partition.mkdir()
        (partition / "partition").write_text("2\n")
        (partition / "stat").write_text(STAT.format(written=1))
        self.link.symlink_to(partition)

    def lies_on_the_disk(self) -> None:
        self.link.symlink_to(self.disk)

    def shown(self) -> dict[str, float]:
        families = Flash(self.folder, self.root).collect()
        return {sample.name: sample.value for family in families for sample in family.samples}


@pytest.fixture
def sys(tmp_path: Path) -> Sys:
    return Sys(tmp_path)


def test_what_reaches_the_whole_disk_is_told_in_bytes(sys: Sys) -> None:
    sys.lies_on_a_partition()

    assert sys.shown() == {"vv_state_written_bytes_total": 512_000}


def test_a_disk_without_partitions_is_one(sys: Sys) -> None:
    sys.lies_on_the_disk()

    assert sys.shown() == {"vv_state_written_bytes_total": 512_000}


@pytest.mark.parametrize(
    ("said", "used"),
    [
        ("0x01 0x01", 0.1),
        ("0x03 0x07", 0.7),
        ("0x0a 0x02", 1.0),
        ("0x0b 0x01", 1.1),
        ("0x00 0x00", None),
        ("0x00 0x02", 0.2),
        ("0xff 0x00", None),
        ("0x0c", None),
        ("", None),
        ("unknown", None),
        ("-0x01 0x00", None),
    ],
)
def test_an_emmc_says_how_worn_it_is_or_nothing(sys: Sys, said: str, used: float | None) -> None:
    sys.lies_on_a_partition()
    (sys.disk / "device" / "life_time").write_text(f"{said}\n")

    assert sys.shown().get("vv_state_disk_life_used_ratio") == used


@pytest.mark.parametrize("stat", ["", "1 2 3\n", "a b c d e f g h\n"])
def test_what_the_kernel_says_otherwise_is_nothing(sys: Sys, stat: str) -> None:
    sys.lies_on_the_disk()
    (sys.disk / "stat").write_text(stat)

    assert sys.shown() == {}


def test_a_file_system_without_a_disk_shows_nothing(sys: Sys) -> None:
    assert sys.shown() == {}


def test_this_machine_is_read_without_an_error(tmp_path: Path) -> None:
    families = list(Flash(tmp_path).collect())

    assert [family.name for family in families] == ["vv_state_written_bytes", "vv_state_disk_life_used_ratio"]
    assert all(sample.value >= 0 for family in families for sample in family.samples)
