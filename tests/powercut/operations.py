"""What a program does to a folder, as its system calls say it: the input of the model (`tests.powercut.disk`).

Files and folders are numbers that are never used twice, unlike inodes.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Made:
    """A new file (`kind` "file"), folder ("folder") or link ("link", with its `target`)."""

    number: int
    kind: str
    target: str = ""


@dataclass(frozen=True)
class Named:
    """The name `name` in `folder` now means `number`."""

    folder: int
    name: str
    number: int


@dataclass(frozen=True)
class Unnamed:
    """The name is gone: unlink, rmdir."""

    folder: int
    name: str


@dataclass(frozen=True)
class Renamed:
    """From one folder to another, or within one, in one step."""

    folder: int
    name: str
    to_folder: int
    to_name: str
    number: int


@dataclass(frozen=True)
class Wrote:
    """`data` at `offset`."""

    number: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Resized:
    """ftruncate."""

    number: int
    size: int


@dataclass(frozen=True)
class Synced:
    """fsync or fdatasync of a file, or fsync of a folder, has returned."""

    number: int


@dataclass(frozen=True)
class SyncedAll:
    """sync or syncfs has returned."""


@dataclass(frozen=True)
class Said:
    """A line that the program printed: what it promised its user, at this moment."""

    line: str


Operation = Made | Named | Unnamed | Renamed | Wrote | Resized | Synced | SyncedAll | Said


@dataclass(frozen=True)
class Node:
    """What lay there before the recording: a file with its content, a folder with its entries, or a link."""

    number: int
    kind: str
    content: bytes = b""
    target: str = ""
    entries: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Recording:
    """What lay below the root (its number is `root`), and what was done to it, in order."""

    root: int
    nodes: tuple[Node, ...]
    operations: tuple[Operation, ...]

    @property
    def said(self) -> list[str]:
        """All lines that were printed."""
        return [one.line for one in self.operations if isinstance(one, Said)]
