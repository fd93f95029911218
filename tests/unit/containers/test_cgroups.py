"""What containers use, from trees of files as the kernel lays them out."""

import shutil
from pathlib import Path

import pytest

from tests.unit.containers.trees import ID, OTHER, lay_out
from vv_exporter.containers.cgroups import Cgroups
from vv_exporter.containers.resources import Running, Usage

V1 = Usage(1.453932811, 0.5, 913_408, 67_108_864, 301_096, 540, 5096, 8192, 3)
V1_SYSTEMD = Usage(2.0, 1.0, 800_000, None, 100, 200, 10, 20, 1)
V2 = Usage(1.0, None, 0, None, 100, 200, None, None, None)
V2_SYSTEMD = Usage(7.5, 1.5, 83_886_080, 268_435_456, 100, 200, 5096, 8192, 12)
TREES = [("v1", 10458, V1), ("v1_systemd", 2201, V1_SYSTEMD), ("v2", 44, V2), ("v2_systemd", 3301, V2_SYSTEMD)]


def cgroups(root: Path, cores: int = 4) -> Cgroups:
    return Cgroups(root / "proc", root / "sys", cores)


def usage(root: Path, container: Running, cores: int = 4) -> Usage | None:
    files = cgroups(root, cores)
    place = files.locate(container)
    return files.read(place) if place else None


@pytest.mark.parametrize(("tree", "pid", "expected"), TREES, ids=[tree for tree, _, _ in TREES])
def test_a_container_is_read_by_way_of_its_process(tmp_path: Path, tree: str, pid: int, expected: Usage) -> None:
    lay_out(tree, tmp_path)

    assert usage(tmp_path, Running(ID, "web", pid)) == expected


@pytest.mark.parametrize(("tree", "pid", "expected"), TREES, ids=[tree for tree, _, _ in TREES])
def test_a_process_id_of_another_namespace_misleads_nobody(
    tmp_path: Path, tree: str, pid: int, expected: Usage
) -> None:
    """The Engine runs in a container: its ids of processes are others' here, or nobody's."""
    lay_out(tree, tmp_path)
    (tmp_path / "proc/7").mkdir()
    (tmp_path / "proc/7/cgroup").write_text(f"0::/docker/{OTHER}\n1:cpu:/docker/{OTHER}\n")
    shutil.copytree(tmp_path / f"proc/{pid}/net", tmp_path / "proc/7/net")
    (tmp_path / "proc/7/net/dev").write_text("eth0: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n")
    network = {"received": None, "transmitted": None} if "systemd" in tree else {}

    for wrong in (0, 7, 8):
        assert usage(tmp_path, Running(ID, "web", wrong)) == expected._replace(**network)


def test_the_network_is_left_out_where_it_is_not_the_containers_own(tmp_path: Path) -> None:
    lay_out("v1", tmp_path)

    assert usage(tmp_path, Running(ID, "web", 10458, network=False)) == V1._replace(received=None, transmitted=None)


def test_a_group_at_an_unusual_place_is_found_by_searching(tmp_path: Path) -> None:
    """Docker in Docker: the inner container is below the outer one, which is a container as well."""
    lay_out("v2", tmp_path)
    inner = tmp_path / "sys/fs/cgroup/docker" / ID / "docker" / OTHER
    shutil.copytree(tmp_path / "sys/fs/cgroup/docker" / ID, inner)
    (inner / "cgroup.procs").write_text("45\n")
    (inner / "cpu.stat").write_text("usage_usec 2000000\n")
    (tmp_path / "proc/45/net").mkdir(parents=True)
    (tmp_path / "proc/45/cgroup").write_text(f"0::/docker/{ID}/docker/{OTHER}\n")
    (tmp_path / "proc/45/net/dev").write_text("eth0: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0\n")
    files, container = cgroups(tmp_path), Running(OTHER, "inner", 1)
    found = files.search()
    place = files.place(container, found[OTHER])

    assert files.locate(container) is None
    assert found == {ID: f"docker/{ID}", OTHER: f"docker/{ID}/docker/{OTHER}"}
    assert place is not None
    assert files.read(place) == V2._replace(cpu_seconds=2.0, received=7, transmitted=8)
    assert usage(tmp_path, Running(ID, "outer", 44)) == V2
    assert usage(tmp_path, Running(OTHER, "inner", 45)) == V2._replace(cpu_seconds=2.0, received=7, transmitted=8)


