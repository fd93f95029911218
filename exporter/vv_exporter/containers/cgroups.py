"""What a container uses, from the kernel's own files: control groups of version 1 and 2, and `/proc/<pid>/net/dev`.

The container's group is the part of a path in `/proc/<pid>/cgroup` up to the component that holds its id: below it the
container may have made groups of its own. If there is no such line (the Engine is in a container, so that its process
ids mean nothing here; or we are, in a cgroup namespace of our own), the group is looked for where Docker's drivers put
it, `docker/<id>` and `system.slice/docker-<id>.scope`, and then in the whole tree.

A group that is gone, or a controller that is not there, is no error: what it would have shown is left out.

Sources: Documentation/admin-guide/cgroup-v1/{memory,cpuacct,blkio-controller}.rst and cgroup-v2.rst of Linux;
proc(5) on net/dev. With version 1 the kernel does not know who wrote what the page cache writes later.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from vv_exporter.containers.resources import Running, Usage, working_set

_ID = re.compile(r"[0-9a-f]{64}")
_LAYOUTS = ("docker/{}", "system.slice/docker-{}.scope")
_MAX_GROUPS = 20_000  # that are looked at for groups whose place is not known
_MAX_DEPTH = 10
_UNLIMITED = 1 << 60  # bytes; version 1 has a number near 2^63 for no limit
_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids", "blkio")
_NOWHERE = Path("/dev/null/none")
_PART_BYTES = 16384


class Place(NamedTuple):
    """Where a container's files are. `groups` are folders by controller, with version 2 one under the name "".

    Names are plain text here: there are ten files a container, and `pathlib` would double the time for each.
    """

    groups: Mapping[str, str]
    net: str | None
    pid: int = 0
    """The process by which `net` is found."""

    @property
    def group(self) -> str:
        """One of the folders: no two containers have the same."""
        return next(iter(self.groups.values()))


class Limits(NamedTuple):
    """What a container may use: cores and bytes, None for all."""

    cores: float | None
    memory: int | None


class Cgroups:
    """Reads below `proc` and `sys`, the roots of the device's procfs and sysfs; `cores` is how many it has."""

    def __init__(self, proc: Path, sys: Path, cores: int) -> None:
        self._proc = str(proc)
        self._root = str(sys / "fs" / "cgroup")
        self._cores = cores

    def locate(self, container: Running) -> Place | None:
        """Where the container's files are; None if they are not where they are expected."""
        pid, paths = self._of_process(container.pid, container.id)
        groups = self._existing_groups(paths) if paths else {}
        for layout in _LAYOUTS:
            groups = groups or self._groups_at(layout.format(container.id))
        return self._place_of_groups(container, groups, pid)

    def search(self) -> dict[str, str]:
        """The path of every group that is a container's, by the container's id; for those that `locate` misses."""
        return dict(_search_groups(self._top_folder()))

    def place(self, container: Running, path: str) -> Place | None:
        """As `locate`, for a path that was found by `search`."""
        return self._place_of_groups(container, self._groups_at(path), 0)

    def limits(self, place: Place) -> Limits:
        """What may be used now."""
        if "" in place.groups:
            group = place.groups[""]
            cores = self._least_cores(_quota_v2(f"{group}/cpu.max"), f"{group}/cpuset.cpus")
            return Limits(cores, _read_number(f"{group}/memory.max"))
        cpu, _, cpuset, memory, _, _ = _controller_folders(place.groups)
        limit = _read_number(f"{memory}/memory.limit_in_bytes")
        cores = self._least_cores(_quota_v1(cpu), f"{cpuset}/cpuset.cpus")
        return Limits(cores, None if limit is None or limit >= _UNLIMITED else limit)

    def read(self, place: Place, limits: Limits | None = None) -> Usage | None:
        """What is used now; None if the group is gone. Raises nothing for files that are missing or odd."""
        usage = _read_v2(place.groups[""]) if "" in place.groups else _read_v1(place.groups)
        cores, memory = limits or self.limits(place)
        if usage == Usage() and (limits or (cores, memory) == (None, None)):
            return None
        received, transmitted = _read_network_bytes(place.net) if place.net else (None, None)
        return usage._replace(cpu_limit=cores, memory_limit=memory, received=received, transmitted=transmitted)

    def is_process_of(self, pid: int, container: str) -> bool:
        """Whether this process is in the container's groups."""
        return container in (_read_text(f"{self._proc}/{pid}/cgroup") or "")

    @property
    def _is_unified(self) -> bool:
        return Path(self._root, "cgroup.controllers").exists()

    def _of_process(self, pid: int, container: str) -> tuple[int, dict[str, str]]:
        """The process, if it is the container's, and the paths of its groups by controller."""
        text = _read_text(f"{self._proc}/{pid}/cgroup") if pid > 0 else None
        if text is None or container not in text:
            return 0, {}
        paths: dict[str, str] = {}
        for line in text.splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            within = _up_to(path, container)
            if within:
                paths |= dict.fromkeys(controllers.split(","), within)
        return pid, paths

    def _existing_groups(self, paths: Mapping[str, str]) -> dict[str, str]:
        if any(".." in path.split("/") for path in paths.values()):
            return {}  # seen from a cgroup namespace, they do not begin at the root
        if self._is_unified:
            return _groups_that_exist({"": f"{self._root}/{paths['']}"}) if "" in paths else {}
        return _groups_that_exist(
            {name: f"{self._root}/{name}/{paths[name]}" for name in _CONTROLLERS if name in paths}
        )

    def _groups_at(self, path: str) -> dict[str, str]:
        names = ("",) if self._is_unified else _CONTROLLERS
        return _groups_that_exist({name: f"{self._root}/{name}/{path}" for name in names})

    def _place_of_groups(self, container: Running, groups: dict[str, str], pid: int) -> Place | None:
        if not groups:
            return None
        net = None
        if container.network:
            pid = pid or self._first_member_pid(groups, container.id)
            net = f"{self._proc}/{pid}/net/dev" if pid else None
        return Place(groups, net, pid if net else 0)

    def _first_member_pid(self, groups: Mapping[str, str], container: str) -> int:
        """A process of the group, as this process sees it; 0 if there is none to be seen."""
        members = _read_text(f"{next(iter(groups.values()))}/cgroup.procs") or ""
        pid = int(next((word for word in members.split() if word.isdigit()), 0))
        return self._of_process(pid, container)[0]

    def _top_folder(self) -> Path:
        """The root of one tree that has all containers."""
        if self._is_unified:
            return Path(self._root)
        trees = (Path(self._root, name) for name in ("memory", "cpuacct", "pids"))
        return next((tree for tree in trees if tree.is_dir()), _NOWHERE)

    def _least_cores(self, quota: float | None, cpuset: str) -> float | None:
        """How many cores it may use at most, by its quota and its processors; None if it may use all."""
        listed = _count_listed_cpus(_read_text(cpuset) or "")
        limits = [limit for limit in (quota, listed if listed < self._cores else None) if limit]
        return min(limits, default=None)


