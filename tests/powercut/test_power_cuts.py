"""What docs/durability.md promises holds in whatever state a power cut leaves the disk.

Real programs are recorded, system call by system call; from that follow the states that POSIX allows after each call
(`tests.powercut.disk`); each is made, and the product started on it.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.powercut.disk import Tree
from tests.powercut.trial import Trial, found, without_cut


def _without_shared_memory(tree: Tree) -> Tree:
    """SQLite's index of its write-ahead log is mapped, and made anew at each start (sqlite.org/walformat)."""
    return {name: one for name, one in tree.items() if not name.endswith("-shm")}


class Extent(NamedTuple):
    """How many states are drawn by chance after each operation, and how many must have been tried in the end."""

    each: int
    least: int


EXTENTS = {
    "scripts": Extent(20, 600),
    "reading": Extent(3, 5_200),
    "quarantine": Extent(8, 60),
    "trying": Extent(8, 400),
    "supervising": Extent(2, 700),
    "asking": Extent(12, 100),
    "delivering": Extent(6, 3_000),
}
LEAST = 10_000


def test_there_are_states_enough() -> None:
    assert sum(extent.least for extent in EXTENTS.values()) >= LEAST


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", EXTENTS)
def test_what_was_promised_is_kept_in_every_state(name: str, root: Path) -> None:
    trial = Trial(name, root)
    recording = trial.record()
    assert _without_shared_memory(found(root)) == _without_shared_memory(without_cut(recording))  # nothing was missed
    verdict = trial.judge(recording, EXTENTS[name].each)
    distinct = len(verdict.distinct)

    assert verdict.violations == {}
    assert distinct >= EXTENTS[name].least


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        # A folder that is not synced.
        ("scripts", "folder:journal"),
        ("scripts", "folder:state"),
        ("scripts", "folder:disk"),
        ("reading", "folder:journal"),
        ("quarantine", "folder:corrupted"),
        ("quarantine", "folder:disk"),
        ("trying", "folder:attempts"),
        ("trying", "folder:"),
        ("asking", "folder:requests"),
        ("supervising", "folder:journal"),
        # A file that is not synced before it is renamed, or said to be there.
        ("scripts", "file:0"),
        ("quarantine", "file:.vv-"),
        ("quarantine", "file:0"),
        ("trying", "file:scan"),
        ("asking", "file:.0"),
        # Two transactions where one was promised, and a transaction that is not on the disk.
        ("reading", "two-transactions"),
        ("reading", "synchronous=NORMAL"),
        ("delivering", "synchronous=NORMAL"),
        ("supervising", "synchronous=NORMAL"),
    ],
)
def test_a_fault_that_is_planted_is_found(name: str, fault: str, root: Path) -> None:
    """No sync of the product is there in vain: without it a promise is broken."""
    trial = Trial(name, root, fault)
    verdict = trial.judge(trial.record(), each=1, at_first=True)

    assert verdict.violations