@pytest.mark.parametrize(("tree", "top"), [("v1", "memory"), ("v1_systemd", "memory"), ("v2_systemd", "")])
def test_the_search_knows_each_layout(tmp_path: Path, tree: str, top: str) -> None:
    lay_out(tree, tmp_path)

    ((container, path),) = cgroups(tmp_path).search().items()

    assert container == ID
    assert (tmp_path / "sys/fs/cgroup" / top / path).is_dir()


def test_paths_that_are_seen_from_a_cgroup_namespace_are_not_followed(tmp_path: Path) -> None:
    """This process runs in a container of its own namespace: the kernel shows paths from there."""
    lay_out("v2_systemd", tmp_path)
    (tmp_path / "proc/3301/cgroup").write_text(f"0::/../docker-{ID}.scope/init.scope\n")

    assert usage(tmp_path, Running(ID, "web", 3301)) == V2_SYSTEMD


@pytest.mark.parametrize("tree", ["v1", "v2"])
def test_a_group_that_vanishes_between_finding_and_reading_is_no_error(tmp_path: Path, tree: str) -> None:
    lay_out(tree, tmp_path)
    files = cgroups(tmp_path)
    place = files.locate(Running(ID, "web", 44))
    shutil.rmtree(tmp_path / "sys/fs/cgroup")
    (tmp_path / "sys/fs/cgroup").mkdir()

    assert place is not None
    assert files.read(place) is None
    assert files.locate(Running(ID, "web", 44)) is None
    assert files.search() == {}


def test_a_single_file_that_is_missing_or_odd_costs_its_own_value(tmp_path: Path) -> None:
    lay_out("v2_systemd", tmp_path)
    group = tmp_path / "sys/fs/cgroup/system.slice" / f"docker-{ID}.scope"
    (group / "memory.current").unlink()
    (group / "cpu.max").write_text("")
    (group / "pids.current").write_text("many\n")
    (tmp_path / "proc/3301/net/dev").write_bytes(b"\xff\xfe: \x00")

    assert usage(tmp_path, Running(ID, "web", 3301)) == V2_SYSTEMD._replace(
        memory=None, cpu_limit=None, pids=None, received=0, transmitted=0
    )


def test_a_tree_without_control_groups_has_no_container(tmp_path: Path) -> None:
    assert usage(tmp_path, Running(ID, "web", 1)) is None
    assert cgroups(tmp_path).search() == {}


@pytest.mark.parametrize(
    ("quota", "cpus", "limit"),
    [
        ("max 100000", "", None),
        ("max 100000", "0-3", None),
        ("max 100000", "0,2-3", 3.0),
        ("250000 100000", "0,2-3", 2.5),
        ("350000 100000", "0,2-3", 3.0),
        ("400000 100000", "0-3", 4.0),
        ("1000 0", "0-3", None),
    ],
)
def test_the_limit_is_the_least_of_quota_and_processors(
    tmp_path: Path, quota: str, cpus: str, limit: float | None
) -> None:
    lay_out("v2", tmp_path)
    group = tmp_path / "sys/fs/cgroup/docker" / ID
    (group / "cpu.max").write_text(quota + "\n")
    (group / "cpuset.cpus").write_text(cpus + "\n")
    found = usage(tmp_path, Running(ID, "web", 44))

    assert found is not None
    assert found.cpu_limit == limit


def test_the_search_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out("v2", tmp_path)
    deep = tmp_path.joinpath("sys/fs/cgroup/a", *["a"] * 12)
    deep.joinpath(OTHER).mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/loop").symlink_to(tmp_path / "sys/fs/cgroup")

    assert set(cgroups(tmp_path).search()) == {ID}
    monkeypatch.setattr("vv_exporter.containers.cgroups._MAX_GROUPS", 1)
    assert len(cgroups(tmp_path).search()) <= 1
