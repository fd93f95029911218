"""Each file of a control group by itself: what it says, when it is missing, and at its edges."""

from __future__ import annotations

from pathlib import Path

import pytest

from vv_exporter.containers import cgroups as module
from vv_exporter.containers.cgroups import Cgroups, Place
from vv_exporter.containers.resources import Running, Usage, decode_stats, working_set

ID = "ab" * 32
OTHER = "cd" * 32


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def files(tmp_path: Path) -> Cgroups:
    return Cgroups(tmp_path / "proc", tmp_path / "sys", 4)


def read_v2(root: Path, files: Cgroups, **contents: str) -> Usage | None:
    write(root, {f"group/{name.replace('__', '.')}": text for name, text in contents.items()})
    return files.read(Place({"": str(root / "group")}, None))


def test_the_files_of_version_2(tmp_path: Path, files: Cgroups) -> None:
    found = read_v2(
        tmp_path,
        files,
        cpu__stat="user_usec 1\nusage_usec 1500000\n",
        cpu__max="150000 100000\n",
        memory__current="1000\n",
        memory__stat="anon 5\ninactive_file 300\n",
        memory__max="5000\n",
        io__stat="8:0 rbytes=10 wbytes=20 dbytes=1\n8:16 rbytes=1 wbytes=2\n",
        pids__current="7\n",
    )

    assert found == Usage(1.5, 1.5, 700, 5000, None, None, 11, 22, 7)


def test_no_limit_and_nothing_there_in_version_2(tmp_path: Path, files: Cgroups) -> None:
    assert files.read(Place({"": str(tmp_path)}, None)) is None
    found = read_v2(tmp_path, files, cpu__max="max 100000\n", memory__max="max\n", pids__current="1\n", io__stat="")

    assert found == Usage(pids=1, read=0, written=0)


@pytest.mark.parametrize(
    ("quota", "cpus", "limit"),
    [
        ("150000 100000", "0-3", 1.5),
        ("150000 100000", "0", 1.0),
        ("50000 100000", "0", 0.5),
        ("max 100000", "0-2", 3.0),
        ("max 100000", "0-3", None),
        ("max 100000", "0-1,3", 3.0),
        ("max 100000", "0-7", None),
        ("max 100000", "", None),
        ("100000 0", "", None),
        ("100000", "", None),
        ("0 100000", "0-1", 2.0),
    ],
)
def test_the_limit_is_the_least_of_quota_and_listed_processors(
    tmp_path: Path, files: Cgroups, quota: str, cpus: str, limit: float | None
) -> None:
    found = read_v2(tmp_path, files, cpu__max=quota, cpuset__cpus=cpus, pids__current="1")

    assert found is not None
    assert found.cpu_limit == limit


def read_v1(root: Path, files: Cgroups, contents: dict[str, str], net: str | None = None) -> Usage | None:
    write(root, contents)
    names = ("cpu", "cpuacct", "cpuset", "memory", "pids", "blkio")
    return files.read(Place({name: str(root / name) for name in names if (root / name).is_dir()}, net))


def test_the_files_of_version_1(tmp_path: Path, files: Cgroups) -> None:
    found = read_v1(
        tmp_path,
        files,
        {
            "cpuacct/cpuacct.usage": "2500000000\n",
            "cpu/cpu.cfs_quota_us": "50000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "cpuset/cpuset.cpus": "0-3\n",
            "memory/memory.usage_in_bytes": "1000\n",
            "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 300\n",
            "memory/memory.limit_in_bytes": "5000\n",
            "pids/pids.current": "7\n",
            "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Write 20\n8:16 Read 1\nTotal 31\n",
            "blkio/blkio.throttle.io_service_bytes": "8:0 Read 99\n",
        },
    )

    assert found == Usage(2.5, 0.5, 700, 5000, None, None, 11, 20, 7)


def test_before_linux_4_18_disks_are_told_in_another_file(tmp_path: Path, files: Cgroups) -> None:
    found = read_v1(tmp_path, files, {"blkio/blkio.throttle.io_service_bytes": "8:0 Read 99\n8:0 Write 3\n"})

    assert found == Usage(read=99, written=3)


@pytest.mark.parametrize(
    ("limit", "shown"),
    [("9223372036854771712", None), (str(1 << 60), None), (str((1 << 60) - 1), (1 << 60) - 1), ("", None)],
)
def test_version_1_has_a_large_number_for_no_limit_of_memory(
    tmp_path: Path, files: Cgroups, limit: str, shown: int | None
) -> None:
    found = read_v1(tmp_path, files, {"memory/memory.limit_in_bytes": limit, "pids/pids.current": "1"})

    assert found == Usage(memory_limit=shown, pids=1)


