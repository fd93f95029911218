"""Which file system a path lies on, and whether it is the one that should be there.

A disk that is not mounted leaves its empty mount point: whatever is written there goes to the system disk, and is
hidden as soon as the disk is back. What should be there follows from `/etc/fstab`, and from what was there before.

Sources: proc_pid_mountinfo(5), proc_pid_fdinfo(5), fstab(5), systemd.mount(5). ext4 and btrfs make `f_fsid` of
statvfs(3) of the file system's UUID; others make it of the device's number, or leave it out: their UUID is in the names
that udev makes below `/dev/disk/by-uuid`, which a container does not see.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

MOUNTINFO = Path("/proc/self/mountinfo")
FSTAB = Path("/etc/fstab")
BY_UUID = Path("/dev/disk/by-uuid")
_FSID_OF_UUID = ("ext2", "ext3", "ext4", "btrfs")
_OCTAL = re.compile(r"\\([0-7]{3})")


class FileSystem(msgspec.Struct, frozen=True):
    """A file system where it is mounted: `point`, its type, what it is of (`/dev/sdb1`, `server:/export`).

    By `device`, its `st_dev`, two differ within one boot; by `identity` they differ for good, where it is known.
    """

    point: str
    kind: str
    source: str
    device: int
    boot: str
    identity: str = ""

    def __str__(self) -> str:
        return f"{self.source} ({self.kind})"


class Mount(NamedTuple):
    """A line of mountinfo. `root` is the folder of the file system that is seen at `point`."""

    number: str
    device: str
    root: str
    point: str
    kind: str
    source: str


def mounts() -> list[Mount]:
    """What is mounted in the namespace of this process. Raises `OSError`."""
    return read_mounts(MOUNTINFO.read_text(errors="replace"))


def read_mounts(mountinfo: str) -> list[Mount]:
    """The lines of mountinfo; those that are none are left out."""
    found = []
    for line in mountinfo.splitlines():
        mount, _, file_system = line.partition(" - ")
        fields, kinds = mount.split(), file_system.split()
        if len(fields) > 4 and len(kinds) > 1:
            number, _, device, root, point = fields[:5]
            found.append(
                Mount(
                    number, device, _unescape_field(root), _unescape_field(point), kinds[0], _unescape_field(kinds[1])
                )
            )
    return found


def file_system_of(descriptor: int, boot: str) -> FileSystem | None:
    """The one that an open folder lies on; None where the kernel does not say. Raises `OSError`."""
    number = re.search(r"^mnt_id:\s*(\d+)$", Path(f"/proc/self/fdinfo/{descriptor}").read_text(), re.MULTILINE)
    known = mounts()
    mount = next((one for one in known if number and one.number == number[1]), None)
    if mount is None:
        return None
    device = os.fstat(descriptor).st_dev
    identity = _mount_identity(mount, device, os.fstatvfs(descriptor).f_fsid)
    return FileSystem(mounted_at(mount, known), mount.kind, mount.source, device, boot, identity)


def mount_point_of(path: str, known: Iterable[Mount]) -> str:
    """Where the file system is mounted that a path lies on, without asking that file system, which may be broken."""
    # What autofs would mount is not there when a folder of it cannot be opened.
    points = [one.point for one in known if one.kind != "autofs" and (one.point == "/" or _is_below(path, one.point))]
    return max(points, key=len, default="/")


def mounted_at(mount: Mount, known: Iterable[Mount]) -> str:
    """Where the file system of a mount is mounted as a whole.

    A folder that is mounted onto its own place (by a container's volume, or `ReadWritePaths` of a unit) is no mount
    point of the machine. What of a disk is the same path below a mount point of that disk, or below `/` where that is
    another one's, is such a folder. Subvolumes and network shares are called as they like, and are left alone.
    """
    if mount.kind == "btrfs" or not mount.source.startswith("/dev/"):
        return mount.point
    for other in sorted(known, key=lambda one: len(one.point), reverse=True):
        is_whole = other.device == mount.device and _is_above(other.point, mount.point)
        if is_whole and _path_below(other.root, mount.point.removeprefix(other.point)) == mount.root:
            return other.point
    return "/" if mount.root == mount.point else mount.point


def _path_below(folder: str, path: str) -> str:
    return f"{folder.rstrip('/')}/{path.lstrip('/')}"


def _mount_identity(mount: Mount, device: int, fsid: int) -> str:
    if mount.kind in _FSID_OF_UUID:
        return f"{mount.kind} {fsid:x}"
    return uuid_of(mount.source, device) if mount.source.startswith("/dev/") else mount.source


def uuid_of(source: str, device: int, folder: Path = BY_UUID) -> str:
    """What udev calls a disk by; empty where it is not known. `device` counts where there is no file of the disk."""
    try:
        found = os.stat(source)
        number = found.st_rdev if stat.S_ISBLK(found.st_mode) else device  # with FUSE `st_dev` is another
    except OSError:
        number = device
    try:
        links = sorted(folder.iterdir())
    except OSError:
        return ""
    return next((link.name for link in links if _device_number(link) == number), "")


def _device_number(path: Path) -> int | None:
    try:
        return path.stat().st_rdev
    except OSError:
        return None


def _unescape_field(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def mount_points(fstab: str) -> list[str]:
    """Where `/etc/fstab` says that something is to be mounted, at the start of the machine or when it is first used."""
    points = []
    for line in fstab.splitlines():
        fields = line.split()
        if len(fields) < 3 or fields[0].startswith("#") or not fields[1].startswith("/"):
            continue
        options = ",".join(fields[3:4]).split(",")
        is_own_folder = fields[0] == fields[1]
        if not is_own_folder and ("noauto" not in options or "x-systemd.automount" in options):
            points.append(_unescape_field(fields[1]).rstrip("/") or "/")
    return points


def why_not_mounted(path: str, point: str, known: FileSystem | None, wanted: Sequence[str]) -> str:
    """Why nothing is mounted where it should be, in words; empty when something is, or nobody knows.

    `point` is where that is mounted which is found at the path, `known` is what was there before, `wanted` are the
    mount points of `/etc/fstab`; the path has no links.
    """
    for one in sorted(wanted, key=len, reverse=True):
        if _is_below(path, one) and _is_above(point, one):
            return f"nothing is mounted at {one}, which /etc/fstab names"
    if known is not None and _is_below(path, known.point) and _is_above(point, known.point):
        return f"nothing is mounted at {known.point}, where {known} was"
    return ""


def why_missing(path: str, found: FileSystem, known: FileSystem | None, wanted: Sequence[str]) -> str:
    """Why what is found at a path is not what should be there, in words; empty when it is, or nobody knows."""
    is_same = known is not None and found.identity != "" and found.identity == known.identity
    if missing := why_not_mounted(path, found.point, None if is_same else known, wanted):
        return missing
    if known is not None and found.point == known.point != "/" and _is_another(found, known):
        return f"{found} is mounted at {found.point}, and is another one than {known}, which was there"
    return ""


def _is_another(found: FileSystem, known: FileSystem) -> bool:
    if found.identity and known.identity:
        return found.identity != known.identity
    if found.kind.startswith("fuse"):  # has another number each time that it is mounted
        return found.source != known.source
    return found.boot == known.boot and found.device != known.device


def _is_below(path: str, folder: str) -> bool:
    return folder != "/" and (path == folder or path.startswith(f"{folder}/"))


def _is_above(point: str, other: str) -> bool:
    return point != other and (point == "/" or other.startswith(f"{point}/"))
