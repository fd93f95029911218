"""The model of the disk itself: what it takes for lost, for kept, and for possible."""

import os
import random
from pathlib import Path

from tests.powercut.disk import Disk, Kept, Lost, NamesOf, Torn, Tree, Zeros, fates, lay, states
from tests.powercut.operations import (
    Made,
    Named,
    Node,
    Operation,
    Recording,
    Renamed,
    Resized,
    Said,
    Synced,
    SyncedAll,
    Unnamed,
    Wrote,
)
from tests.powercut.recorder import record
from tests.powercut.trial import found

ROOT, OLD, A, B, SUB = 1, 2, 3, 4, 5
EVERY_NAME, NO_NAME = NamesOf((Named, Unnamed, Renamed)), NamesOf(())
NODES = (Node(ROOT, "folder", entries=(("old", OLD),)), Node(OLD, "file", b"before"))
NEW = (Made(A, "file"), Named(ROOT, "a", A), Wrote(A, 0, b"data"))


def after(*operations: Operation) -> Disk:
    disk = Disk(Recording(ROOT, NODES, operations))
    for one in operations:
        disk.apply(one)
    return disk


def trees(*operations: Operation, each: int = 60) -> list[Tree]:
    """All that may lie there after the last operation."""
    disk = after(*operations)
    return [disk.cut(files, names) for files, names in fates(random.Random(1), each)]


def test_what_was_there_before_stays() -> None:
    assert after(*NEW).cut(Lost(), NO_NAME) == {"old": b"before"}


def test_a_sync_of_a_file_says_nothing_of_its_name_nor_that_of_a_folder_of_content() -> None:
    assert after(*NEW, Synced(A)).cut(Lost(), NO_NAME) == {"old": b"before"}
    assert after(*NEW, Synced(ROOT)).cut(Lost(), NO_NAME) == {"old": b"before", "a": b""}
    assert after(*NEW, Synced(A), Synced(ROOT)).cut(Lost(), NO_NAME) == {"old": b"before", "a": b"data"}
    assert after(*NEW, SyncedAll()).cut(Lost(), NO_NAME) == {"old": b"before", "a": b"data"}


def test_what_is_written_after_a_sync_is_not_synced() -> None:
    disk = after(*NEW, Synced(A), Synced(ROOT), Wrote(A, 4, b" more"))

    assert disk.cut(Lost(), NO_NAME)["a"] == b"data"
    assert disk.cut(Zeros(), NO_NAME)["a"] == b"data\0\0\0\0\0"
    assert disk.cut(Kept(), NO_NAME)["a"] == b"data more"


def test_a_rename_may_come_before_the_content() -> None:
    moved = Renamed(ROOT, "a", ROOT, "old", A)

    assert after(*NEW, moved, Synced(ROOT)).cut(Lost(), NO_NAME) == {"old": b""}
    assert after(*NEW, Synced(A), moved, Synced(ROOT)).cut(Lost(), NO_NAME) == {"old": b"data"}
    assert after(*NEW, Synced(A), moved).cut(Lost(), NO_NAME) == {"old": b"before"}


def test_a_rename_between_folders_is_one_step_whichever_is_synced() -> None:
    folder = Made(SUB, "folder"), Named(ROOT, "sub", SUB), Synced(ROOT)
    moved = Renamed(ROOT, "old", SUB, "new", OLD)
    for synced in (ROOT, SUB):
        assert after(*folder, moved, Synced(synced)).cut(Lost(), NO_NAME) == {"sub": None, "sub/new": b"before"}
    for tree in trees(*folder, moved):
        assert [name for name in tree if tree[name] == b"before"] in (["old"], ["sub/new"])


def test_what_lies_in_a_folder_whose_name_is_lost_is_lost() -> None:
    disk = after(Made(SUB, "folder"), Named(ROOT, "sub", SUB), Made(A, "file"), Named(SUB, "a", A), Synced(SUB))

    assert disk.cut(Kept(), NO_NAME) == {"old": b"before"}


def test_names_are_lost_in_any_order_and_a_file_that_was_deleted_may_be_back() -> None:
    second = Made(B, "file"), Named(ROOT, "b", B)
    seen = {frozenset(tree) for tree in trees(*NEW, *second, Unnamed(ROOT, "old"))}

    assert seen == {frozenset(names) for names in [
        (), ("old",), ("a",), ("b",), ("a", "b"), ("old", "a"), ("old", "b"), ("old", "a", "b"),
    ]}  # fmt: skip