@pytest.mark.parametrize(("quota", "period"), [("-1", "100000"), ("50000", "0"), ("", "100000"), ("0", "100000")])
def test_version_1_has_minus_one_for_no_quota(tmp_path: Path, files: Cgroups, quota: str, period: str) -> None:
    found = read_v1(
        tmp_path,
        files,
        {"cpu/cpu.cfs_quota_us": quota, "cpu/cpu.cfs_period_us": period, "pids/pids.current": "1"},
    )

    assert found == Usage(pids=1)


@pytest.mark.parametrize(("usage", "inactive", "left"), [(10, 3, 7), (3, 3, 0), (3, 4, 0)])
def test_the_working_set_is_never_less_than_nothing(usage: int, inactive: int, left: int) -> None:
    assert working_set(usage, inactive) == left


def test_the_network_is_every_interface_but_the_loopback(tmp_path: Path, files: Cgroups) -> None:
    net = tmp_path / "dev"
    net.write_text(
        "Inter-| Receive | Transmit\n face |bytes packets\n"
        "    lo: 100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0\n"
        "  eth0: 7 1 0 0 0 0 0 0 8\n"
        "  eth1: 70 1 0 0 0 0 0 0 80 1 0 0 0 0 0 0\n"
        "  odd0: 1 1 1 1 1 1 1 1\n"
    )
    found = read_v1(tmp_path, files, {"pids/pids.current": "1"}, str(net))

    assert found == Usage(pids=1, received=77, transmitted=88)
    assert read_v1(tmp_path, files, {"pids/pids.current": "1"}, str(tmp_path / "gone")) == Usage(pids=1)


