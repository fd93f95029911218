"""Every state of a folder that a power cut may leave, from the calls that were made before it.

The model is that of ALICE (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014), as weak as POSIX is:

1. What was written to a file since its last fsync or fdatasync is there, or lost, or there in part: a beginning of it,
   or any of its pages, with zeros, or what was there before, in place of the others.
2. What was done to a folder's names since the folder's last fsync is done, or not, each for itself: neither the order
   of the calls nor an fsync of the file that a name means says anything of the name.
3. A rename is one step, also between two folders, and an fsync of either makes it last. (So it is on ext4, XFS, Btrfs
   and F2FS. FAT and ext2 promise less.)

fsync of a file says nothing of its name; fsync of a folder nothing of its files' content.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.powercut.operations import (
    Made,
    Named,
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

_PAGE = 4096

Tree = Mapping[str, bytes | str | None]
"""What lies below the root, by path: a file's content, a link's target, or None for a folder."""


@dataclass
class _File:
    lasting: bytes = b""
    pending: list[Wrote | Resized] = field(default_factory=list)


@dataclass
class _Folder:
    lasting: dict[str, int] = field(default_factory=dict)
    pending: list[Named | Unnamed | Renamed] = field(default_factory=list)


class Disk:
    """What is known to be on the disk, and what may be. `apply` the operations in turn, and `cut` at any time."""

    def __init__(self, recording: Recording) -> None:
        self._root = recording.root
        self._files: dict[int, _File] = {}
        self._folders: dict[int, _Folder] = {}
        self._links: dict[int, str] = {}
        for node in recording.nodes:
            if node.kind == "file":
                self._files[node.number] = _File(node.content)
            elif node.kind == "folder":
                self._folders[node.number] = _Folder(dict(node.entries))
            else:
                self._links[node.number] = node.target

    def apply(self, operation: Operation) -> None:
        """One operation was done."""
        match operation:
            case Made(number, "file"):
                self._files[number] = _File()
            case Made(number, "folder"):
                self._folders[number] = _Folder()
            case Made(number, "link", target):
                self._links[number] = target
            case Wrote(number) | Resized(number):
                self._files[number].pending.append(operation)
            case Named(folder) | Unnamed(folder):
                self._folders[folder].pending.append(operation)
            case Renamed(folder, _, to_folder):
                for one in {folder, to_folder}:
                    self._folders[one].pending.append(operation)
            case Synced(number):
                self._sync(number)
            case SyncedAll():
                for number in (*self._files, *self._folders):
                    self._sync(number)

    def _sync(self, number: int) -> None:
        if number in self._files:
            file = self._files[number]
            file.lasting = _written(file.lasting, file.pending)
            file.pending.clear()
            return
        for operation in list(self._folders[number].pending):
            for folder in self._folders.values():
                if operation in folder.pending:
                    folder.pending.remove(operation)
            _enter(operation, {one: folder.lasting for one, folder in self._folders.items()})

    def cut(self, files: "FileFate", names: "NameFate") -> Tree:
        """The state when the power goes now, and what is not synced has this fate."""
        entries = {number: dict(folder.lasting) for number, folder in self._folders.items()}
        done = {}
        for folder in self._folders.values():
            for operation in folder.pending:
                if done.setdefault(id(operation), names(operation)):
                    _enter(operation, entries)
        tree: dict[str, bytes | str | None] = {}
        self._grow(tree, "", self._root, entries, files, {})
        return tree

    def _grow(
        self,
        tree: dict[str, bytes | str | None],
        path: str,
        folder: int,
        entries: Mapping[int, Mapping[str, int]],
        files: "FileFate",
        contents: dict[int, bytes],
    ) -> None:
        for name, number in sorted(entries[folder].items()):
            below = f"{path}/{name}".lstrip("/")
            if number in self._folders:
                tree[below] = None
                self._grow(tree, below, number, entries, files, contents)
            elif number in self._links:
                tree[below] = self._links[number]
            else:
                if number not in contents:
                    contents[number] = files(self._files[number].lasting, self._files[number].pending)
                tree[below] = contents[number]


def _enter(operation: Named | Unnamed | Renamed, entries: Mapping[int, dict[str, int]]) -> None:
    match operation:
        case Named(folder, name, number):
            entries[folder][name] = number
        case Unnamed(folder, name):
            entries[folder].pop(name, None)
        case Renamed(folder, name, to_folder, to_name, number):
            if entries[folder].get(name) == number:
                del entries[folder][name]
            entries[to_folder][to_name] = number


class NameFate:
    """What becomes of a change of a folder's names that is not synced."""

    def __call__(self, operation: Named | Unnamed | Renamed) -> bool:
        raise NotImplementedError


@dataclass
class Names(NameFate):
    """Each is done with this probability; `only` is a kind that alone is, or is not, done."""

    chance: random.Random
    probability: float

    def __call__(self, operation: Named | Unnamed | Renamed) -> bool:
        return self.chance.random() < self.probability


