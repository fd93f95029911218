"""Which file system a path lies on, and whether it is the one that should be there.

A disk that is not mounted leaves its empty mount point: whatever is written there goes to the system disk, and is
hidden as soon as the disk is back. What should be there follows from `/etc/fstab`, and from what was there before.

Sources: proc_pid_mountinfo(5), proc_pid_fdinfo(5), fstab(5). ext4 and btrfs make `f_fsid` of statvfs(3) of the file
system's UUID; others make it of the device's number, or leave it out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

MOUNTINFO = Path("/proc/self/mountinfo")
FSTAB = Path("/etc/fstab")
_IDENTIFIED_BY_UUID = ("ext2", "ext3", "ext4", "btrfs")
_OCTAL = re.compile(r"\\([0-7]{3})")


class FileSystem(msgspec.Struct, frozen=True):
    """A file system where it is mounted: `point`, its type, what it is of (`/dev/sdb1`, `server:/export`).

    `device` is its `st_dev`, which tells two apart within one boot; `identity` tells them apart for good, where it is
    known.
    """

    point: str
    kind: str
    source: str
    device: int
    boot: str
    identity: str = ""

    def __str__(self) -> str:
        return f"{self.source} ({self.kind})"


class _Mount(NamedTuple):
    point: str
    kind: str
    source: str


def file_system_of(descriptor: int, boot: str) -> FileSystem | None:
    """The one that an open folder lies on; None where the kernel does not say. Raises `OSError`."""
    number = re.search(r"^mnt_id:\s*(\d+)$", Path(f"/proc/self/fdinfo/{descriptor}").read_text(), re.MULTILINE)
    mount = _mount(MOUNTINFO.read_text(), number[1]) if number else None
    if mount is None:
        return None
    return FileSystem(
        mount.point, mount.kind, mount.source, os.fstat(descriptor).st_dev, boot, _identity(mount, descriptor)
    )


def _mount(mountinfo: str, number: str) -> _Mount | None:
    for line in mountinfo.splitlines():
        mount, _, file_system = line.partition(" - ")
        fields, kinds = mount.split(), file_system.split()
        if len(fields) > 4 and fields[0] == number and len(kinds) > 1:
            return _Mount(_plain(fields[4]), kinds[0], _plain(kinds[1]))
    return None


def _identity(mount: _Mount, descriptor: int) -> str:
    if mount.kind in _IDENTIFIED_BY_UUID:
        return f"{mount.kind} {os.fstatvfs(descriptor).f_fsid:x}"
    return "" if mount.source.startswith("/dev/") else f"{mount.kind} {mount.source}"


def _plain(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def mount_points(fstab: str) -> list[str]:
    """Where `/etc/fstab` says that something is to be mounted at the start of the machine."""
    points = []
    for line in fstab.splitlines():
        fields = line.split("#")[0].split()
        if len(fields) >= 3 and fields[1].startswith("/") and "noauto" not in ",".join(fields[3:4]).split(","):
            points.append(_plain(fields[1]).rstrip("/") or "/")
    return points


def why_missing(path: str, found: FileSystem, known: FileSystem | None, wanted: Iterable[str]) -> str:
    """Why what is found at a path is not what should be there, in words; empty when it is, or nobody can tell.

    `known` is what was there before, `wanted` are the mount points of `/etc/fstab`; the path has no links.
    """
    for point in sorted(wanted, key=len, reverse=True):
        if _is_below(path, point) and _is_above(found.point, point):
            return f"nothing is mounted at {point}, which /etc/fstab names"
    if known is None:
        return ""
    if _is_below(path, known.point) and _is_above(found.point, known.point):
        return f"nothing is mounted at {known.point}, where {known} was"
    if found.point == known.point and _is_another(found, known):
        return f"{found} is mounted at {found.point}, where {known} was"
    return ""


def _is_another(found: FileSystem, known: FileSystem) -> bool:
    if found.identity and known.identity:
        return found.identity != known.identity
    return found.boot == known.boot and found.device != known.device


def _is_below(path: str, folder: str) -> bool:
    return folder != "/" and (path == folder or path.startswith(f"{folder}/"))


def _is_above(point: str, other: str) -> bool:
    return point != other and (point == "/" or other.startswith(f"{point}/"))