class TestWhere:
    def v2(self, root: Path, path: str, pid: int = 5, cgroup: str | None = None) -> None:
        write(
            root,
            {
                "sys/fs/cgroup/cgroup.controllers": "cpu",
                f"sys/fs/cgroup/{path}/pids.current": "1",
                f"sys/fs/cgroup/{path}/cgroup.procs": f"{pid}\n",
                f"proc/{pid}/cgroup": f"0::/{path}\n" if cgroup is None else cgroup,
            },
        )

    def test_it_is_the_component_with_the_id_whatever_lies_below(self, tmp_path: Path, files: Cgroups) -> None:
        self.v2(tmp_path, f"a/docker-{ID}.scope", cgroup=f"0::/a/docker-{ID}.scope/init/x\n")

        place = files.locate(Running(ID, "web", 5))
        assert place == Place({"": f"{tmp_path}/sys/fs/cgroup/a/docker-{ID}.scope"}, f"{tmp_path}/proc/5/net/dev", 5)

    def test_without_a_network_of_its_own_none_is_read(self, tmp_path: Path, files: Cgroups) -> None:
        self.v2(tmp_path, f"docker/{ID}")

        place = files.locate(Running(ID, "web", 5, network=False))
        assert place is not None
        assert place.net is None

    @pytest.mark.parametrize("pid", [0, -5, 6])
    def test_without_its_process_it_is_where_docker_puts_it_and_a_member_tells_the_network(
        self, tmp_path: Path, files: Cgroups, pid: int
    ) -> None:
        for path in (f"docker/{ID}", f"system.slice/docker-{ID}.scope"):
            self.v2(tmp_path / path.replace("/", "_"), path)
            files = Cgroups(tmp_path / path.replace("/", "_") / "proc", tmp_path / path.replace("/", "_") / "sys", 4)
            place = files.locate(Running(ID, "web", pid))
            assert place is not None
            assert place.groups[""].endswith(path)
            assert place.net is not None
            assert place.net.endswith("proc/5/net/dev")

    def test_a_member_that_is_not_seen_tells_no_network(self, tmp_path: Path, files: Cgroups) -> None:
        self.v2(tmp_path, f"docker/{ID}", cgroup=f"0::/docker/{OTHER}\n")
        (tmp_path / f"sys/fs/cgroup/docker/{ID}/cgroup.procs").write_text("x 5 6\n")

        place = files.locate(Running(ID, "web", 0))
        assert place is not None
        assert place.net is None

    def test_a_group_that_is_not_there_is_nowhere(self, tmp_path: Path, files: Cgroups) -> None:
        self.v2(tmp_path, f"docker/{OTHER}", cgroup=f"0::/elsewhere/{ID}\n")

        assert files.locate(Running(ID, "web", 5)) is None
        assert files.place(Running(ID, "web", 5), "x") is None

    def test_version_1_lists_controllers_that_share_a_line(self, tmp_path: Path, files: Cgroups) -> None:
        write(
            tmp_path,
            {
                f"sys/fs/cgroup/cpu/d/{ID}/x": "",
                "proc/5/cgroup": f"4:cpu,cpuacct:/d/{ID}\n3:memory:/m/{ID}\n2:pids:/\n1:name=systemd:/s/{ID}\n",
            },
        )
        place = files.locate(Running(ID, "web", 5))

        root = f"{tmp_path}/sys/fs/cgroup"
        assert place is not None
        assert place.groups == {
            "cpu": f"{root}/cpu/d/{ID}", "cpuacct": f"{root}/cpuacct/d/{ID}", "memory": f"{root}/memory/m/{ID}"
        }  # fmt: skip

    @pytest.mark.parametrize("tree", ["memory", "cpuacct", "pids", "blkio"])
    def test_version_1_is_searched_in_one_tree(self, tmp_path: Path, files: Cgroups, tree: str) -> None:
        write(tmp_path, {f"sys/fs/cgroup/{tree}/deep/er/{ID}/below/{OTHER}/x": ""})

        assert files.search() == (
            {} if tree == "blkio" else {ID: f"deep/er/{ID}", OTHER: f"deep/er/{ID}/below/{OTHER}"}
        )

    def test_links_are_not_followed_and_files_are_no_groups(self, tmp_path: Path, files: Cgroups) -> None:
        write(tmp_path, {f"sys/fs/cgroup/memory/{ID}": "", f"elsewhere/{OTHER}/x": "", "sys/fs/cgroup/memory/z/x": ""})
        (tmp_path / "sys/fs/cgroup/memory/a").symlink_to(tmp_path / "elsewhere")

        assert files.search() == {}

    def test_it_is_searched_ten_deep(self, tmp_path: Path, files: Cgroups) -> None:
        above = "/".join("abcdefghij")
        write(tmp_path, {f"sys/fs/cgroup/memory/{above}/{ID}/{OTHER}/x": ""})

        assert list(files.search()) == [ID]

    @pytest.mark.parametrize(("limit", "found"), [(1, 2), (2, 2), (3, 3)])
    def test_it_ends_after_a_folder_in_which_the_bound_is_met(
        self, tmp_path: Path, files: Cgroups, monkeypatch: pytest.MonkeyPatch, limit: int, found: int
    ) -> None:
        assert module._MAX_GROUPS == 20_000
        third = "ef" * 32
        write(tmp_path, {f"sys/fs/cgroup/memory/{one}/x": "" for one in (ID, OTHER, f"{ID}/{third}")})
        monkeypatch.setattr(module, "_MAX_GROUPS", limit)

        assert len(files.search()) == found


class TestTheEnginesAnswer:
    def test_what_it_says_of_a_container(self) -> None:
        body = (
            b'{"cpu_stats": {"cpu_usage": {"total_usage": 1500000000}},'
            b'"memory_stats": {"usage": 1000, "stats": {"inactive_file": 300, "total_inactive_file": 400}},'
            b'"networks": {"a": {"rx_bytes": 1, "tx_bytes": 2}, "b": {"rx_bytes": 10, "tx_bytes": 20}},'
            b'"blkio_stats": {"io_service_bytes_recursive": [{"op": "read", "value": 3}, {"op": "Read", "value": 30},'
            b'{"op": "Write", "value": 4}, {"op": "total", "value": 9}]}, "pids_stats": {"current": 5}}'
        )
        container = Running(ID, "web", cpu_limit=0.5, memory_limit=77)

        assert decode_stats(body, container) == Usage(1.5, 0.5, 600, 77, 11, 22, 33, 4, 5)
        assert decode_stats(body, container._replace(network=False)) == Usage(1.5, 0.5, 600, 77, None, None, 33, 4, 5)

    @pytest.mark.parametrize(("processor", "memory", "runs"), [(0, 0, False), (1, 0, True), (0, 1, True)])
    def test_one_that_uses_nothing_at_all_does_not_run(self, processor: int, memory: int, runs: bool) -> None:
        body = (
            f'{{"cpu_stats": {{"cpu_usage": {{"total_usage": {processor}}}}}, "memory_stats": {{"usage": {memory}}}}}'
        )
        found = decode_stats(body.encode(), Running(ID, "web"))

        assert found == (Usage(processor / 1e9, memory=memory) if runs else None)
