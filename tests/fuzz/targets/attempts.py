"""Files of attempts that others wrote: a broken video is given up all the same, a good one is not."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Sequence

from tests.fuzz.mutators import mutate_bytes, mutate_json
from tests.fuzz.targets._device import Device
from tests.fuzz.targets.requests import KINDS
from vv_core import attempts as sdk
from vv_core.attempts import Attempts
from vv_core.common import journals
from vv_exporter.metrics.videos import VIDEOS_EXHAUSTED

BEGUN = b'{"time":"2023-11-14T22:13:20Z","component":"scan.py"}\n'
FAILED = BEGUN + b'{"error":"ValueError: bad"}\n'
TOLD = b"01900000-0000-7000-8000-000000000000\ntold\n"
NAMES = (
    b"scan.0.attempt",
    b"scan.z.attempt",
    b"scan.exhausted",
    b"other",
    b"stage-00.x.attempt",
    b"../.pruned",
    b"../.known",
)


class AttemptFiles:
    """An input is a line that names a file in the video's folder, a line that says what kind it is, and its content."""

    batch = 10

    def __init__(self) -> None:
        self._device = Device()
        self._before = {
            name: os.environ.get(name) for name in ("VV_STATE_DIR", "VIDEO_STORAGE_ROOT", "VV_MAX_ATTEMPTS")
        }
        os.environ |= {
            "VV_STATE_DIR": str(self._device.folder),
            "VIDEO_STORAGE_ROOT": str(self._device.folder / "videos"),
        }
        os.environ.pop("VV_MAX_ATTEMPTS", None)
        journals.reset()
        self._video = self._device.folder / "videos" / "input" / "a.mp4"
        self._video.parent.mkdir()
        self._lay()

    def _lay(self) -> None:
        self._video.write_bytes(os.urandom(64))
        self._digest = Attempts(self._video).sha256
        self._folder = self._device.folder / "attempts" / self._digest
        self._folder.mkdir(parents=True, exist_ok=True)

    def seeds(self) -> Sequence[bytes]:
        contents = {NAMES[0]: BEGUN, NAMES[1]: FAILED, NAMES[2]: TOLD, NAMES[3]: b"", NAMES[5]: b"", NAMES[6]: b""}
        files = [b"\n".join((name, b"file", content)) for name, content in contents.items()]
        return files + [b"\n".join((name, kind, b"")) for name in NAMES for kind in KINDS]

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        name, kind, content = seed.split(b"\n", 2)
        if rng.random() < 0.1:
            name = rng.choice(NAMES)
        mutated = (mutate_json if rng.random() < 0.6 else mutate_bytes)(rng, content or FAILED, [FAILED, BEGUN, TOLD])
        return b"\n".join((name, kind, mutated))

    def feed(self, data: bytes) -> None:
        name, kind, content = (*data.split(b"\n", 2), b"", b"")[:3]
        path = self._folder / (name if name in NAMES else NAMES[0]).decode()
        if os.path.lexists(path):
            return
        if kind in KINDS:
            KINDS[kind](path)  # type: ignore[operator]
        else:
            path.write_bytes(content)
        for failure in Attempts(self._video).history("scan"):
            json.dumps(failure).encode()

    def prove(self) -> None:
        """Three failed attempts are enough, and are told; after it a good video is taken."""
        made = Attempts(self._video, component="fuzz")
        for _ in range(3):
            with made.attempt("scan") as attempt:
                attempt.fail("bad")
        assert made.count("scan") >= 3, "attempts are not counted"
        assert not self._video.exists(), "the broken video is still there"
        journals.reset()
        before = self._device.store.value(VIDEOS_EXHAUSTED, ("scan",)) or 0.0
        self._device.prove()
        found = self._device.store.value(VIDEOS_EXHAUSTED, ("scan",)) or 0.0
        assert found >= before, "nobody was told"
        sdk._complained.clear()
        shutil.rmtree(self._device.folder / "attempts", ignore_errors=True)
        shutil.rmtree(self._device.folder / "videos" / "corrupted", ignore_errors=True)
        self._lay()
        with Attempts(self._video).attempt("scan"):
            pass
        assert Attempts(self._video).count("scan") == 0, "a success is a failure"
        assert self._video.exists()
        self._folder.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        journals.reset()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._device.close()


def build() -> AttemptFiles:
    """Make it."""
    return AttemptFiles()
