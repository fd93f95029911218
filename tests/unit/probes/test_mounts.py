"""Which file system is at the video storage, and whether it is the one that should be: with real mounts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.disks import small_disk
from vv_exporter.probes import storagedevices
from vv_exporter.probes.filesystem import Answer, read_usage_and_write
from vv_exporter.probes.mounts import (
    FileSystem,
    file_system_of,
    mount_point_of,
    mount_points,
    mounted_at,
    read_mounts,
    uuid_of,
    why_missing,
    why_not_mounted,
)
from vv_exporter.probes.storagedevices import Mounted
from vv_exporter.state.store import Store

DISK = FileSystem("/srv/video", "ext4", "/dev/sdb1", 2065, "b1", "ext4 abc")
ROOT = FileSystem("/", "ext4", "/dev/sda1", 2049, "b1", "ext4 123")


def xfs(device: int, boot: str) -> FileSystem:
    return FileSystem("/srv/video", "xfs", "/dev/sdb1", device, boot)


@pytest.mark.parametrize(
    ("found", "known", "wanted", "missing"),
    [
        # nothing was there before, and nothing is wanted: nobody can tell
        (ROOT, None, [], ""),
        (DISK, None, [], ""),
        (DISK, DISK, ["/srv/video"], ""),
        (ROOT, DISK, [], "nothing is mounted at /srv/video, where /dev/sdb1 (ext4) was"),
        (ROOT, None, ["/", "/srv/video"], "nothing is mounted at /srv/video, which /etc/fstab names"),
        (ROOT, None, ["/srv"], "nothing is mounted at /srv, which /etc/fstab names"),
        (ROOT, None, ["/srv/vid", "/srv/video/input"], ""),
        # its name and number change from boot to boot, its identity does not
        (FileSystem("/srv/video", "ext4", "/dev/sdc1", 2081, "b2", "ext4 abc"), DISK, [], ""),
        (
            FileSystem("/srv/video", "ext4", "/dev/sdb1", 2065, "b1", "ext4 fff"),
            DISK,
            ["/srv/video"],
            "/dev/sdb1 (ext4) is mounted at /srv/video, and is another one than /dev/sdb1 (ext4), which was there",
        ),
        (xfs(2065, "b1"), xfs(2065, "b1"), [], ""),
        (xfs(2081, "b2"), xfs(2065, "b1"), [], ""),
        (
            xfs(2081, "b1"),
            xfs(2065, "b1"),
            [],
            "/dev/sdb1 (xfs) is mounted at /srv/video, and is another one than /dev/sdb1 (xfs), which was there",
        ),
        # a disk of its own, where there was none
        (DISK, ROOT, [], ""),
        # a share of another server
        (
            FileSystem("/srv/video", "nfs4", "b:/export", 50, "b1", "nfs4 b:/export"),
            FileSystem("/srv/video", "nfs4", "a:/export", 50, "b1", "nfs4 a:/export"),
            [],
            "b:/export (nfs4) is mounted at /srv/video, and is another one than a:/export (nfs4), which was there",
        ),
    ],
)
def test_what_is_missing_is_told_by_what_is_wanted_and_what_was_there(
    found: FileSystem, known: FileSystem | None, wanted: list[str], missing: str
) -> None:
    assert why_missing("/srv/video", found, known, wanted) == missing


@pytest.mark.parametrize(
    ("found", "known"),
    [
        # the system moved to another disk, and the state with it: there is no mount point that could be empty
        (FileSystem("/", "ext4", "/dev/nvme0n1p2", 66306, "b1", "ext4 456"), ROOT),
        # the same disk, mounted at a folder above: looked at from a container before, and from the machine now
        (FileSystem("/srv", "ext4", "/dev/sdb1", 2065, "b1", "ext4 abc"), DISK),
        # an xfs disk was pulled, and is back under another name
        (
            FileSystem("/srv/video", "xfs", "/dev/sdc1", 2081, "b1", "8d1f"),
            FileSystem("/srv/video", "xfs", "/dev/sdb1", 2065, "b1", "8d1f"),
        ),
        # FUSE: another number each time
        (
            FileSystem("/srv/video", "fuseblk", "/dev/sdb1", 71, "b1"),
            FileSystem("/srv/video", "fuseblk", "/dev/sdb1", 70, "b1"),
        ),
        # a share of NFS whose server speaks another version since
        (
            FileSystem("/srv/video", "nfs4", "a:/export", 51, "b1", "a:/export"),
            FileSystem("/srv/video", "nfs", "a:/export", 50, "b1", "a:/export"),
        ),
    ],
)
def test_what_is_the_same_is_not_missed(found: FileSystem, known: FileSystem) -> None:
    assert why_missing("/srv/video", found, known, []) == ""


MACHINE = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:17 / /srv/video rw shared:9 - ext4 /dev/sdb1 rw
31 22 8:33 / /srv/my\040disk rw - xfs /dev/sdc1 rw
32 22 8:33 /a /srv/my\040disk/a rw - xfs /dev/sdc1 rw
33 22 8:1 /srv/hidden /srv/hidden rw - ext4 /dev/sda1 rw
34 22 8:1 /data/video /srv/bound rw - ext4 /dev/sda1 rw
35 22 0:40 /home /home rw - btrfs /dev/sdd1 rw,subvol=/home
36 22 0:50 /cams /cams rw - cifs //nas/all rw
37 22 0:51 / /srv/auto rw - autofs systemd-1 rw
38 22 0:52 / / rw - overlay overlay rw
torn
"""
CONTAINER = """
40 39 0:60 / / ro - overlay overlay rw
41 40 8:1 /srv/empty /srv/empty rw - ext4 /dev/sda1 rw
42 40 8:17 /site /srv/video/site rw - ext4 /dev/sdb1 rw
43 40 8:1 /etc/hostname /host/disk ro - ext4 /dev/sda1 rw
"""


