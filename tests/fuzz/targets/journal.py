"""Lines of the journal, through the real reader, folds and store."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.fuzz.mutators import as_json, mutate_json
from tests.fuzz.targets._device import Device

FILES = 4  # of a batch
LIFETIME = 40_000  # lines after which the device is made anew
_TIME = 1700000000
_RUN = {"run": "r1", "stage": "scan_video", "video": "/videos/input/a.mp4", "video_sha256": "ab" * 32}
_WHAT: list[dict[str, object]] = [
    {"type": "writer", "component": "scan.py", "lock": True, "pid": 7, "host": "edge", "boot": "b", "sdk": "vv_core 0"},
    {"type": "stage.started", **_RUN, "mono": 12.5, "video_bytes": 1000, "video_seconds": 60.5, "limit": 600.0},
    {"type": "stage.noted", **_RUN, "video_bytes": 2000, "video_seconds": 61.0},
    {"type": "stage.finished", **_RUN, "outcome": "success", "seconds": 3.5},
    {"type": "stage.finished", **_RUN, "outcome": "failure", "seconds": 3.5, "error": "bad", "exception": "ValueError"},
    {"type": "job.started", "run": "j1", "job": "nightly", "mono": 3.0},
    {"type": "job.finished", "run": "j1", "job": "nightly", "result": "failure", "seconds": 9.5, "exit_code": 137},
    {"type": "job.finished", "run": "j2", "job": "nightly", "result": "success", "seconds": 1, "output": "a\nb"},
    {"type": "job.skipped", "job": "nightly", "reason": "another run is in progress"},
    {"type": "heartbeat", "job": "hourly"},
    {
        "type": "alert",
        "id": "01900000-0000-7000-8000-000000000000",
        "level": "ERROR",
        "title": "Disk is slow",
        "details": "one\ntwo",
        "context": {"video": "a.mp4", "video_sha256": "ab" * 32, "lens": "2"},
        "suggested_actions": "look",
        "dedupe_key": "disk",
    },
    {"type": "schema.validated", "schema": "meta", "result": "invalid", "path": "/a", "error": "no", "excerpt": "x"},
    {"type": "hmac", "operation": "verify", "result": "failed", "reason": "mismatch", "key_id": "k", "error": "no"},
    {"type": "exception", "exception": "KeyError", "error": "'x'", "traceback": "File a\n  b", "video": "a.mp4"},
    {"type": "dvr.attempt", "dvr": "yard", "result": "timeout", "error": "no answer"},
    {"type": "dvr.attempt", "dvr": "yard", "result": "ok"},
    {"type": "dvr.frames", "dvr": "yard", "frames": 25, "last": _TIME},
    {"type": "video.exhausted", "stage": "scan_video", "attempts": 3, "video": "a.mp4", "id": "e1", "error": "bad"},
    {"type": "video.quarantined", "reason": "scan_failed", "path": "/c/a.mp4", "video": "a.mp4", "id": "q1"},
    {"type": "container.restarting", "name": "web", "container": "f" * 64, "attempt": "a1", "reason": "it ended"},
    {"type": "container.restarted", "name": "web", "attempt": "a1", "result": "failed", "error": "no such file"},
    {"type": "container.gave_up", "name": "web", "restarts": 5, "reason": "it ended", "log_tail": "a\nb"},
    {"type": "container.resumed", "name": "web", "reason": "an operator asked for it"},
    {"type": "container.forgotten", "name": "web"},
    {"type": "supervisor.checked", "containers": {"web": {"in_window": 1, "max": 5, "gave_up": False}}},
    {"type": "supervisor.retired"},
    {"type": "dropped", "count": 3},
]
EVENTS = [as_json({"v": 1, "ts": _TIME, "component": "scan.py", **what}) for what in _WHAT]


class Journal:
    """Some files a batch; what it shows is looked at from time to time."""

    batch = 400

    def __init__(self) -> None:
        self._device = Device()
        self._lines: list[bytes] = []
        self._fed = 0

    def seeds(self) -> Sequence[bytes]:
        return EVENTS

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        return mutate_json(rng, seed, seeds) if rng.random() < 0.9 else seed

    def feed(self, data: bytes) -> None:
        self._lines.append(data)

    def prove(self) -> None:
        lines, self._lines = self._lines, []
        for number in range(min(FILES, len(lines))):
            self._device.write(*lines[number::FILES])
        self._device.prove()
        self._fed += len(lines)
        if len(lines) < self.batch:  # the reproducer of a failure
            self._device.look_closer()
        if self._fed > LIFETIME:
            self.close()
            self.__init__()  # type: ignore[misc]

    def close(self) -> None:
        self._device.close()


def build() -> Journal:
    """Make it."""
    return Journal()