def test_a_file_may_be_there_in_part_by_bytes_from_its_beginning_and_by_pages() -> None:
    data = b"1" * 4096 + b"2" * 4096 + b"3" * 100
    fate = Torn(random.Random(1))
    contents = {fate(b"", [Wrote(A, 0, data)]) for _ in range(300)}

    assert any(0 < len(one) < len(data) and data.startswith(one) for one in contents)
    assert bytes(4096) + data[4096:] in contents
    assert data[:4096] + bytes(4096) + data[8192:] in contents
    assert all(set(one) <= set(data) | {0} for one in contents)


def test_a_page_that_is_written_over_and_lost_is_what_it_was() -> None:
    fate = Torn(random.Random(1))
    contents = {fate(b"o" * 8192, [Wrote(A, 0, b"n" * 8192)]) for _ in range(300)}

    assert b"o" * 4096 + b"n" * 4096 in contents
    assert b"n" * 4096 + b"o" * 4096 in contents


def test_a_file_that_is_cut_short_may_have_been_left_as_it_was() -> None:
    assert {tree["old"] for tree in trees(Resized(OLD, 0))} == {b"", b"before"}


def test_no_state_comes_twice_but_where_something_was_said() -> None:
    recording = Recording(ROOT, NODES, (*NEW, Synced(A), Synced(ROOT), Said("a is there"), Said("all is done")))
    every = list(states(recording, 60, "s"))
    quiet = [tuple(one.tree.items()) for one in every if not one.said]

    assert len(quiet) == len(set(quiet))
    assert [(one.tree, one.said) for one in every if one.said] == [
        ({"a": b"data", "old": b"before"}, ("a is there", "all is done"))
    ] * len([one for one in every if one.said])
    assert [one.tree for one in every] == [one.tree for one in states(recording, 60, "s")]


def test_what_a_program_does_is_recorded_in_order(root: Path) -> None:
    root.mkdir()
    (root / "old").write_bytes(b"before")
    program = """if True:
        import os, sys
        os.chdir(sys.argv[1])
        os.mkdir("sub")
        at = os.open("sub", os.O_RDONLY)
        file = os.open("a", os.O_CREAT | os.O_RDWR, dir_fd=at)
        os.write(file, b"one"), os.pwrite(file, b"TWO", 2), os.fdatasync(file)
        print("written", flush=True)
        os.rename("a", "b", src_dir_fd=at, dst_dir_fd=at), os.fsync(at)
        os.symlink("b", "sub/link"), os.link("sub/b", "c"), os.ftruncate(file, 1)
        os.unlink("old"), open("d", "w").close(), os.remove("d"), os.sync()
    """
    recording = record(root, lambda recorder: recorder.run("-c", program, str(root)))
    made = {one.number: one.kind for one in recording.operations if isinstance(one, Made)}
    sub, file, link, last = made

    assert list(made.values()) == ["folder", "file", "link", "file"]
    assert [one for one in recording.operations if not isinstance(one, Made)] == [
        Named(recording.root, "sub", sub), Named(sub, "a", file), Wrote(file, 0, b"one"), Wrote(file, 2, b"TWO"),
        Synced(file), Said("written"), Renamed(sub, "a", sub, "b", file), Synced(sub), Named(sub, "link", link),
        Named(recording.root, "c", file), Resized(file, 1), Unnamed(recording.root, "old"),
        Named(recording.root, "d", last), Unnamed(recording.root, "d"), SyncedAll(),
    ]  # fmt: skip
    assert recording.said == ["written"]
    disk = Disk(recording)
    for one in recording.operations:
        disk.apply(one)
    assert disk.cut(Lost(), NO_NAME) == found(root)


def test_threads_and_children_are_recorded_as_well(root: Path) -> None:
    root.mkdir()
    program = """if True:
        import os, subprocess, sys, threading
        os.chdir(sys.argv[1])
        thread = threading.Thread(target=lambda: open("thread", "w").write("x"))
        thread.start(), thread.join()
        subprocess.run([sys.executable, "-c", "open('child', 'w').write('y')"], check=True)
    """
    recording = record(root, lambda recorder: recorder.run("-c", program, str(root), PATH=os.environ["PATH"]))

    assert [one.name for one in recording.operations if isinstance(one, Named)] == ["thread", "child"]
    assert [one.data for one in recording.operations if isinstance(one, Wrote)] == [b"x", b"y"]


def test_a_state_is_made_as_it_is_described(root: Path) -> None:
    tree: Tree = {"a": b"data", "sub": None, "sub/b": b"", "sub/link": "../a"}
    lay(tree, root)

    assert found(root) == tree