@pytest.mark.parametrize(
    ("table", "number", "point"),
    [
        (MACHINE, "22", "/"),
        (MACHINE, "30", "/srv/video"),
        (MACHINE, "31", "/srv/my disk"),
        # a folder that is mounted onto its own place: systemd's ReadWritePaths
        (MACHINE, "32", "/srv/my disk"),
        (MACHINE, "33", "/"),
        # a folder in another place is a mount point like any other
        (MACHINE, "34", "/srv/bound"),
        # subvolumes and shares are called as they like
        (MACHINE, "35", "/home"),
        (MACHINE, "36", "/cams"),
        # a container's volume is the empty mount point of the machine, or a folder of the disk
        (CONTAINER, "41", "/"),
        (CONTAINER, "42", "/srv/video/site"),
        (CONTAINER, "40", "/"),
    ],
)
def test_a_folder_that_is_mounted_onto_its_own_place_is_no_mount_point(table: str, number: str, point: str) -> None:
    known = read_mounts(table)

    assert mounted_at(next(one for one in known if one.number == number), known) == point


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/srv/video/input", "/srv/video"),
        ("/srv/videos", "/"),
        ("/srv/my disk/a/b", "/srv/my disk/a"),
        # the automount is there, and what it would mount is not
        ("/srv/auto/x", "/"),
    ],
)
def test_a_path_that_cannot_be_opened_lies_below_a_mount_point(path: str, point: str) -> None:
    assert mount_point_of(path, read_mounts(MACHINE)) == point


def test_a_broken_disk_that_is_mounted_is_not_missing() -> None:
    """What cannot be opened is StorageUnavailable: to mount it once more is no help."""
    assert why_not_mounted("/srv/video", "/srv/video", DISK, ["/srv/video"]) == ""
    assert why_not_mounted("/srv/video", "/", DISK, []) != ""


def test_a_disk_is_known_by_the_name_that_udev_gives_it(tmp_path: Path) -> None:
    number = os.stat("/dev/null").st_rdev
    (tmp_path / "1234-ABCD").symlink_to("/dev/zero")
    (tmp_path / "8d1f").symlink_to("/dev/null")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")

    assert uuid_of("/dev/not-there", number, tmp_path) == "8d1f"
    assert uuid_of("/dev/not-there", 0, tmp_path) == ""
    assert uuid_of("/dev/not-there", number, tmp_path / "no-udev") == ""


def test_a_storage_below_the_mount_point_is_missing_with_it() -> None:
    assert why_missing("/srv/video/site/a", ROOT, DISK, []) != ""
    assert why_missing("/srv/videos", ROOT, DISK, []) == ""


def test_mount_points_of_fstab_are_read_as_mount_reads_them() -> None:
    fstab = r"""
# a comment
UUID=1 / ext4 defaults 0 1
/dev/sdb1	/srv/my\040video/  ext4  defaults,nofail  0 2 # the videos
LABEL=x /media/stick vfat noauto,user 0 0
tmpfs /tmp tmpfs
UUID=2 none swap sw 0 0
UUID=2f8e /srv/late xfs nofail,x-systemd.device-timeout=5 0 2
LABEL=cam#1 /srv/label ext4 defaults 0 2
PARTUUID=1 /srv/auto ext4 noauto,x-systemd.automount 0 2
nas:/export /srv/nas nfs4 _netdev,nofail 0 0
/srv/shared /srv/shared none bind 0 0
/data/video /srv/bound none bind 0 0
#/dev/sdb1 /srv/old ext4 defaults 0 2
torn
"""
    assert mount_points(fstab) == [
        *("/", "/srv/my video", "/tmp", "/srv/late", "/srv/label", "/srv/auto", "/srv/nas", "/srv/bound")
    ]


