"""Writing files so that nobody ever reads half of one, into a folder that is ours alone."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from vv_core.common.files import read_regular

MARKER = ".vv-config"
_MARKER_TEXT = (
    "This folder is written by `vv config render`, which replaces what is in it and removes what it does not know.\n"
)
_MADE_BY_FILESYSTEMS = frozenset({"lost+found"})


class FolderNotOursError(OSError):
    """The folder has files that we did not write there, and would replace or remove. The message is for people."""


def claim(out: Path, folders: Iterable[str], is_ours: Callable[[Path], bool]) -> None:
    """Make the folder `out` ours: a new or empty one by a marker. Raises `FolderNotOursError`, `OSError`.

    `folders` are those in it that are ours as a whole; a link would lead to somebody else's. `is_ours` knows a folder
    that a version without markers has written.
    """
    for name in folders:
        if (out / name).is_symlink():
            raise FolderNotOursError(f"{out / name} is a link, and files would be removed where it leads; remove it")
    out.mkdir(parents=True, exist_ok=True, mode=0o755)
    marker = out / MARKER
    if begins_with(marker, _MARKER_TEXT.partition(",")[0]):
        return
    empty = all(path.name in _MADE_BY_FILESYSTEMS for path in out.iterdir())
    if not empty and not is_ours(out):
        raise FolderNotOursError(
            f"{out} has files that `vv config render` did not write, and might remove; name a new or an empty folder"
        )
    write(marker, _MARKER_TEXT)


def begins_with(path: Path, text: str) -> bool:
    """Whether a regular file is there that begins with this; a link, a pipe or what cannot be read does not."""
    try:
        return read_regular(os.fsencode(path), len(text.encode())) == text.encode()
    except OSError:
        return False


def check_apart(one: Path, other: Path) -> None:
    """Neither folder is or lies in the other: each removes what it does not know. Raises `FolderNotOursError`."""
    first, second = one.resolve(), other.resolve()
    if first.is_relative_to(second) or second.is_relative_to(first):
        raise FolderNotOursError(f"{other} is not apart from {one}; name a folder of its own")


def add(folder: Path, contents: Mapping[str, str], *, private: bool = False) -> None:
    """Write these files (by name) into `folder`; `private` shuts out other users."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o755)
    if private:
        folder.chmod(0o700)
    for name, content in contents.items():
        write(folder / name, content, private=private)


def keep_only(folder: Path, names: Iterable[str]) -> None:
    """Remove the files in `folder` that have other names."""
    kept = set(names)
    for path in folder.iterdir():
        if path.name not in kept and path.is_file():
            path.unlink()


def write(path: Path, content: str, *, private: bool = False) -> None:
    """Replace a file as a whole; with `private`, mode 0600 from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600 if private else 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
