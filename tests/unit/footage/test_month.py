"""A month of three cameras with two hundred faults: each hole is found where it was, with its cause, and none else.

The journal, its reader, the folds, the store, the device's states and the accounts are real; only clocks are not. What
happens is said by a model that knows nothing of the ledger: a recorder writes files of five minutes, an agent reports
frames, and a fault of any kind cuts off one camera, or all of them, from when to when is known. The same month is lived
a second time with an exporter that is killed at random.

Each run lives six days with forty faults; `FOOTAGE_DAYS=30` lives a month with two hundred, `FOOTAGE_SEED` others.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.clocks import Clocks
from tests.support.fast_store import FastStore
from tests.support.journals import RawWriter
from vv_exporter.footage.accounts import FootageAccounts, watched_since
from vv_exporter.footage.device import DeviceStates, note_start
from vv_exporter.footage.intervals import union
from vv_exporter.footage.ledger import DAY, DAYS, Day, milliseconds
from vv_exporter.footage.report import View, account, lost
from vv_exporter.journal.folds import Folds, discover
from vv_exporter.journal.reader import Reader
from vv_exporter.metrics.footage import FOOTAGE_MISSING
from vv_exporter.settings import Settings, load
from vv_exporter.state.starts import counted

SIMULATED_DAYS = int(os.environ.get("FOOTAGE_DAYS", "6"))
SEED = int(os.environ.get("FOOTAGE_SEED", "0"))
FAULTS = SIMULATED_DAYS * 200 // 30
FILE = 300.0  # seconds of a recording
FRAMES = 2.5  # seconds between reports of frames, of which there may be 3
LOOK_EVERY = 5.0
COUNT_EVERY = 600.0
QUIET = 1000.0  # seconds at least between two faults
OPENING, CLOSING = 6, 22  # hours in which footage of the dock is expected
CONFIG = f"""
footage: {{dock: {{expected: "* {OPENING}-{CLOSING - 1} * * *"}}}}
"""


@dataclass
class Camera:
    """What really happens to it. `holes`: from when to when there is no recording, and why."""

    name: str
    has_agent: bool
    streams: bool = True
    file_begun: float | None = None
    holes: list[tuple[float, float, str]] = field(default_factory=list)


class Device:
    """A machine with three cameras, their scripts and the exporter."""

    def __init__(self, folder: Path, folds: Folds, settings: Settings, kills: random.Random | None) -> None:
        folder.mkdir()
        self.folder, self.folds, self.settings = folder, folds, settings
        self.kills = kills
        self.random = random.Random(SEED)
        self.clocks = Clocks()
        self.begun = self.clocks.wall()
        self.cameras = [Camera("gate", True), Camera("yard", True), Camera("dock", False)]
        self.writers: dict[str, RawWriter] = {}
        self.written = 0
        self.storage: frozenset[str] | None = frozenset()
        self.counted_at = self.looked_at = self.clocks.now
        self.life = ExitStack()
        self.switch_on()
        for camera in self.cameras:
            self.goes_on(camera)

    # The exporter.

    def start(self) -> None:
        clocks = self.clocks
        self.store = FastStore(self.folder / "state.db", clocks)
        self.reader = Reader(
            self.folder / "journal", self.store, self.folds, self.settings,
            clocks.wall, clocks.monotonic, clocks.boottime, clocks.boot, 30.0,
        )  # fmt: skip
        note_start(self.store, clocks.boot, clocks.boottime())
        self.life = ExitStack()
        self.life.enter_context(counted(self.store))
        self.states = DeviceStates(self.store, lambda: self.storage, clocks, clocks.boottime, clocks.boot)
        self.accounts = FootageAccounts(self.store, self.settings.footage, clocks)
        self.states.round()

    def stop(self) -> None:
        self.life.close()
        self.store.close()

    def kill(self) -> None:
        self.life.pop_all()
        self.store.lose()

    def look(self) -> None:
        """What the exporter does within seconds."""
        self.looked_at = self.clocks.now
        if self.kills is not None and self.kills.random() < 0.05:
            self.kill()
            self.start()
        self.store.follow_clock()
        self.states.round()
        while self.reader.round():
            pass
        if self.clocks.now - self.counted_at >= COUNT_EVERY:
            self.counted_at = self.clocks.now
            self.accounts.round()

    # The machine.

    def switch_on(self) -> None:
        self.start()
        for camera in self.cameras:
            if camera.has_agent:
                self.tell(camera, "dvr.attempt", result="ok")

    def wait(self, seconds: float, step: float = FILE) -> None:
        """Let time pass, with what lies in it: files are finished, frames come where somebody looks closely."""
        end = self.clocks.now + seconds
        while self.clocks.now < end:
            self.clocks.advance(min(step, end - self.clocks.now))
            for camera in self.cameras:
                if camera.streams and camera.has_agent and step <= FRAMES:
                    self.tell(camera, "dvr.frames", frames=60, last=self.clocks.wall())
                if camera.file_begun is not None and self.clocks.wall() - camera.file_begun >= FILE:
                    self.finish_file(camera)
            if self.clocks.now - self.looked_at >= LOOK_EVERY:
                self.look()

    def watch(self, seconds: float) -> None:
        """The same, second by second."""
        self.wait(seconds, FRAMES)

    # Scripts.

    def writer(self, name: str) -> RawWriter:
        if name not in self.writers:
            self.written += 1
            self.writers[name] = RawWriter(
                self.folder / "journal", f"{self.written:05d}-{name}", boot=self.clocks.boot, component=f"{name}.py"
            )
        return self.writers[name]

    def tell(self, camera: Camera, type_: str, **fields: object) -> None:
        self.writer(f"{camera.name}-agent").event(type_, ts=self.clocks.wall(), dvr=camera.name, **fields)

    def die(self, *writers: str) -> None:
        for name in writers or list(self.writers):
            if name in self.writers:
                self.writers.pop(name).close()

    def finish_file(self, camera: Camera) -> None:
        """The recorder reports a file, now and then twice."""
        start, end = camera.file_begun, self.clocks.wall()
        if start is None or end <= start:
            return
        for _ in range(self.random.choice([1, 1, 1, 2])):
            self.writer(f"{camera.name}-recorder").event(
                "footage.recorded", ts=end, dvr=camera.name, start=start, end=end, video=f"/v/{camera.name}/{start}.mp4"
            )
        camera.file_begun = end

    def breaks_off(self, camera: Camera, *, streams: bool) -> None:
        self.finish_file(camera)
        camera.file_begun, camera.streams = None, streams

    def goes_on(self, camera: Camera) -> None:
        camera.file_begun, camera.streams = self.clocks.wall(), True

    # Faults.

    def live(self) -> None:
        """Days with faults. At the end all is well for as long as footage may be late."""
        apart = SIMULATED_DAYS * DAY / 1000 / FAULTS
        kinds = [*OF_A_CAMERA, *OF_THE_DEVICE, "clock_stepped", "clock_set_back"]
        for number in range(FAULTS):
            kind = kinds[number % len(kinds)] if number < len(kinds) else self.random.choice(kinds)
            self.wait(self.random.uniform(QUIET, 2 * (apart - 400) - QUIET))
            self.watch(60)
            self.happen(kind, self.random.uniform(200, 600))
            self.watch(60)
        self.wait(2 * QUIET)

    def happen(self, kind: str, seconds: float) -> None:
        if kind == "clock_set_back":
            self.clocks.set_error(self.clocks.error - seconds)
            return
        start = self.clocks.wall()
        if kind == "clock_stepped":
            hit = self.cameras
            for camera in hit:
                self.breaks_off(camera, streams=True)
            self.clocks.set_error(self.clocks.error + seconds)
        elif kind in OF_THE_DEVICE:
            hit = self.cameras
            for camera in hit:
                self.breaks_off(camera, streams=kind in STORAGE)
            OF_THE_DEVICE[kind](self, seconds)
        else:
            hit = [self.random.choice([one for one in self.cameras if one.has_agent == (kind != "unknown")])]
            self.breaks_off(hit[0], streams=kind == "recorder")
            OF_A_CAMERA[kind](self, hit[0], seconds)
        for camera in hit:
            camera.holes.append((start, self.clocks.wall(), kind))
            self.goes_on(camera)

    # What the ledger makes of it.

    def found(self, camera: Camera) -> list[tuple[float, float, str]]:
        now, plan = milliseconds(self.clocks.wall()), self.settings.footage.get(camera.name)
        since = watched_since(self.store).get(camera.name)
        asked = View(self.store), camera.name, plan, milliseconds(self.begun), now, now, since
        parts = account(*asked).missing
        assert union(part[:2] for part in parts) == union(lost(*asked).missing)
        return [(part.start / 1000, part.end / 1000, part.cause) for part in parts]

    def recordings(self) -> dict[str, Day]:
        """By day and camera. Frames are reported near faults only: of a time that comes twice not all are here."""
        return {key: day for key, day in self.store.docs(DAYS).items() if "\nrecorded\n" in key}

    def counted(self, camera: Camera) -> dict[str, float]:
        values = {cause: self.store.value(FOOTAGE_MISSING, (camera.name, cause)) for cause in CAUSES}
        return {cause: value for cause, value in values.items() if value}


def dvr_down(device: Device, camera: Camera, seconds: float) -> None:
    device.watch(30)
    for _ in range(3):
        device.tell(camera, "dvr.attempt", result="refused", error="Connection refused")
        device.watch((seconds - 30) / 3)
    device.tell(camera, "dvr.attempt", result="ok")


def dvr_frozen(device: Device, camera: Camera, seconds: float) -> None:
    if device.random.random() < 0.5:  # else its read blocks for ever, and it says nothing
        device.watch(20)
        device.tell(camera, "dvr.attempt", result="frozen", error="no frame for 10 s")
    device.watch(seconds - 20)
    device.tell(camera, "dvr.attempt", result="ok")


def agent_crashed(device: Device, camera: Camera, seconds: float) -> None:
    device.die(f"{camera.name}-agent")
    device.watch(seconds)
    device.tell(camera, "dvr.attempt", result="ok")


def agent_stopped(device: Device, camera: Camera, seconds: float) -> None:
    device.tell(camera, "dvr.ended")
    device.die(f"{camera.name}-agent")
    device.watch(seconds)
    device.tell(camera, "dvr.attempt", result="ok")


def recorder(device: Device, camera: Camera, seconds: float) -> None:
    device.die(f"{camera.name}-recorder")
    device.watch(seconds)


def of_storage(state: str) -> Callable[[Device, float], None]:
    def happen(device: Device, seconds: float) -> None:
        device.watch(20)
        device.storage = frozenset({state})
        device.watch(seconds - 40)
        device.storage = None  # nobody knows for a while
        device.watch(10)
        device.storage = frozenset()
        device.watch(10)

    return happen


def power_lost(device: Device, seconds: float) -> None:
    device.kill()
    device.die()
    device.clocks.reboot(seconds - 60, device.clocks.error)
    device.switch_on()
    device.watch(50)


def device_off(device: Device, seconds: float) -> None:
    for camera in device.cameras:
        if camera.has_agent:
            device.tell(camera, "dvr.ended")
    device.look()
    device.die()
    device.stop()
    device.clocks.reboot(seconds - 60, device.clocks.error)
    device.switch_on()
    device.watch(50)


STORAGE = ("storage_missing", "storage_readonly", "ingest_paused")
OF_A_CAMERA: dict[str, Callable[[Device, Camera, float], None]] = {
    "dvr_down": dvr_down,
    "dvr_frozen": dvr_frozen,
    "agent_crashed": agent_crashed,
    "agent_stopped": agent_stopped,
    "recorder": recorder,
    "unknown": recorder,  # the dock has no agent
}
OF_THE_DEVICE: dict[str, Callable[[Device, float], None]] = {
    **{state: of_storage(state) for state in STORAGE},
    "power_lost": power_lost,
    "device_off": device_off,
}
CAUSES = (*OF_A_CAMERA, *OF_THE_DEVICE, "clock_stepped")


def wanted(camera: Camera) -> list[tuple[float, float, str]]:
    """The true holes, of the dock as far as they lie in its hours."""
    if camera.name != "dock":
        return camera.holes
    found = []
    for start, end, cause in camera.holes:
        midnight = start // 86400 * 86400
        for opens in (midnight + OPENING * 3600, midnight + (24 + OPENING) * 3600):
            a, b = max(start, opens), min(end, opens + (CLOSING - OPENING) * 3600)
            found += [(a, b, cause)] if b > a else []
    return found


def is_found(camera: Camera, found: list[tuple[float, float, str]]) -> bool:
    """Each hole within a second of its true edges, with its cause, and no other."""
    truth = wanted(camera)
    return [cause for *_, cause in found] == [cause for *_, cause in truth] and all(
        abs(a - c) <= 1 and abs(b - d) <= 1 for (a, b, _), (c, d, _) in zip(found, truth, strict=True)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In memory, where there is such a place: the disk is not what is tested."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        dir=memory if os.access(memory, os.W_OK) else tmp_path_factory.mktemp("m")
    ) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def settings(folder: Path) -> Settings:
    (folder / "vv.yml").write_text(CONFIG)
    return load({"VV_STATE_DIR": str(folder), "VV_CONFIG": str(folder / "vv.yml")})


@pytest.fixture(scope="module")
def folds() -> Folds:
    return discover()


@pytest.fixture(scope="module")
def steady(folder: Path, folds: Folds, settings: Settings) -> Iterator[Device]:
    """A device whose exporter is never killed but by the power."""
    device = Device(folder / "steady", folds, settings, None)
    device.live()
    yield device
    device.die()
    device.stop()


@pytest.mark.exhaustive
def test_each_hole_of_a_month_is_found_with_its_cause_and_none_is_invented(steady: Device) -> None:
    happened = {cause for camera in steady.cameras for *_, cause in camera.holes}

    assert happened == set(CAUSES)
    for camera in steady.cameras:
        assert is_found(camera, steady.found(camera)), json.dumps([wanted(camera), steady.found(camera)])


@pytest.mark.exhaustive
def test_each_second_that_is_missing_was_counted_once(steady: Device) -> None:
    for camera in steady.cameras:
        truth: dict[str, float] = {}
        for start, end, cause in wanted(camera):
            truth[cause] = truth.get(cause, 0) + end - start
        assert steady.counted(camera) == pytest.approx(truth, abs=len(camera.holes))


@pytest.mark.exhaustive
def test_the_ledger_is_the_same_when_the_exporter_is_killed_at_random(
    folder: Path, folds: Folds, settings: Settings, steady: Device
) -> None:
    device = Device(folder / "killed", folds, settings, random.Random(SEED + 1))
    try:
        device.live()

        assert device.recordings() == steady.recordings()
        for camera, other in zip(device.cameras, steady.cameras, strict=True):
            assert device.found(camera) == steady.found(other)
            assert device.counted(camera) == pytest.approx(steady.counted(other), abs=0.01)
    finally:
        device.die()
        device.stop()