def test_the_file_system_of_an_open_folder_is_known() -> None:
    folder = os.open("/proc", os.O_RDONLY)
    try:
        found = file_system_of(folder, "b")
    finally:
        os.close(folder)

    assert found is not None
    assert (found.point, found.kind, found.boot) == ("/proc", "proc", "b")


class Bench:
    """A storage whose disk can be mounted and taken away, and its probe."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "video"
        self.root.mkdir()
        self.fstab = folder / "fstab"
        self.store = Store(folder / "state.db", Clock(1_700_000_000.0))
        self.restart()

    def restart(self, boot: str = "b1") -> None:
        self.mounted = Mounted(self.store, self.root, boot, self.fstab)

    def probe(self) -> Answer:
        return read_usage_and_write(self.root, self.mounted.why_missing)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


def test_a_disk_that_goes_away_is_missed_and_nothing_is_written_below_its_mount_point(bench: Bench) -> None:
    with small_disk(bench.root):
        assert bench.probe().error is None
    gone = bench.probe()
    bench.restart(boot="b2")
    after_a_reboot = bench.probe()

    assert gone.usage is None
    assert gone.missing == gone.error == f"nothing is mounted at {bench.root}, where vv-test (tmpfs) was"
    assert after_a_reboot.missing == gone.missing
    assert list(bench.root.iterdir()) == []

    with small_disk(bench.root):
        assert bench.probe().error is None


def test_a_disk_that_goes_away_between_two_steps_of_a_probe_is_not_written_past(bench: Bench) -> None:
    def unmounted(folder: int | None) -> str:
        subprocess.run(["umount", "--lazy", str(bench.root)], check=True)
        return ""

    with small_disk(bench.root):
        subprocess.run(["mount", "-t", "tmpfs", "vv-second", str(bench.root)], check=True)
        read_usage_and_write(bench.root, unmounted)

        assert list(bench.root.iterdir()) == []


def test_another_disk_at_the_same_place_is_missed_until_it_is_accepted(bench: Bench) -> None:
    with small_disk(bench.root):
        bench.probe()
    subprocess.run(["mount", "-t", "tmpfs", "vv-other", str(bench.root)], check=True)
    try:
        before = bench.probe()
        with bench.store.transaction() as tx:
            storagedevices.accept(tx)
        after = bench.probe()
        remembered = bench.store.document(storagedevices.SEEN, str(bench.root))
    finally:
        subprocess.run(["umount", "--lazy", str(bench.root)], check=True)

    assert (
        before.missing
        == f"vv-other (tmpfs) is mounted at {bench.root}, and is another one than vv-test (tmpfs), which was there"
    )
    assert (after.error, after.missing) == (None, "")
    assert remembered is not None
    assert remembered.source == "vv-other"


def test_a_folder_that_was_on_the_missing_disk_is_missed_with_it(bench: Bench) -> None:
    bench.root = bench.root / "site" / "a"
    bench.restart()
    with small_disk(bench.root.parents[1]):
        bench.root.mkdir(parents=True)
        assert bench.probe().error is None

    assert bench.probe().missing == f"nothing is mounted at {bench.root.parents[1]}, where vv-test (tmpfs) was"
    assert list(bench.root.parents[1].iterdir()) == []


def test_a_disk_that_fstab_names_is_missed_from_the_first_start_on(bench: Bench, tmp_path: Path) -> None:
    bench.fstab.write_text(f"/dev/sdb1 {tmp_path}/video ext4 defaults 0 2\n")

    assert bench.probe().missing == f"nothing is mounted at {bench.root}, which /etc/fstab names"
    assert list(bench.root.iterdir()) == []


def test_a_folder_that_does_not_exist_on_a_disk_that_is_there_is_not_missed_but_unavailable(bench: Bench) -> None:
    bench.root.rmdir()

    assert bench.probe().missing == ""
    assert bench.probe().error is not None


def test_a_storage_on_the_system_disk_is_well(bench: Bench) -> None:
    for _ in range(2):
        assert bench.probe().error is None


def test_a_link_is_followed_to_its_disk(bench: Bench, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(bench.root)
    disk, bench.root = bench.root, link
    bench.restart()
    with small_disk(disk):
        bench.probe()

    assert bench.probe().missing == f"nothing is mounted at {disk}, where vv-test (tmpfs) was"
