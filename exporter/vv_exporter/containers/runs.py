"""A run of a container, from start to end: what events (`ledger.py`) and inspections (`inspections.py`) do alike."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from vv_exporter.containers.observed import SECOND, Inspection
from vv_exporter.containers.records import GONE, Change, ContainerRecord, Count, Counts, Held, Records
from vv_exporter.metrics.containers import EXITS, OOM_KILLS, RESTARTS

CLAIM_WAIT = 5.0  # seconds that a start through the API waits for the self-monitor's claim (journal: 0.25 s)
SAME_RUN = 10 * SECOND  # between State.StartedAt and the start event: the Engine saves its state to disk in between
_LAST_SIGNAL = 64
replace = msgspec.structs.replace


class Step(NamedTuple):
    """One record after one observation, and what is to be counted."""

    record: ContainerRecord
    counts: Counts = ()

    def change(self) -> Change:
        """It as a change."""
        return Change({self.record.name: self.record}, self.counts)


def begin_record(records: Records, name: str, container: str) -> ContainerRecord:
    """The record of a container that was not known, which may have the name of one that was."""
    old = records.get(name)
    if old is None:
        return ContainerRecord(name=name, id=container)
    return ContainerRecord(
        name=name, id=container, wanted=old.wanted, exit_code=old.exit_code, held=old.held, booting=old.booting
    )


def describe(record: ContainerRecord, inspection: Inspection) -> ContainerRecord:
    """How the container was made: image, place, restart policy."""
    if record.listed_only:  # what it did before it could be inspected is not counted
        record = replace(
            record,
            listed_only=False,
            started=record.started or inspection.started,
            restart_count=inspection.policy_restarts,
            wanted=record.wanted and not inspection.auto_remove,
        )
    return replace(
        record,
        image=inspection.image,
        project=inspection.project,
        service=inspection.service,
        opted=inspection.opted,
        place=inspection.place,
        policy=inspection.policy,
        max_retries=inspection.max_retries,
        auto_remove=inspection.auto_remove,
    )


def find_cause(record: ContainerRecord, policy_restarts: int | None) -> str:
    """Why it started; `policy_restarts` as an inspection of this run shows it, None if there is none."""
    if policy_restarts:
        return "policy"
    covered = policy_covers(record)
    if record.booting:
        return "daemon" if covered or record.policy == "always" else "api"
    return "policy" if policy_restarts is None and covered else "api"


def policy_covers(record: ContainerRecord) -> bool:
    """Whether Docker's policy starts it again after its last end."""
    if record.policy == "no" or record.stopped or (record.killed and not record.booting):
        return False
    if record.policy == "on-failure":
        exhausted = 0 < record.max_retries <= record.restart_count
        return not exhausted and (record.running or record.exit_code != 0)
    return True


def begin_run(record: ContainerRecord, time: int) -> ContainerRecord:
    """It runs since a time (nanoseconds): nothing of an earlier run says anything of this one."""
    return replace(
        record,
        state="running",
        started=time,
        health="",
        streak=0,
        wanted=not record.auto_remove,
        stopped=False,
        killed=0,
        oom=0,
        oom_counted=False,
        resumed=0,
        ahead=False,
        unseen_exit=False,
        booting=False,
        gone_at=0.0,
    )


def count_restart(record: ContainerRecord, cause: str, amount: int, now: float) -> Step:
    """Count restarts; one through the API waits for a claim."""
    if cause == "api":
        held = Held(record.id, record.started, now + CLAIM_WAIT)
        return Step(replace(record, held=(*record.held, held)))
    return Step(record, (Count(RESTARTS, (record.name, cause), amount),))


def end_run(record: ContainerRecord, code: int, oom: bool) -> Step:
    """It ended with an exit code; `oom`: killed for memory."""
    ended = replace(record, state="exited", exit_code=code, health="", streak=0, oom_counted=oom)
    comes_back = policy_covers(ended)
    finished = code == 0 and not (comes_back or record.killed or record.booting)
    ended = replace(ended, state="restarting" if comes_back else "exited", wanted=record.wanted and not finished)
    exits = Count(EXITS, (record.name, exit_reason(code, oom)))
    return Step(ended, (exits, Count(OOM_KILLS, (record.name,))) if oom else (exits,))


def exit_reason(code: int, oom: bool) -> str:
    """One of `REASONS`."""
    if oom:
        return "oom"
    if code == 0:
        return "ok"
    return "signal" if 128 < code <= 128 + _LAST_SIGNAL else "error"


def is_probed_before_pause(record: ContainerRecord, inspection: Inspection) -> bool:
    """Whether no health check was begun since the container went on after a pause.

    One that the pause interrupts has failed, whatever the container is like; the next one comes an interval later.
    """
    return inspection.probed is not None and inspection.probed < record.resumed


def rename_record(records: Records, record: ContainerRecord, name: str) -> Change:
    """It has another name now, and takes over what is known of that name."""
    old = records.get(name)
    if name == record.name:
        return Change({})
    moved = replace(record, name=name)
    if old is not None:
        exit_code = old.exit_code if record.exit_code is None else record.exit_code
        moved = replace(moved, wanted=record.wanted or old.wanted, exit_code=exit_code, held=old.held + record.held)
    return Change({record.name: None, name: moved})


def mark_gone(record: ContainerRecord, now: float) -> ContainerRecord:
    """The Engine does not have it any more, at a time in Unix seconds."""
    return replace(
        record,
        state=GONE,
        health="",
        streak=0,
        gone_at=now,
        ahead=False,
        wanted=record.wanted and not record.auto_remove and not record.listed_only,
    )
