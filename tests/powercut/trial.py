"""A scenario is recorded, and the product is started on the states that a power cut may leave of it."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from tests.powercut.disk import Disk, Kept, NamesOf, Tree, lay, states
from tests.powercut.operations import Named, Recording, Renamed, Unnamed
from tests.powercut.recorder import record
from tests.powercut.scenarios import Scenario
from vv_core.common import journals

_SEED = "power cut"
_REPOSITORY = Path(__file__).parents[2]


@dataclass
class Verdict:
    """How many states were tried, how many of them are not the same, and what was not kept, with where first."""

    tried: int = 0
    distinct: set[int] = field(default_factory=set)
    violations: dict[str, str] = field(default_factory=dict)


class Trial:
    """`name` is a module of `scenarios`; `root` the folder that the disk stands for."""

    def __init__(self, name: str, root: Path, fault: str = "") -> None:
        self._scenario = cast(Scenario, importlib.import_module(f"tests.powercut.scenarios.{name}"))
        self._name = name
        self._root = root
        self._fault = fault

    def record(self) -> Recording:
        """Run it, with the fault planted if there is one. What it leaves stays."""
        self._root.mkdir()
        self._scenario.prepare(self._root)
        fault = [self._fault] if self._fault else []
        arguments = "-m", "tests.powercut.run", self._name, str(self._root), *fault
        path = f"{_REPOSITORY / 'exporter'}{os.pathsep}{_REPOSITORY}"
        return record(
            self._root, lambda recorder: recorder.run(*arguments, PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1")
        )

    def judge(self, recording: Recording, each: int, *, at_first: bool = False) -> Verdict:
        """Start on each state; `at_first` ends with the first promise that is not kept."""
        verdict = Verdict()
        logging.disable()  # thousands of starts tell what each of them found
        try:
            for state in states(recording, each, _SEED):
                verdict.tried += 1
                verdict.distinct.add(hash(tuple(state.tree.items())))
                for violation in self._violations(state.tree, state.said):
                    verdict.violations.setdefault(violation, _where(recording, state.after))
                if at_first and verdict.violations:
                    break
        finally:
            logging.disable(logging.NOTSET)
        return verdict

    def _violations(self, tree: Tree, said: tuple[str, ...]) -> Iterator[str]:
        shutil.rmtree(self._root, ignore_errors=True)
        lay(tree, self._root)
        try:
            yield from self._scenario.check(self._root, said)
        except Exception as error:
            yield f"it does not start: {error!r}"
        finally:
            journals.reset()


def without_cut(recording: Recording) -> Tree:
    """What lies there in the end if all was written: what the programs saw themselves."""
    disk = Disk(recording)
    for operation in recording.operations:
        disk.apply(operation)
    return disk.cut(Kept(), NamesOf((Named, Unnamed, Renamed)))


def found(root: Path) -> dict[str, bytes | str | None]:
    """What lies in a folder, as a `Tree`."""
    tree: dict[str, bytes | str | None] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        tree[name] = str(path.readlink()) if path.is_symlink() else None if path.is_dir() else path.read_bytes()
    return tree


def _where(recording: Recording, after: int) -> str:
    last = recording.operations[after - 1] if after else "the beginning"
    return f"after {after} of {len(recording.operations)} operations, the last: {str(last)[:200]}"