def _controller_folders(groups: Mapping[str, str]) -> tuple[str, ...]:
    """The folders of version 1, in the order of `_CONTROLLERS`."""
    return tuple(groups.get(name, str(_NOWHERE)) for name in _CONTROLLERS)


def _read_v2(group: str) -> Usage:
    used, disks = _read_field(f"{group}/cpu.stat", "usage_usec"), _read_text(f"{group}/io.stat")
    return Usage(
        cpu_seconds=None if used is None else used / 1e6,
        memory=_working_set(f"{group}/memory.current", f"{group}/memory.stat", "inactive_file"),
        read=None if disks is None else _sum_of_matches(r"\brbytes=(\d+)", disks),
        written=None if disks is None else _sum_of_matches(r"\bwbytes=(\d+)", disks),
        pids=_read_number(f"{group}/pids.current"),
    )


def _read_v1(groups: Mapping[str, str]) -> Usage:
    _, cpuacct, _, memory, pids, blkio = _controller_folders(groups)
    used = _read_number(f"{cpuacct}/cpuacct.usage")
    disks = _read_text(f"{blkio}/blkio.throttle.io_service_bytes_recursive")
    if disks is None:  # before Linux 4.18
        disks = _read_text(f"{blkio}/blkio.throttle.io_service_bytes")
    return Usage(
        cpu_seconds=None if used is None else used / 1e9,
        memory=_working_set(f"{memory}/memory.usage_in_bytes", f"{memory}/memory.stat", "total_inactive_file"),
        read=None if disks is None else _sum_of_matches(r"\bRead (\d+)", disks),
        written=None if disks is None else _sum_of_matches(r"\bWrite (\d+)", disks),
        pids=_read_number(f"{pids}/pids.current"),
    )


