"""The emulated device: switched on, asked, unplugged, and cut off from its power.

with Machine(folder) as machine:
    machine.boot()
    machine.check("systemctl is-active vv-exporter")
    machine.cut()
"""

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.field import disk
from tests.support.exporter import samples
from tests.support.waiting import wait_until
from vv_exporter.stack.processes import Child

BOOT, WAIT, COMMAND = 900, 300, 120
"""Seconds for a boot, for what a test waits for, for a command: also on a slow machine that does other things."""
PAUSE = 0.5
"""Seconds between two looks: the device has better things to do."""

_KERNEL = (
    "root=/dev/vda rw console=ttyS0 panic=-1 audit=0 quiet systemd.show_status=0 "
    "mitigations=off "  # of faults that no emulator has: each system call would cost several times as much
    "systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900"
)


@dataclass(frozen=True)
class Done:
    """How a command on the device ended."""

    code: int
    output: str


class Machine:
    """A device with three disks: the system's, the state's (`/var/lib/vv`) and the videos' (`/srv/video`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.boots: list[float] = []
        """Seconds that each boot took."""
        self._starts = len(list(folder.glob("told-*")))
        self._videos = True
        self._emulator: Child | None = None
        self._agent: socket.socket | None = None
        self._number = 0
        self._answers = b""
        self.is_saved = (folder / "system.qcow2").exists()
        """Whether the folder has a device of before."""
        if self.is_saved:
            return
        folder.mkdir(exist_ok=True)
        base = disk.ensure()
        self._image("create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(folder / "system.qcow2"))
        for name, size in (("state", "192M"), ("videos", "64M")):
            raw = folder / f"{name}.img"
            subprocess.run(["mke2fs", "-q", "-t", "ext4", str(raw), size], check=True)
            self._image("convert", "-O", "qcow2", str(raw), str(folder / f"{name}.qcow2"))
            raw.unlink()

    @property
    def told(self) -> Path:
        """What the writer on the device said of its alerts since the device was switched on last."""
        return self.folder / f"told-{self._starts}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def boot(self, *, clock: datetime | None = None, videos: bool = True) -> None:
        """Switch it on, with what its clock shows (UTC), with or without the videos' disk, until it answers."""
        self._videos = videos
        began = time.monotonic()
        self._start("-rtc", f"base={(clock or datetime.now(UTC)):%Y-%m-%dT%H:%M:%S},clock=vm")
        self.boots.append(time.monotonic() - began)

    def save(self, name: str) -> None:
        """Keep it as it is now, its memory and its disks, for `restore`; it goes on."""
        said = self.monitor(f"savevm {name}")
        assert not said, said

    def restore(self, name: str) -> None:
        """Go on from what `save` has kept, as if nothing had been since; switched on if it is off."""
        self.cut()
        self._start("-loadvm", name)

    @property
    def is_on(self) -> bool:
        """Whether it can be asked something."""
        return self._agent is not None

    def cut(self) -> None:
        """Take its power away: what the device had not written to its disks is lost."""
        if self._emulator is not None:
            self._emulator.kill()
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def _start(self, *options: str) -> None:
        self._starts += 1
        for name in ("agent", "qmp"):
            (self.folder / name).unlink(missing_ok=True)
        self._emulator = Child(
            "emulator", [*self._command(), *options], self.folder / "console", env=disk.environment()
        )
        self._emulator.start()
        wait_until((self.folder / "qmp").exists, 60, what="the emulator")
        self._agent = socket.socket(socket.AF_UNIX)
        self._agent.connect(str(self.folder / "agent"))
        self._answers = b""
        end = time.monotonic() + BOOT
        while not self._answers_at_all():
            assert self._emulator.exit_code() is None, f"the emulator ended:\n{self._emulator.tail(30)}"
            assert time.monotonic() < end, f"the device does not answer:\n{self._emulator.tail(30)}"

    def run(self, command: str, timeout: float = COMMAND) -> Done:
        """Run a shell command there, as root."""
        return self._ask({"command": command, "timeout": timeout}, timeout + 60)

    def check(self, command: str, timeout: float = COMMAND) -> str:
        """Run a shell command that must succeed; its output."""
        done = self.run(command, timeout)
        assert done.code == 0, f"{command}\n{done.output}"
        return done.output.strip()

    def get(self, path: str) -> str:
        """What the exporter there answers. Raises `OSError` where it does not, as while it is restarted."""
        done = self._ask({"get": path}, 90)
        if done.code != 0:
            raise OSError(done.output)
        return done.output

    def metrics(self) -> dict[str, float]:
        """All samples of the exporter, by name with labels in alphabetical order."""
        return samples(self.get("/metrics"))

    def now(self) -> float:
        """What its clock shows (Unix seconds)."""
        return float(self.check("date +%s.%N"))

    def set_clock(self, to: float) -> None:
        """Set its clock (Unix seconds) by more than a few seconds, and wait until the exporter has noticed."""
        step = f'vv_clock_steps_total{{direction="{"forward" if to > self.now() else "back"}"}}'
        steps = self.metrics().get(step, 0.0)
        self.check(f"date -u -s @{to:.0f}")
        self.wait_for(step, steps + 1)

    def moments(self) -> dict[str, float]:
        """What the exporter's timeline holds: titles and when it was last (Unix seconds)."""
        found = json.loads(self.get("/api/v1/timeline?since=&limit=1000"))["moments"]
        return {moment["title"]: moment["time"] for moment in reversed(found)}

    def wait_for(self, sample: str, value: float, timeout: float = WAIT) -> None:
        """Wait until the exporter shows the sample so."""
        shown: float | None = None

        def is_shown() -> bool:
            nonlocal shown
            shown = self.metrics().get(sample)
            return shown == value

        try:
            self.wait_until(is_shown, timeout, f"{sample} {value:g}")
        except AssertionError as error:
            error.add_note(f"at last it was {shown}")
            raise

    def wait(self, command: str, timeout: float = WAIT) -> str:
        """Run a shell command again and again until it succeeds; its output."""
        done = Done(-1, "")

        def succeeded() -> bool:
            nonlocal done
            done = self.run(command)
            return done.code == 0

        try:
            self.wait_until(succeeded, timeout, command)
        except AssertionError as error:
            error.add_note(f"at last it said: {done.output[-2000:]}")
            raise
        return done.output.strip()

    def monitor(self, line: str) -> str:
        """A command of the emulator's monitor: https://www.qemu.org/docs/master/system/monitor.html."""
        return str(self.qmp("human-monitor-command", **{"command-line": line})).strip()

    def qmp(self, execute: str, **arguments: Any) -> Any:
        """Ask the emulator for something: https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html."""
        answer: dict[str, Any] = {}
        with socket.socket(socket.AF_UNIX) as control, control.makefile("rw") as lines:
            control.connect(str(self.folder / "qmp"))
            lines.readline()
            for request in ({"execute": "qmp_capabilities"}, {"execute": execute, "arguments": arguments}):
                lines.write(json.dumps(request) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                while "event" in answer:
                    answer = json.loads(lines.readline())
                assert "error" not in answer, answer
        return answer["return"]

    @contextlib.contextmanager
    def state(self, name: str) -> Iterator[Path]:
        """What is on the state's disk, of which a copy is mounted; the kernel replays its journal as at a boot."""
        copy, mounted = self.folder / f"{name}.img", self.folder / name
        self._image("convert", "-O", "raw", str(self.folder / "state.qcow2"), str(copy))
        mounted.mkdir()
        subprocess.run(["mount", "-o", "loop", str(copy), str(mounted)], check=True)
        try:
            yield mounted
        finally:
            subprocess.run(["umount", "--lazy", str(mounted)], check=True)
            copy.unlink()

    def _command(self) -> list[str]:
        fetched = disk.HOME / "tools/usr/share"
        command = ["qemu-system-x86_64", "-L", f"{fetched}/qemu", "-L", f"{fetched}/seabios"]
        found = shutil.which(command[0], path=disk.environment()["PATH"])
        assert found is not None
        command[0] = found
        command += ["-accel", "tcg,tb-size=512", "-icount", "shift=2", "-cpu", "max", "-m", "1024"]
        command += ["-display", "none", "-serial", "stdio", "-no-reboot"]
        command += ["-kernel", f"{disk.HOME}/vmlinuz", "-initrd", f"{disk.HOME}/initrd.img"]
        command += ["-append", _KERNEL]
        for name in ("system", "state", "videos"):
            command += ["-drive", f"id={name},file={self.folder / name}.qcow2,format=qcow2,if=none"]
            if name == "videos" and not self._videos:
                continue
            command += ["-device", f"virtio-blk-pci,id={name}-disk,drive={name},serial={name}"]
        command += ["-device", "virtio-serial"]
        command += ["-chardev", f"socket,id=agent,path={self.folder}/agent,server=on,wait=off"]
        command += ["-device", "virtserialport,chardev=agent,name=field.agent"]
        command += ["-chardev", f"file,id=told,path={self.told},append=on"]
        command += ["-device", "virtserialport,chardev=told,name=field.writer"]
        command += ["-qmp", f"unix:{self.folder}/qmp,server=on,wait=off"]
        command += ["-netdev", "user,id=net", "-device", "virtio-net-pci,id=nic,netdev=net,romfile="]
        return command

    def _image(self, *arguments: str) -> None:
        subprocess.run(["qemu-img", *arguments], env=disk.environment(), check=True)

    def _answers_at_all(self) -> bool:
        """To be asked again and again: what is written before the device's end is open is lost."""
        try:
            return self._ask({"command": "true", "timeout": 10}, 2).code == 0
        except TimeoutError:
            return False
        except (OSError, EOFError):
            time.sleep(0.1)
            return False

    def wait_until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait for a condition of the device, and leave it time for its own work."""

        def seen() -> bool:
            time.sleep(PAUSE)
            return condition()

        wait_until(seen, timeout, what=what)

    def _ask(self, request: dict[str, Any], patience: float) -> Done:
        assert self._agent is not None
        self._number += 1
        self._agent.settimeout(patience)
        self._agent.sendall(json.dumps({"id": self._number, **request}).encode() + b"\n")
        while True:
            while b"\n" not in self._answers:
                received = self._agent.recv(65536)
                if not received:
                    raise EOFError("the emulator ended")
                self._answers += received
            line, _, self._answers = self._answers.partition(b"\n")
            answer = json.loads(line)
            if answer["id"] == self._number:  # others were given up
                return Done(answer["code"], answer["output"])
