"""Files that are moved to `corrupted/` and back: whole in one of the two places, and what was done stays done."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.powercut.scenarios import named, say
from tests.powercut.scenarios.device import exporter
from vv_core import quarantine
from vv_exporter.metrics.videos import VIDEOS_QUARANTINED

FILES = ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4")


def content(name: str) -> bytes:
    """More than two pages of it."""
    return name.encode() * 2_000


def prepare(root: Path) -> None:
    """Videos that came in."""
    (root / "input").mkdir()
    for name in FILES:
        (root / "input" / name).write_bytes(content(name))


def run(root: Path) -> None:
    """Some are renamed, some copied as between file systems; the first goes back."""
    from vv_core.common import files

    os.environ["VV_STATE_DIR"] = str(root / "state")
    rename = files.rename_new
    for number, name in enumerate(FILES):
        if number % 2:
            refuse = iter([OSError(errno.EXDEV, "other file systems")])
            files.rename_new = lambda *paths, refuse=refuse: _unless(refuse, rename, *paths)
        assert quarantine.move_to_corrupted(root / "input" / name, "broken", "no frames", component="scan.py")
        files.rename_new = rename
        say(f"moved {name}")
    for name in FILES[:2]:
        say(f"releasing {name}")
        quarantine.release(root / "corrupted", name)
        say(f"released {name}")


def _unless(refusals: Iterator[OSError], rename: object, source: bytes, target: bytes) -> None:
    """A video is not renamed, once; its side-car is."""
    if source.endswith(b".mp4"):
        for refusal in refusals:
            raise refusal
    rename(source, target)  # type: ignore[operator]


def check(root: Path, said: Sequence[str]) -> Iterator[str]:
    """Each is there as a whole, with its side-car; what was moved is counted, once; it can be moved again."""
    moved, releasing, released = (named(said, word) for word in ("moved", "releasing", "released"))
    corrupted, input_ = root / "corrupted", root / "input"
    for name in FILES:
        whole = [path for path in (input_ / name, corrupted / name) if _is_whole(path, name)]
        if not whole:
            yield f"{name} is lost"
        if name in moved and name not in releasing and whole != [corrupted / name]:
            yield f"{name} was moved, and lies in {[path.parent.name for path in whole]}"
        if name in released and whole != [input_ / name]:
            yield f"{name} was released, and lies in {[path.parent.name for path in whole]}"
        if (corrupted / name).exists():
            yield from _entry_problems(corrupted, name)
    if corrupted.exists():
        yield from (f"{path.name} is half a file" for path in corrupted.glob("*.mp4") if not _is_whole(path, path.name))
    with exporter(root / "state") as device:
        device.read()
        counted = sum(series.value for _, series in device.store.series(VIDEOS_QUARANTINED))
        if not len(moved) <= counted <= len(FILES):
            yield f"{counted:.0f} moves are counted of {len(moved)}"
    yield from _again(root)


def _entry_problems(corrupted: Path, name: str) -> Iterator[str]:
    try:
        about = quarantine.read(corrupted, name)
    except quarantine.QuarantineError as error:
        yield f"{name} lies in corrupted/ without its side-car: {error}"
    else:
        if Path(about["original_path"]).name != name:
            yield f"the side-car of {name} is another's"


def _again(root: Path) -> Iterator[str]:
    """What a pipeline does after the cut: it comes upon the videos that are there, and they are moved."""
    os.environ["VV_STATE_DIR"] = str(root / "state")
    for path in sorted((root / "input").glob("*.mp4")):
        quarantine.move_to_corrupted(path, "broken", component="scan.py")
        if path.exists():
            yield f"{path.name} cannot be moved any more"
    held = {path.name for path in (root / "corrupted").glob("*") if not path.name.startswith(".")}
    for name in FILES:
        if not {name, name + quarantine.SIDECAR} <= held:
            yield f"{name} is not in corrupted/ after all were moved: {sorted(held)}"
    yield from (f"an unfinished file stays: {path.name}" for path in (root / "corrupted").glob(".vv-*"))


def _is_whole(path: Path, name: str) -> bool:
    return path.is_file() and path.read_bytes() == content(name)