def _up_to(path: str, container: str) -> str:
    """The path up to the component that holds the container's id, relative; "" if none does."""
    parts = path.strip("/").split("/")
    return next(("/".join(parts[: n + 1]) for n, part in enumerate(parts) if container in part), "")


def _groups_that_exist(groups: Mapping[str, str]) -> dict[str, str]:
    """The groups if they are there; a controller that is not there shows nothing when it is read."""
    return dict(groups) if any(Path(group).is_dir() for group in groups.values()) else {}


def _search_groups(top: Path) -> Iterator[tuple[str, str]]:
    folders, seen = [(top, 0)], 0
    while folders and seen < _MAX_GROUPS:
        folder, depth = folders.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    continue
                seen += 1
                found = _ID.search(entry.name)
                if found:
                    yield found[0], os.path.relpath(entry.path, top)
                if depth < _MAX_DEPTH:
                    folders.append((Path(entry.path), depth + 1))


def _read_text(path: str) -> str | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # half of the time that `open` takes
        try:
            parts = [os.read(file, _PART_BYTES)]
            while parts[-1]:
                parts.append(os.read(file, _PART_BYTES))
        finally:
            os.close(file)
        return b"".join(parts).decode("ascii", "replace")
    except OSError:  # also ENODEV, of a group that has just been removed
        return None


def _read_number(path: str) -> int | None:
    """The number that the file holds; None for `max`, which is no limit."""
    text = (_read_text(path) or "").strip()
    return int(text) if text.isdigit() else None


def _read_field(path: str, name: str) -> int | None:
    """The number behind a name at the beginning of a line."""
    found = re.search(rf"^{name} (\d+)$", _read_text(path) or "", re.MULTILINE)
    return int(found[1]) if found else None


def _working_set(current: str, stat: str, inactive: str) -> int | None:
    usage = _read_number(current)
    return None if usage is None else working_set(usage, _read_field(stat, inactive) or 0)


def _sum_of_matches(pattern: str, text: str) -> int:
    return sum(map(int, re.findall(pattern, text)))


def _quota_v1(group: str) -> float | None:
    quota, period = _read_number(f"{group}/cpu.cfs_quota_us"), _read_number(f"{group}/cpu.cfs_period_us")
    return quota / period if quota and period else None  # a quota of -1 is none


def _quota_v2(path: str) -> float | None:
    quota, _, period = (_read_text(path) or "").strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _count_listed_cpus(cpus: str) -> int:
    """How many processors a list such as `0-2,5` names."""
    return sum(int(last or first) - int(first) + 1 for first, last in re.findall(r"(\d+)(?:-(\d+))?", cpus))


def _read_network_bytes(path: str) -> tuple[int | None, int | None]:
    """Bytes received and sent on all interfaces but the loopback."""
    text = _read_text(path)
    if text is None:
        return None, None
    received = transmitted = 0
    for line in text.splitlines():
        name, colon, counts = line.partition(":")
        columns = counts.split()
        if colon and name.strip() != "lo" and len(columns) >= 9:
            received, transmitted = received + int(columns[0]), transmitted + int(columns[8])
    return received, transmitted
