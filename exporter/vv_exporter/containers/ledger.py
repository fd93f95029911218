"""The ledger of containers: events and inspections go in, exact counts by cause come out. No I/O, no clock.

Each container *name* has one record; recreation gives the record a new id, and the counts go on. Everything here is a
function of records and one observation; its result is a `Change`, which is written together with its counts.

**A restart** is every start of a container but its first. (A recreated container is a new one: its first start is
none.) Its cause:

============== ====================================================================================================
`policy`       Docker's restart policy. `RestartCount` of an inspection of the same run says so (Docker adds to it
               for each such restart, and sets it to 0 for every other start); where the run is over already: it
               ended by itself, and the policy covers that.
`daemon`       The Engine came back and the policy let it start the container.
`self_monitor` Started through the API, and the self-monitor had announced it.
`manual`       Started through the API, and nobody had. Known `CLAIM_WAIT` seconds after the start.
============== ====================================================================================================

**An exit** is counted from its `die` event: `oom` when killed for memory, `ok` for code 0, `signal` for 128 + a signal,
`error` for the rest. `docker kill` and `docker stop` end with a signal, too.

**Gaps.** The Engine replays up to 256 events; if it still has what was missed, nothing was. Otherwise inspections show
what is certain, and no more is counted (S is `State.StartedAt`, n is `RestartCount` less one that did not come, both
against the record):

=============================== ===================================================================================
S the same, running → ended     1 exit, by the code that the inspection shows
S newer, n grown, no new Engine as many `policy` restarts as n grew
S newer, n not grown            1 restart through the API (`daemon` if the Engine is a new one and the policy allows
                                it), and n by `policy`
…and ended                      in addition 1 exit, by its code; exits in between left no trace
new id, created in the gap      n `policy` restarts, and 1 exit if it does not run
=============================== ===================================================================================

An event and an inspection may report the same twice, in either order. Events come in order, so they need no check among
themselves; but within one moment order is no promise: `die` and `stop` of one `docker stop` come in either. A record
that an inspection has moved is `ahead`: an event that it covers already (older than its last change, or its very start)
is passed over, once.

**A new Engine** (restarted or crashed): on its way down it sends `kill`, `die` and `stop` exactly as for `docker stop`,
after a crash it does so for leftovers on its way up. `engine_restarted` marks all records: until the first complete
inspection afterwards a `stop` is not an operator's and a start that the policy allows is `daemon`. Stops of the old
Engine's last moments are taken back.

**An Engine that does not answer an inspection** of one container shows it by events, which are enough, and by its
state in the list where there were none (`fold_listed`). That is shown; what a later inspection can show (restarts, by
whom) is counted then. A container that was never inspected is `listed_only`: its restart policy and whether it removes
itself are not known.

**The self-monitor** announces a restart *before* it asks the Engine for it. Its event `container.restarting` becomes a
`Claim`; `settle` matches it with the next start through the API of that container within `CLAIM_REACH` seconds.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping

from vv_exporter.containers.observed import PROJECT_LABEL, SECOND, SERVICE_LABEL, Event, Inspection, place_of
from vv_exporter.containers.records import Change, Claim, ContainerRecord, Count, Counts, Held, Records, by_id, slot_of
from vv_exporter.containers.runs import (
    CLAIM_WAIT,
    SAME_RUN,
    Step,
    begin_record,
    begin_run,
    count_restart,
    describe,
    end_run,
    exit_reason,
    find_cause,
    is_probed_before_pause,
    mark_gone,
    rename_record,
    replace,
)
from vv_exporter.metrics.containers import EXITS, OOM_KILLS, RESTARTS

CLAIM_REACH = 120.0  # seconds from a claim to the start: a stop may take its whole grace
_OOM_REACH = 10 * SECOND  # between the oom event and the death
_KILL_REACH = 60 * SECOND  # between an operator's signal and the death that it caused
_SHUTDOWN_REACH = 60 * SECOND  # an Engine's way down: 15 s, or the longest grace of a container
_SHUTDOWN_SPREAD = 2 * SECOND  # it signals all containers at once
_HARMLESS_SIGNALS = frozenset(
    str(number.value) for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT)
)
_LATE_OOM = 2 * SECOND


def fold_event(
    records: Records, event: Event, inspection: Inspection | None, now: float, *, unanswered: bool = False
) -> Change:
    """One event, with an inspection of the container made after it where there is one; `now` in Unix seconds.

    Without one the container is gone already, or (`unanswered`) the Engine does not answer about it.
    """
    record = by_id(records.values(), event.id)
    if event.action == "start":
        was = record or _begin_record_of(records, event, inspection, unanswered)
        step = _fold_start(was, event, inspection, now)
        again = _slot_started_again(records, step.record) if not was.started else ()
        return Step(step.record, (*step.counts, *again)).change()
    if record is None:
        return Change({})
    if record.ahead and event.time < max(record.started, record.finished):
        if event.action == "stop" and record.started <= event.time and not record.booting:
            return Change({record.name: _stop_by_operator(record)})  # no inspection can show who ended this run
        return Change({}, _count_earlier_exit(record, event))
    if event.action == "rename":
        return rename_record(records, record, event.name)
    if event.action == "die":
        return _fold_exit(record, event, inspection).change()
    if event.action == "oom":
        return _fold_oom(record, event).change()
    return Change({record.name: _fold_other(record, event, inspection, now)})


def engine_restarted(records: Iterable[ContainerRecord], lost: int | None) -> Change:
    """The Engine is a new one; `lost` is when the old one's event stream ended, None if that was not witnessed."""
    every = list(records)
    last_signal = max((record.killed for record in every), default=0)
    witnessed = lost is not None and last_signal >= lost - _SHUTDOWN_REACH
    changed: dict[str, ContainerRecord | None] = {}
    for record in every:
        by_engine = witnessed and record.stopped and record.killed >= last_signal - _SHUTDOWN_SPREAD
        changed[record.name] = replace(
            record,
            booting=True,
            stopped=record.stopped and not by_engine,
            wanted=record.wanted or (by_engine and not record.auto_remove),
        )
    return Change(changed)