@dataclass
class NamesOf(NameFate):
    """Done is what is of these kinds: so a new name lasts, and the old one too, or neither does."""

    kinds: tuple[type, ...]

    def __call__(self, operation: Named | Unnamed | Renamed) -> bool:
        return isinstance(operation, self.kinds)


class FileFate:
    """What becomes of what was written to a file and is not synced."""

    def __call__(self, lasting: bytes, pending: list[Wrote | Resized]) -> bytes:
        raise NotImplementedError


class Lost(FileFate):
    """Nothing of it is there."""

    def __call__(self, lasting: bytes, pending: list[Wrote | Resized]) -> bytes:
        return lasting


class Kept(FileFate):
    """All of it is there."""

    def __call__(self, lasting: bytes, pending: list[Wrote | Resized]) -> bytes:
        return _written(lasting, pending)


class Zeros(FileFate):
    """The size is there, and zeros."""

    def __call__(self, lasting: bytes, pending: list[Wrote | Resized]) -> bytes:
        full = _written(lasting, pending)
        return lasting[: len(full)] + bytes(max(len(full) - len(lasting), 0))


@dataclass
class Torn(FileFate):
    """Some of it is there: of each file a beginning, or any pages, or all, or nothing."""

    chance: random.Random

    def __call__(self, lasting: bytes, pending: list[Wrote | Resized]) -> bytes:
        if not pending:
            return lasting
        fate = self.chance.randrange(6)
        if fate == 0:
            return lasting
        if fate == 1:
            return _written(lasting, pending)
        if fate == 2:
            return Zeros()(lasting, pending)
        if fate <= 4:
            return self._beginning(lasting, pending)
        kept = [one for each in pending for one in _pages(each) if self.chance.random() < 0.5]
        return _written(lasting, kept)

    def _beginning(self, lasting: bytes, pending: list[Wrote | Resized]) -> bytes:
        count = self.chance.randrange(len(pending))
        kept, last = pending[:count], pending[count]
        if isinstance(last, Wrote):
            kept = [*kept, Wrote(last.number, last.offset, last.data[: self.chance.randrange(len(last.data) + 1)])]
        return _written(lasting, kept)


def _pages(operation: Wrote | Resized) -> Iterator[Wrote | Resized]:
    if isinstance(operation, Resized):
        yield operation
        return
    begins = operation.offset
    ends = begins + len(operation.data)
    while begins < ends:
        until = min((begins // _PAGE + 1) * _PAGE, ends)
        at = begins - operation.offset
        yield Wrote(operation.number, begins, operation.data[at : at + until - begins])
        begins = until


def _written(content: bytes, operations: "list[Wrote | Resized]") -> bytes:
    if not operations:
        return content
    result = bytearray(content)
    for one in operations:
        if isinstance(one, Resized):
            result = result[: one.size] + bytes(max(one.size - len(result), 0))
        else:
            result += bytes(max(one.offset - len(result), 0))
            result[one.offset : one.offset + len(one.data)] = one.data
    return bytes(result)


@dataclass(frozen=True)
class State:
    """One state: after how many operations the power went, what lay there then, and what had been said, in order."""

    after: int
    tree: Tree
    said: tuple[str, ...]


def states(recording: Recording, each: int, seed: str) -> Iterator[State]:
    """States after each operation: those where all, or one kind of what is not synced, is lost, and `each` by chance.

    None comes twice: of equal ones that follow each other the one is taken where the most had been said.
    """
    disk, said, seen = Disk(recording), list[str](), set[int]()
    for after, operation in enumerate((None, *recording.operations)):
        if isinstance(operation, Said):
            said.append(operation.line)
        elif operation is not None:
            disk.apply(operation)
        if after < len(recording.operations) and isinstance(recording.operations[after], Said):
            continue
        for files, names in fates(random.Random(f"{seed}/{after}"), each):
            tree = disk.cut(files, names)
            known = hash(tuple(tree.items()))
            if known not in seen or isinstance(operation, Said):
                seen.add(known)
                yield State(after, tree, tuple(said))


def fates(chance: random.Random, each: int) -> Iterator[tuple[FileFate, NameFate]]:
    """Those where one kind of thing is kept or lost, and `each` where chance decides of every single one."""
    everything, nothing = NamesOf((Named, Unnamed, Renamed)), NamesOf(())
    yield Kept(), everything
    yield Lost(), everything
    yield Zeros(), everything
    yield Lost(), nothing
    yield Kept(), nothing
    for kinds in ((Named,), (Renamed,), (Unnamed,), (Named, Renamed)):
        yield Kept(), NamesOf(kinds)
    for _ in range(each):
        yield Torn(chance), Names(chance, chance.choice((0.2, 0.5, 0.8, 1.0)))


def lay(tree: Tree, root: Path) -> None:
    """Make the folder's content."""
    root.mkdir(parents=True)
    for name, content in tree.items():
        path = root / name
        if content is None:
            path.mkdir()
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
