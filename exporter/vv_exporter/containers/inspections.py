"""Inspections and the Engine's list, folded into the ledger (`ledger.py`): what is certain where events are missing."""

from __future__ import annotations

from vv_exporter.containers.observed import SECOND, Inspection, Listed
from vv_exporter.containers.records import Change, ContainerRecord, Count, Counts, Records, by_id
from vv_exporter.containers.runs import (
    SAME_RUN,
    Step,
    begin_record,
    begin_run,
    count_restart,
    describe,
    end_run,
    find_cause,
    is_probed_before_pause,
    mark_gone,
    rename_record,
    replace,
)
from vv_exporter.metrics.containers import RESTARTS


def fold_inspection(records: Records, inspection: Inspection, since: int, now: float) -> Change:
    """One container as it is now, after all events that came before it; `since` is the time of the last known event.

    A stale inspection (events have shown more) changes nothing.
    """
    record = by_id(records.values(), inspection.id)
    if record is None:
        return _record_first_inspection(records, inspection, since).change()
    if record.name == inspection.name:
        return _fold_known_inspection(record, inspection, now).change()
    renamed = rename_record(records, record, inspection.name)
    step = _fold_known_inspection(renamed.records[inspection.name] or record, inspection, now)
    return Change({**renamed.records, **step.change().records}, step.counts)


def fold_listed(records: Records, listed: Listed, now: float) -> Change:
    """A container as the Engine's list has it, which does not answer an inspection; events do not report it.

    An end is counted by its exit code: whether it was for want of memory the list does not say. A start is counted when
    an event or an inspection shows it.
    """
    record = by_id(records.values(), listed.id)
    if not listed.name or not listed.state:
        return Change({})
    if record is None:
        return Change({listed.name: _record_listed(records, listed)})
    if listed.running:
        wanted = record.wanted if record.running else not record.auto_remove
        return Change({record.name: _show_listed_running(replace(record, wanted=wanted), listed)})
    if record.running and listed.exit_code is not None:
        step = end_run(replace(record, finished=int(now * SECOND), ahead=True), listed.exit_code, oom=False)
        return Step(replace(step.record, state=listed.state), step.counts).change()
    return Change({record.name: replace(record, state=listed.state, health="", streak=0)})


def fold_missing(record: ContainerRecord, now: float) -> Change:
    """The Engine does not have this container any more."""
    return Change({record.name: mark_gone(record, now)})


def _record_first_inspection(records: Records, inspection: Inspection, since: int) -> Step:
    record = describe(begin_record(records, inspection.name, inspection.id), inspection)
    lives = inspection.running or inspection.state == "restarting"
    record = replace(
        record,
        state=inspection.state,
        started=inspection.started,
        finished=inspection.finished,
        restart_count=inspection.policy_restarts,
        health=inspection.health if inspection.state == "running" else "",
        streak=inspection.streak if inspection.state == "running" else 0,
        wanted=(lives and not inspection.auto_remove) or record.wanted,
        ahead=True,
    )
    if not inspection.running and inspection.started:
        record = replace(record, exit_code=inspection.exit_code)
    # What it did before anybody looked is not counted.
    restarts = inspection.policy_restarts if 0 < since < inspection.created else 0
    ended = not inspection.running and 0 < since < inspection.started
    exits = end_run(record, inspection.exit_code, inspection.oom_killed).counts if ended else ()
    record = replace(record, unseen_exit=bool(inspection.started) and not inspection.running and not ended)
    return Step(record, _count_policy_restarts(record.name, restarts) + exits)


def _fold_known_inspection(record: ContainerRecord, inspection: Inspection, now: float) -> Step:
    if record.listed_only:
        record = describe(record, inspection)
    newer = inspection.started > record.started
    stale = record.started - inspection.started >= SAME_RUN or (inspection.running and not record.running)
    if stale and not newer:
        return Step(record)
    record = describe(record, inspection)
    counts: Counts = ()
    if newer:
        record, counts = _fold_missed_start(record, inspection, now)
    if inspection.running:
        if record.state == "paused" and inspection.state == "running":
            record = replace(record, resumed=int(now * SECOND))
        known = inspection.state == "running" and not is_probed_before_pause(record, inspection)
        health, streak = (inspection.health, inspection.streak) if known else ("", 0)
        return Step(replace(record, state=inspection.state, health=health, streak=streak), counts)
    if not record.running:
        return Step(_show_state(record, inspection), counts)
    step = end_run(
        replace(record, finished=inspection.finished, ahead=True), inspection.exit_code, inspection.oom_killed
    )
    return Step(_show_state(step.record, inspection), counts + step.counts)


def _fold_missed_start(record: ContainerRecord, inspection: Inspection, now: float) -> Step:
    by_policy = inspection.policy_restarts
    grown = by_policy - record.restart_count
    started = replace(begin_run(record, inspection.started), restart_count=by_policy, ahead=True)
    if not record.started:
        return Step(started, _count_policy_restarts(record.name, by_policy))
    if grown > 0 and not record.booting:
        return Step(started, _count_policy_restarts(record.name, grown))
    step = count_restart(started, find_cause(record, 0), 1, now)
    return Step(step.record, step.counts + _count_policy_restarts(record.name, by_policy))


def _show_state(record: ContainerRecord, inspection: Inspection) -> ContainerRecord:
    """It does not run; Docker's word for that, and whether an operator wanted it so."""
    came_to_rest = record.state == "restarting" and not record.booting
    if came_to_rest and inspection.overruled and not inspection.error:
        return replace(record, state="exited", stopped=True, wanted=False)
    return replace(record, state=inspection.state)


def _record_listed(records: Records, listed: Listed) -> ContainerRecord:
    record = begin_record(records, listed.name, listed.id)
    lives = listed.running or listed.state == "restarting"
    record = replace(
        record,
        image=listed.image,
        project=listed.project,
        service=listed.service,
        opted=listed.opted,
        place=listed.place,
        state=listed.state,
        exit_code=record.exit_code if listed.exit_code is None else listed.exit_code,
        wanted=lives or record.wanted,
        ahead=not listed.running,  # nobody saw how it ended
        listed_only=True,
    )
    return _show_listed_running(record, listed) if listed.running else record


def _show_listed_running(record: ContainerRecord, listed: Listed) -> ContainerRecord:
    # After a pause the list may show a health check from before it.
    health = "" if listed.state == "paused" else record.health if record.resumed else listed.health
    streak = record.streak if health == "unhealthy" else 0
    return replace(record, state=listed.state, health=health, streak=streak, gone_at=0.0)


def _count_policy_restarts(name: str, amount: int) -> Counts:
    return (Count(RESTARTS, (name, "policy"), amount),) if amount > 0 else ()