def engine_settled(records: Iterable[ContainerRecord]) -> Change:
    """All containers were inspected since the Engine came up."""
    return Change({record.name: replace(record, booting=False) for record in records if record.booting})


def supersede(records: Iterable[ContainerRecord]) -> Change:
    """What does not run, and whose place a later container has taken, is expected no more: that one is."""
    every = list(records)
    taken: dict[str, int] = {}
    for record in every:
        if record.place and record.running:
            taken[record.place] = max(record.started, taken.get(record.place, 0))
    return Change(
        {
            record.name: replace(record, wanted=False)
            for record in every
            if record.wanted and not record.running and taken.get(record.place, -1) >= record.started
        }
    )


def settle(records: Iterable[ContainerRecord], claims: Mapping[str, Claim], now: float) -> tuple[Change, list[str]]:
    """Decide who made the starts through the API; also gives the keys of the claims that are used up or too old."""
    unused = {key: claim for key, claim in claims.items() if now - max(claim.at, claim.noted) <= 2 * CLAIM_REACH}
    changed: dict[str, ContainerRecord | None] = {}
    counts: list[Count] = []
    for record in records:
        waiting: list[Held] = []
        for held in record.held:
            key = next((key for key, claim in unused.items() if _is_announced_by(claim, held)), None)
            if key is not None:
                del unused[key]
                counts.append(Count(RESTARTS, (record.name, "self_monitor")))
            elif not 0 < held.until - now <= CLAIM_WAIT:  # it is over, or the clock was set
                counts.append(Count(RESTARTS, (record.name, "manual")))
            else:
                waiting.append(held)
        if len(waiting) < len(record.held):
            changed[record.name] = replace(record, held=tuple(waiting))
    return Change(changed, tuple(counts)), [key for key in claims if key not in unused]


def _is_announced_by(claim: Claim, held: Held) -> bool:
    return claim.container == held.container and 0 <= held.time / SECOND - claim.at <= CLAIM_REACH


def _slot_started_again(records: Records, task: ContainerRecord) -> Counts:
    """A task that takes the place of one that ended by itself: for a swarm that is what a restart is.

    A swarm stops with a signal what it replaces on purpose, as an update does.
    """
    slot = slot_of(task.place)
    earlier = [one for one in records.values() if one.place == task.place and one.id != task.id and one.started]
    last = max(earlier, key=lambda one: one.started, default=None)
    ended = last is not None and not (last.running or last.stopped or last.killed)
    return (Count(RESTARTS, (slot, "policy")),) if slot and ended else ()


def _begin_record_of(
    records: Records, event: Event, inspection: Inspection | None, unanswered: bool
) -> ContainerRecord:
    if inspection is not None:
        return describe(begin_record(records, inspection.name, inspection.id), inspection)
    # Nothing is known of its policy. If it is gone already: as if it had been run with --rm.
    return replace(
        begin_record(records, event.name, event.id),
        image=event.attributes.get("image", ""),
        project=event.attributes.get(PROJECT_LABEL, ""),
        service=event.attributes.get(SERVICE_LABEL, ""),
        place=place_of(event.attributes),
        auto_remove=not unanswered,
        listed_only=unanswered,
    )


