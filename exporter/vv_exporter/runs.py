"""Runs in progress, of stages and of jobs."""

from __future__ import annotations

import msgspec

from vv_exporter.store import Kind


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that started and has not ended. `mono` is CLOCK_MONOTONIC of the boot `boot`, `limit` in seconds."""

    name: str
    component: str
    writer: str
    started: float
    mono: float = 0.0
    boot: str = ""
    video: str = ""
    limit: float | None = None
    overdue: bool = False

    def age(self, now: float, mono: float, boot: str) -> float:
        """Seconds since the start: by the monotonic clock within one boot, so that a changed clock does not matter."""
        if self.mono and self.boot == boot:
            return max(0.0, mono - self.mono)
        return max(0.0, now - self.started)


STAGE_RUNS: Kind[Run] = Kind("stage_run", Run)
JOB_RUNS_OPEN: Kind[Run] = Kind("job_run", Run)
OPEN_RUNS = (STAGE_RUNS, JOB_RUNS_OPEN)


def boot_id() -> str:
    """The kernel's id of this boot (proc(5), /proc/sys/kernel/random/boot_id); empty where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""
