"""Side-cars in `corrupted/` that others wrote: they are listed and released, or refused in a line."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner

from tests.fuzz.mutators import as_json, mutate_bytes, mutate_json
from tests.fuzz.targets._device import temporary
from tests.fuzz.targets.requests import KINDS
from vv_core.quarantine import SIDECAR, QuarantineError, entries, move_to_corrupted, read, release
from vv_exporter.cli.quarantine import command
from vv_exporter.probes.videos import census

ABOUT = {
    "id": "01900000-0000-7000-8000-000000000000",
    "original_path": "ROOT/input/a.mp4",
    "timestamp_corruption": "2023-11-14T22:13:20.123Z",
    "source_component": "scan.py",
    "error_type": "scan_failed",
    "error_message": "bad\nworse",
    "log_snippet_ref": "app.log",
    "original_hash_sha256": "ab" * 32,
    "attempts": [{"time": "2023-11-14T22:13:20Z", "error": "bad", "component": "scan.py"}],
}


class Sidecars:
    """An input is a line that says what kind of file it is, and its content; ROOT stands for the storage."""

    batch = 20

    def __init__(self) -> None:
        self._root = temporary()
        self._before = {name: os.environ.get(name) for name in ("VV_STATE_DIR", "VIDEO_STORAGE_ROOT")}
        os.environ |= {"VV_STATE_DIR": str(self._root / "state"), "VIDEO_STORAGE_ROOT": str(self._root)}
        self._corrupted = self._root / "corrupted"
        self._listed = 0

    def seeds(self) -> Sequence[bytes]:
        outside = [
            {**ABOUT, "original_path": path} for path in ("/etc/cron.d/x", "a.mp4", "ROOT/input/../../x", "ROOT")
        ]
        contents = [b"file\n" + as_json(about) for about in (ABOUT, *outside)]
        return contents + [kind + b"\n" for kind in KINDS]

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        kind, _, content = seed.partition(b"\n")
        return kind + b"\n" + (mutate_json if rng.random() < 0.8 else mutate_bytes)(rng, content or as_json(ABOUT), [])

    def feed(self, data: bytes) -> None:
        kind, _, content = data.partition(b"\n")
        (self._root / "input").mkdir(exist_ok=True)
        self._corrupted.mkdir(exist_ok=True)
        entry = self._corrupted / "a.mp4"
        sidecar = self._corrupted / f"a.mp4{SIDECAR}"
        entry.write_bytes(b"video")
        if kind in KINDS:
            KINDS[kind](sidecar)  # type: ignore[operator]
        else:
            sidecar.write_bytes(content.replace(b"ROOT", str(self._root).encode()))
        with contextlib.suppress(QuarantineError):
            read(self._corrupted, "a.mp4")
        assert len(list(entries(self._corrupted))) == 1
        try:
            where = release(self._corrupted, "a.mp4")
        except QuarantineError:
            assert entry.exists(), "refused, and gone"
        else:
            assert self._root in Path(os.path.realpath(where)).parents, f"released to {where}"
        self._listed += 1
        if self._listed % 5 == 0:
            for arguments in (["list"], ["show", "a.mp4"]):
                result = CliRunner().invoke(command, ["--root", str(self._root), *arguments])
                assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        for folder in ("input", "corrupted"):
            shutil.rmtree(self._root / folder, ignore_errors=True)

    def prove(self) -> None:
        (self._root / "input").mkdir()
        video = self._root / "input" / "b.mp4"
        video.write_bytes(b"broken")
        moved = move_to_corrupted(video, "scan_failed", "bad")
        assert moved is not None, "a damaged video is not moved"
        found = census(self._root)
        assert found is not None
        assert found.quarantined == 1
        assert release(self._corrupted, moved.name) == video

    def close(self) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(self._root, ignore_errors=True)


def build() -> Sidecars:
    """Make it."""
    return Sidecars()
