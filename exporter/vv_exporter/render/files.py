"""Writing files so that nobody ever reads half of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path


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
