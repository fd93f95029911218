"""What is tried: one module for each part of the product that keeps something.

Each has `prepare`, which makes what lies there before; `run`, the program that is recorded, which `say`s what it has
promised from then on; and `check`, which starts the product on what a power cut left and yields promises not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol


class Scenario(Protocol):
    """A module of this folder."""

    @staticmethod
    def prepare(root: Path) -> None:
        """Make what lies on the disk before."""
        ...

    @staticmethod
    def run(root: Path) -> None:
        """Do what is recorded."""
        ...

    @staticmethod
    def check(root: Path, said: Sequence[str]) -> Iterator[str]:
        """Start on what is left; yield each promise that is not kept."""
        ...


def say(line: str) -> None:
    """What is said here holds from now on, whatever becomes of the power."""
    print(line, flush=True)


def named(said: Sequence[str], word: str) -> list[str]:
    """What follows this word in the lines that begin with it."""
    return [line.partition(" ")[2] for line in said if line.partition(" ")[0] == word]
