"""What is kept of where containers' files are is theirs, whatever happened to them since."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.unit.containers.trees import ID, OTHER, lay_out
from vv_exporter.containers import cgroups, known_groups
from vv_exporter.containers.cgroups import Cgroups
from vv_exporter.containers.known_groups import LIMITS_SECONDS, KnownGroups
from vv_exporter.containers.resources import Running, Usage

TREES = [("v1", 10458), ("v1_systemd", 2201), ("v2", 44), ("v2_systemd", 3301)]
GROUP = "sys/fs/cgroup/docker"

Read = Callable[[Running], Usage | None]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def read(tmp_path: Path, clock: Clock) -> Read:
    """What a container uses, by one that remembers."""
    known = KnownGroups(Cgroups(tmp_path / "proc", tmp_path / "sys", 4), clock)

    def usage(container: Running) -> Usage | None:
        place = known.locate(container)
        return known.read(place) if place else None

    return usage


def read_afresh(root: Path, container: Running) -> Usage | None:
    files = Cgroups(root / "proc", root / "sys", 4)
    place = files.locate(container)
    return files.read(place) if place else None


@pytest.mark.parametrize(("tree", "pid"), TREES)
def test_the_second_time_is_as_the_first_and_reads_half(
    tmp_path: Path, tree: str, pid: int, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tree, tmp_path)
    container = Running(ID, "web", pid)
    files: list[str] = []
    text = cgroups._read_text
    monkeypatch.setattr(cgroups, "_read_text", lambda path: files.append(path) or text(path))
    open_files = len([*Path("/proc/self/fd").iterdir()])

    first = read(container)
    count = len(files)
    assert first == read_afresh(tmp_path, container)
    files.clear()
    assert read(container) == first

    assert len(files) <= count - 3
    assert len([*Path("/proc/self/fd").iterdir()]) == open_files


@pytest.mark.parametrize(("tree", "pid"), TREES)
def test_numbers_are_those_of_now(tmp_path: Path, tree: str, pid: int, read: Read) -> None:
    lay_out(tree, tmp_path)
    container = Running(ID, "web", pid)
    read(container)
    (tmp_path / f"proc/{pid}/net/dev").write_text("eth0: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0\n")
    for file in [*tmp_path.rglob("memory.stat")]:
        file.unlink()

    found = read(container)

    assert found == read_afresh(tmp_path, container)
    assert found is not None
    assert (found.received, found.transmitted) == (7, 8)


def test_a_container_that_was_restarted_is_found_at_its_new_process_with_its_new_limits(
    tmp_path: Path, read: Read
) -> None:
    lay_out("v2", tmp_path)
    read(Running(ID, "web", 44))
    shutil.copytree(tmp_path / "proc/44", tmp_path / "proc/45")
    (tmp_path / "proc/45/net/dev").write_text("eth0: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0\n")
    (tmp_path / GROUP / ID / "cpu.max").write_text("50000 100000\n")

    found = read(Running(ID, "web", 45))

    assert found == read_afresh(tmp_path, Running(ID, "web", 45))
    assert found is not None
    assert (found.received, found.cpu_limit) == (7, 0.5)


def test_a_group_that_was_made_again_is_read_as_it_is(tmp_path: Path, read: Read) -> None:
    lay_out("v2", tmp_path)
    read(Running(ID, "web", 44))
    shutil.copytree(tmp_path / GROUP / ID, tmp_path / "before")
    shutil.rmtree(tmp_path / GROUP / ID)
    shutil.copytree(tmp_path / "before", tmp_path / GROUP / ID)
    (tmp_path / GROUP / ID / "cpu.stat").write_text("usage_usec 5000000\n")

    found = read(Running(ID, "web", 44))

    assert found is not None
    assert found.cpu_seconds == 5.0


def test_a_group_that_is_gone_is_told_so_and_found_where_it_comes_back(tmp_path: Path, read: Read) -> None:
    lay_out("v2", tmp_path)
    container = Running(ID, "web", 44)
    read(container)
    elsewhere = tmp_path / "sys/fs/cgroup/system.slice" / f"docker-{ID}.scope"
    elsewhere.parent.mkdir()
    shutil.move(tmp_path / GROUP / ID, tmp_path / "away")
    shutil.move(tmp_path / "proc/44", tmp_path / "proc/99")
    assert read(container) is None

    shutil.move(tmp_path / "away", elsewhere)
    assert read(container) == read_afresh(tmp_path, container)
    assert read(container) is not None


@pytest.mark.parametrize(("tree", "pid"), TREES)
def test_a_process_id_that_was_given_to_another_tells_nothing_of_its_network(
    tmp_path: Path, tree: str, pid: int, read: Read
) -> None:
    lay_out(tree, tmp_path)
    container = Running(ID, "web", pid)
    read(container)
    for file in [*(tmp_path / "sys").rglob("cgroup.procs")]:
        file.unlink()
    (tmp_path / f"proc/{pid}/cgroup").write_text(f"0::/docker/{OTHER}\n1:cpu,memory:/docker/{OTHER}\n")
    (tmp_path / f"proc/{pid}/net/dev").write_text("eth0: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n")

    found = read(container)

    assert found == read_afresh(tmp_path, container)
    assert found is not None
    assert (found.received, found.transmitted) == (None, None)
    assert found.pids is None or found.pids > 0


def test_a_network_that_it_shares_from_now_on_is_not_shown_as_its_own(tmp_path: Path, read: Read) -> None:
    lay_out("v2", tmp_path)
    read(Running(ID, "web", 44))

    found = read(Running(ID, "web", 44, network=False))

    assert found is not None
    assert found.received is None


@pytest.mark.parametrize(("tree", "pid", "file"), [("v1", 10458, "memory.limit_in_bytes"), ("v2", 44, "memory.max")])
def test_limits_that_are_changed_are_seen_after_a_while(
    tmp_path: Path, tree: str, pid: int, file: str, clock: Clock, read: Read
) -> None:
    lay_out(tree, tmp_path)
    container = Running(ID, "web", pid)
    before = read(container)
    (changed,) = tmp_path.rglob(f"*{ID}*/{file}")
    changed.write_text("123456\n")
    clock.advance(LIMITS_SECONDS - 1)
    assert read(container) == before

    clock.advance(2)
    found = read(container)
    assert found is not None
    assert found.memory_limit == 123456


def test_what_is_kept_is_bounded(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_groups, "MAX_KNOWN", 3)
    known = KnownGroups(Cgroups(tmp_path / "proc", tmp_path / "sys", 4), clock)
    for number in range(10):
        container = f"{number:x}" * 64
        lay_out("v2", tmp_path / "tree", container)
        shutil.copytree(tmp_path / "tree", tmp_path, dirs_exist_ok=True)
        place = known.locate(Running(container, "web", network=False))
        assert place is not None
        known.read(place)

    assert len(known._known) == len(known._limits) == 3