def _fold_start(record: ContainerRecord, event: Event, inspection: Inspection | None, now: float) -> Step:
    run = inspection if inspection and 0 <= event.time - inspection.started < SAME_RUN else None
    if _is_start_known(record, event, run):
        return Step(replace(record, ahead=record.ahead and not record.running))
    first = not record.started and (not record.listed_only or record.state == "created")
    if inspection is not None:
        record = describe(record, inspection)
    count = run.policy_restarts if run and not run.overruled else None
    cause = find_cause(record, count)
    restarts = max(1, count - record.restart_count) if count and cause == "policy" else 1
    if count is None:  # what Docker's own count must be: every start but the policy's sets it to 0
        count = record.restart_count + 1 if cause == "policy" else 0
    started = replace(begin_run(record, run.started if run else event.time), restart_count=count)
    if run and run.running:
        started = replace(started, health=run.health, streak=run.streak)
    return Step(started) if first else count_restart(started, cause, restarts, now)


def _is_start_known(record: ContainerRecord, event: Event, run: Inspection | None) -> bool:
    """Whether an inspection, or this event in an earlier stream, has shown this start."""
    if run is not None and run.started == record.started:
        return True
    if not record.ahead:  # events come in order; a clock that was set back does not hide them
        return False
    if run is not None:
        return run.started < record.started
    covers = record.running and event.time - record.started < SAME_RUN
    return covers or event.time < max(record.started, record.finished)


def _fold_exit(record: ContainerRecord, event: Event, inspection: Inspection | None) -> Step:
    code = _exit_code(event)
    if not record.running:
        counts = (Count(EXITS, (record.name, exit_reason(code, oom=False))),) if record.unseen_exit else ()
        return Step(replace(record, ahead=False, unseen_exit=False), counts)
    final = inspection if inspection and not inspection.running and inspection.finished <= event.time else None
    limit_met = 0 <= event.time - record.oom < _OOM_REACH
    signalled = 0 <= event.time - record.killed < _KILL_REACH
    flagged = final is not None and final.oom_killed and code == 128 + signal.SIGKILL
    oom = code != 0 and not signalled and (limit_met or flagged)
    return end_run(replace(record, finished=event.time, ahead=False), code, oom)


def _count_earlier_exit(record: ContainerRecord, event: Event) -> Counts:
    """An inspection showed the restart, but could not show the exit before it."""
    if event.action != "die" or event.time >= record.started:
        return ()
    return (Count(EXITS, (record.name, exit_reason(_exit_code(event), oom=False))),)


def _exit_code(event: Event) -> int:
    return int(event.attributes.get("exitCode", 0))


def _fold_oom(record: ContainerRecord, event: Event) -> Step:
    if record.running:
        return Step(replace(record, oom=event.time))
    # With cgroup v2 the event may come after the death that it explains.
    late = 0 <= event.time - record.finished < _LATE_OOM and record.exit_code == 128 + signal.SIGKILL
    if not late or record.oom_counted or record.killed:
        return Step(record)
    return Step(replace(record, oom_counted=True), (Count(OOM_KILLS, (record.name,)),))


def _fold_other(record: ContainerRecord, event: Event, inspection: Inspection | None, now: float) -> ContainerRecord:
    if event.action == "destroy":
        return mark_gone(record, now)
    if event.action == "stop" and not record.booting:
        return _stop_by_operator(record)
    if event.action == "update" and inspection is not None:
        return describe(record, inspection)
    if not record.running:
        return record
    if event.action == "kill" and _ends_container(event.attributes.get("signal", "")):
        return replace(record, killed=record.killed or event.time)
    if event.action == "pause":
        return replace(record, state="paused", health="", streak=0)
    if event.action == "unpause":
        return replace(record, state="running", resumed=event.time)
    if event.action == "health_status":
        return _fold_health(record, event, inspection)
    return record


def _stop_by_operator(record: ContainerRecord) -> ContainerRecord:
    """A container that still runs waits for its death: Docker 20.10 reports that before the stop, 28.5 after it."""
    stopped = replace(record, stopped=True, wanted=False)
    return stopped if record.running else replace(stopped, state="exited", health="", streak=0)


def _ends_container(number: str) -> bool:
    return number not in _HARMLESS_SIGNALS


def _fold_health(record: ContainerRecord, event: Event, inspection: Inspection | None) -> ContainerRecord:
    if record.state == "paused" or (inspection is not None and is_probed_before_pause(record, inspection)):
        return record
    health = event.attributes.get("detail", "")
    streak = 0 if health == "healthy" else record.streak
    if inspection is not None and inspection.health == health and inspection.running:
        streak = inspection.streak
    return replace(record, health=health, streak=streak)
