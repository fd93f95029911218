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

**Gaps.** The Engine replays up to 256 events; if it still has what was missed, nothing was. Otherwise inspections tell
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

An event and an inspection may tell the same twice, in either order. Events come in order, so they need no check among
themselves; but within one moment order is no promise: `die` and `stop` of one `docker stop` come in either. A record
that an inspection has moved is `ahead`: an event that it covers already (older than its last change, or its very start)
is passed over, once.

**A new Engine** (restarted or crashed): on its way down it sends `kill`, `die` and `stop` exactly as for `docker stop`,
after a crash it does so for leftovers on its way up. `engine_restarted` marks all records: until the first complete
inspection afterwards a `stop` is not an operator's and a start that the policy allows is `daemon`. Stops of the old
Engine's last moments are taken back.

**An Engine that does not answer an inspection** of one container tells of it by events, which are enough, and by its
state in the list where there were none (`fold_listed`). That is shown; what a later inspection can tell (restarts, by
whom) is counted then. A container that was never inspected is `listed_only`: its restart policy and whether it removes
itself are not known.

**The self-monitor** announces a restart *before* it asks the Engine for it. Its event `container.restarting` becomes a
`Claim`; `settle` matches it with the next start through the API of that container within `CLAIM_REACH` seconds.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from vv_exporter.common.times import UnixTime
from vv_exporter.containers.observed import (
    PROJECT_LABEL,
    RUNNING_STATES,
    SECOND,
    SERVICE_LABEL,
    SWARM_PLACE,
    Event,
    Inspection,
    Listed,
    place_of,
)
from vv_exporter.metrics import Labels, Metric
from vv_exporter.metrics.containers import EXITS, OOM_KILLS, RESTARTS
from vv_exporter.metrics.self_monitor import SUPERVISED_RESTARTS
from vv_exporter.state.store import Kind

CAUSES = ("policy", "self_monitor", "manual", "daemon")
REASONS = ("ok", "error", "signal", "oom")
GONE = "gone"
CLAIM_WAIT = 5.0  # seconds that a start through the API waits for the self-monitor's claim (journal: 0.25 s)
CLAIM_REACH = 120.0  # seconds from a claim to the start: a stop may take its whole grace
_SAME_RUN = 10 * SECOND  # between State.StartedAt and the start event: the Engine saves its state to disk in between
_OOM_REACH = 10 * SECOND  # between the oom event and the death
_KILL_REACH = 60 * SECOND  # between an operator's signal and the death that it caused
_SHUTDOWN_REACH = 60 * SECOND  # an Engine's way down: 15 s, or the longest grace of a container
_SHUTDOWN_SPREAD = 2 * SECOND  # it signals all containers at once
_HARMLESS_SIGNALS = frozenset(
    str(number.value) for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT)
)
_LATE_OOM = 2 * SECOND
_LAST_SIGNAL = 64
replace = msgspec.structs.replace


class Held(msgspec.Struct, frozen=True):
    """A start of a container through the API (nanoseconds) whose cause is decided at `until` (Unix seconds)."""

    container: str
    time: int
    until: float


class ContainerRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of the container that has or had this name. Times are nanoseconds of the Engine's clock."""

    name: str
    id: str
    image: str = ""
    project: str = ""
    service: str = ""
    opted: str = ""
    place: str = ""
    policy: str = "no"
    max_retries: int = 0
    auto_remove: bool = False
    state: str = "created"
    health: str = ""
    streak: int = 0
    exit_code: int | None = None
    started: int = 0
    finished: int = 0
    restart_count: int = 0
    """Restarts by policy since the last start of another kind."""
    wanted: bool = False
    """It was seen running, and neither an operator nor its own success has ended it."""
    stopped: bool = False
    """By an operator, since its last start."""
    killed: int = 0
    """When it was first sent a signal that ends it, since its last start."""
    oom: int = 0
    """When it last met its memory limit, since its last start."""
    oom_counted: bool = False
    """Whether its last death was counted as one for want of memory."""
    resumed: int = 0
    """When it was last seen to go on after a pause, since its last start: health checks from before say nothing."""
    ahead: bool = False
    unseen_exit: bool = False
    """It had ended when it was first looked at, and that was not counted: its event, if one comes, is."""
    booting: bool = False
    listed_only: bool = False
    """The Engine has not answered an inspection of it yet."""
    gone_at: UnixTime = 0.0
    """Unix seconds."""
    held: tuple[Held, ...] = ()

    @property
    def running(self) -> bool:
        """Whether its main process lives."""
        return self.state in RUNNING_STATES


class Claim(msgspec.Struct, frozen=True):
    """The self-monitor's word that it is about to restart a container (full id) at a time (Unix seconds).

    `noted` is when the word came: after a day without the exporter, long after.
    """

    container: str
    at: UnixTime
    noted: UnixTime = 0.0


MAX_CLAIMS = 1000  # they are settled within minutes
CONTAINERS: Kind[ContainerRecord] = Kind("container", ContainerRecord)
CLAIMS: Kind[Claim] = Kind("container_claim", Claim, MAX_CLAIMS, SUPERVISED_RESTARTS)
Records = Mapping[str, ContainerRecord]


class Count(NamedTuple):
    """An amount to be added to a counter."""

    metric: Metric
    labels: Labels
    amount: int = 1


Counts = tuple[Count, ...]


class Change(NamedTuple):
    """New records by name (None: forgotten), and what is to be counted."""

    records: Mapping[str, ContainerRecord | None]
    counts: Counts = ()


class _Step(NamedTuple):
    """One record after one observation, and what is to be counted."""

    record: ContainerRecord
    counts: Counts = ()

    def change(self) -> Change:
        return Change({self.record.name: self.record}, self.counts)


def all_series(name: str) -> tuple[tuple[Metric, Labels], ...]:
    """The counters of a container; they begin at 0 with its record."""
    return (
        *((RESTARTS, (name, cause)) for cause in CAUSES),
        *((EXITS, (name, reason)) for reason in REASONS),
        (OOM_KILLS, (name,)),
    )


def slot_series(place: str) -> tuple[tuple[Metric, Labels], ...]:
    """The counters of a swarm's slot, under its own name: each of its tasks has another, and never starts again."""
    name = _slot_of(place)
    return tuple((RESTARTS, (name, cause)) for cause in CAUSES) if name else ()


def _slot_of(place: str) -> str:
    return place.removeprefix(SWARM_PLACE) if place.startswith(SWARM_PLACE) else ""


def _slot_started_again(records: Records, task: ContainerRecord) -> Counts:
    """A task that takes the place of one that ended by itself: for a swarm that is what a restart is.

    A swarm stops with a signal what it replaces on purpose, as an update does.
    """
    slot = _slot_of(task.place)
    earlier = [one for one in records.values() if one.place == task.place and one.id != task.id and one.started]
    last = max(earlier, key=lambda one: one.started, default=None)
    ended = last is not None and not (last.running or last.stopped or last.killed)
    return (Count(RESTARTS, (slot, "policy")),) if slot and ended else ()


def by_id(records: Iterable[ContainerRecord], container: str) -> ContainerRecord | None:
    """The record of a container that the Engine has."""
    return next((record for record in records if record.id == container and record.state != GONE), None)


def fold_event(
    records: Records, event: Event, inspection: Inspection | None, now: float, *, unanswered: bool = False
) -> Change:
    """One event, with an inspection of the container made after it where there is one; `now` in Unix seconds.

    Without one the container is gone already, or (`unanswered`) the Engine does not answer about it.
    """
    record = by_id(records.values(), event.id)
    if event.action == "start":
        was = record or _new(records, event, inspection, unanswered)
        step = _start(was, event, inspection, now)
        again = _slot_started_again(records, step.record) if not was.started else ()
        return _Step(step.record, (*step.counts, *again)).change()
    if record is None:
        return Change({})
    if record.ahead and event.time < max(record.started, record.finished):
        if event.action == "stop" and record.started <= event.time and not record.booting:
            return Change({record.name: _stopped_by_operator(record)})  # no inspection can tell who ended this run
        return Change({}, _exit_of_an_earlier_run(record, event))
    if event.action == "rename":
        return _rename(records, record, event.name)
    if event.action == "die":
        return _die(record, event, inspection).change()
    if event.action == "oom":
        return _oom(record, event).change()
    return Change({record.name: _other(record, event, inspection, now)})


def fold_inspection(records: Records, inspection: Inspection, since: int, now: float) -> Change:
    """One container as it is now, after all events that came before it; `since` is the time of the last known event.

    A stale inspection (events have told more) changes nothing.
    """
    record = by_id(records.values(), inspection.id)
    if record is None:
        return _first_seen(records, inspection, since).change()
    if record.name == inspection.name:
        return _inspected(record, inspection, now).change()
    renamed = _rename(records, record, inspection.name)
    step = _inspected(renamed.records[inspection.name] or record, inspection, now)
    return Change({**renamed.records, **step.change().records}, step.counts)


def fold_listed(records: Records, listed: Listed, now: float) -> Change:
    """A container as the Engine's list has it, which does not answer an inspection; events do not tell of it.

    An end is counted by its exit code: whether it was for want of memory the list does not say. A start is counted when
    an event or an inspection tells of it.
    """
    record = by_id(records.values(), listed.id)
    if not listed.name or not listed.state:
        return Change({})
    if record is None:
        return Change({listed.name: _first_listed(records, listed)})
    if listed.running:
        wanted = record.wanted if record.running else not record.auto_remove
        return Change({record.name: _listed_running(replace(record, wanted=wanted), listed)})
    if record.running and listed.exit_code is not None:
        step = _ended(replace(record, finished=int(now * SECOND), ahead=True), listed.exit_code, oom=False)
        return _Step(replace(step.record, state=listed.state), step.counts).change()
    return Change({record.name: replace(record, state=listed.state, health="", streak=0)})


def _first_listed(records: Records, listed: Listed) -> ContainerRecord:
    record = _fresh(records, listed.name, listed.id)
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
    return _listed_running(record, listed) if listed.running else record


def _listed_running(record: ContainerRecord, listed: Listed) -> ContainerRecord:
    # After a pause the list may show a health check from before it.
    health = "" if listed.state == "paused" else record.health if record.resumed else listed.health
    streak = record.streak if health == "unhealthy" else 0
    return replace(record, state=listed.state, health=health, streak=streak, gone_at=0.0)


def fold_missing(record: ContainerRecord, now: float) -> Change:
    """The Engine does not have this container any more."""
    return Change({record.name: _gone(record, now)})


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
            key = next((key for key, claim in unused.items() if _announces(claim, held)), None)
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


def _announces(claim: Claim, held: Held) -> bool:
    return claim.container == held.container and 0 <= held.time / SECOND - claim.at <= CLAIM_REACH


def _new(records: Records, event: Event, inspection: Inspection | None, unanswered: bool) -> ContainerRecord:
    if inspection is not None:
        return _described(_fresh(records, inspection.name, inspection.id), inspection)
    # Nothing is known of its policy. If it is gone already: as if it had been run with --rm.
    return replace(
        _fresh(records, event.name, event.id),
        image=event.attributes.get("image", ""),
        project=event.attributes.get(PROJECT_LABEL, ""),
        service=event.attributes.get(SERVICE_LABEL, ""),
        place=place_of(event.attributes),
        auto_remove=not unanswered,
        listed_only=unanswered,
    )


def _fresh(records: Records, name: str, container: str) -> ContainerRecord:
    """The record of a container that was not known, which may have the name of one that was."""
    old = records.get(name)
    if old is None:
        return ContainerRecord(name=name, id=container)
    return ContainerRecord(
        name=name, id=container, wanted=old.wanted, exit_code=old.exit_code, held=old.held, booting=old.booting
    )


def _described(record: ContainerRecord, inspection: Inspection) -> ContainerRecord:
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


def _start(record: ContainerRecord, event: Event, inspection: Inspection | None, now: float) -> _Step:
    run = inspection if inspection and 0 <= event.time - inspection.started < _SAME_RUN else None
    if _start_is_known(record, event, run):
        return _Step(replace(record, ahead=record.ahead and not record.running))
    first = not record.started and (not record.listed_only or record.state == "created")
    if inspection is not None:
        record = _described(record, inspection)
    count = run.policy_restarts if run and not run.overruled else None
    cause = _cause(record, count)
    restarts = max(1, count - record.restart_count) if count and cause == "policy" else 1
    if count is None:  # what Docker's own count must be: every start but the policy's sets it to 0
        count = record.restart_count + 1 if cause == "policy" else 0
    started = replace(_started(record, run.started if run else event.time), restart_count=count)
    if run and run.running:
        started = replace(started, health=run.health, streak=run.streak)
    return _Step(started) if first else _restarted(started, cause, restarts, now)


def _start_is_known(record: ContainerRecord, event: Event, run: Inspection | None) -> bool:
    """Whether an inspection, or this event in an earlier stream, has told of this start."""
    if run is not None and run.started == record.started:
        return True
    if not record.ahead:  # events come in order; a clock that was set back does not hide them
        return False
    if run is not None:
        return run.started < record.started
    covers = record.running and event.time - record.started < _SAME_RUN
    return covers or event.time < max(record.started, record.finished)


def _cause(record: ContainerRecord, policy_restarts: int | None) -> str:
    """Why it started; `policy_restarts` as an inspection of this run shows it, None if there is none."""
    if policy_restarts:
        return "policy"
    covered = _policy_covers(record)
    if record.booting:
        return "daemon" if covered or record.policy == "always" else "api"
    return "policy" if policy_restarts is None and covered else "api"


def _policy_covers(record: ContainerRecord) -> bool:
    """Whether Docker's policy starts it again after its last end."""
    if record.policy == "no" or record.stopped or (record.killed and not record.booting):
        return False
    if record.policy == "on-failure":
        exhausted = 0 < record.max_retries <= record.restart_count
        return not exhausted and (record.running or record.exit_code != 0)
    return True


def _started(record: ContainerRecord, time: int) -> ContainerRecord:
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


def _restarted(record: ContainerRecord, cause: str, amount: int, now: float) -> _Step:
    """Count restarts; one through the API waits for a claim."""
    if cause == "api":
        held = Held(record.id, record.started, now + CLAIM_WAIT)
        return _Step(replace(record, held=(*record.held, held)))
    return _Step(record, (Count(RESTARTS, (record.name, cause), amount),))


def _die(record: ContainerRecord, event: Event, inspection: Inspection | None) -> _Step:
    code = _code(event)
    if not record.running:
        counts = (Count(EXITS, (record.name, _reason(code, oom=False))),) if record.unseen_exit else ()
        return _Step(replace(record, ahead=False, unseen_exit=False), counts)
    final = inspection if inspection and not inspection.running and inspection.finished <= event.time else None
    limit_met = 0 <= event.time - record.oom < _OOM_REACH
    signalled = 0 <= event.time - record.killed < _KILL_REACH
    flagged = final is not None and final.oom_killed and code == 128 + signal.SIGKILL
    oom = code != 0 and not signalled and (limit_met or flagged)
    return _ended(replace(record, finished=event.time, ahead=False), code, oom)


def _exit_of_an_earlier_run(record: ContainerRecord, event: Event) -> Counts:
    """An inspection told of the restart, but could not tell of the exit before it."""
    if event.action != "die" or event.time >= record.started:
        return ()
    return (Count(EXITS, (record.name, _reason(_code(event), oom=False))),)


def _code(event: Event) -> int:
    return int(event.attributes.get("exitCode", 0))


def _ended(record: ContainerRecord, code: int, oom: bool) -> _Step:
    ended = replace(record, state="exited", exit_code=code, health="", streak=0, oom_counted=oom)
    comes_back = _policy_covers(ended)
    finished = code == 0 and not (comes_back or record.killed or record.booting)
    ended = replace(ended, state="restarting" if comes_back else "exited", wanted=record.wanted and not finished)
    exits = Count(EXITS, (record.name, _reason(code, oom)))
    return _Step(ended, (exits, Count(OOM_KILLS, (record.name,))) if oom else (exits,))


def _reason(code: int, oom: bool) -> str:
    if oom:
        return "oom"
    if code == 0:
        return "ok"
    return "signal" if 128 < code <= 128 + _LAST_SIGNAL else "error"


def _oom(record: ContainerRecord, event: Event) -> _Step:
    if record.running:
        return _Step(replace(record, oom=event.time))
    # With cgroup v2 the event may come after the death that it explains.
    late = 0 <= event.time - record.finished < _LATE_OOM and record.exit_code == 128 + signal.SIGKILL
    if not late or record.oom_counted or record.killed:
        return _Step(record)
    return _Step(replace(record, oom_counted=True), (Count(OOM_KILLS, (record.name,)),))


def _other(record: ContainerRecord, event: Event, inspection: Inspection | None, now: float) -> ContainerRecord:
    if event.action == "destroy":
        return _gone(record, now)
    if event.action == "stop" and not record.booting:
        return _stopped_by_operator(record)
    if event.action == "update" and inspection is not None:
        return _described(record, inspection)
    if not record.running:
        return record
    if event.action == "kill" and _ends(event.attributes.get("signal", "")):
        return replace(record, killed=record.killed or event.time)
    if event.action == "pause":
        return replace(record, state="paused", health="", streak=0)
    if event.action == "unpause":
        return replace(record, state="running", resumed=event.time)
    if event.action == "health_status":
        return _with_health(record, event, inspection)
    return record


def _stopped_by_operator(record: ContainerRecord) -> ContainerRecord:
    """A container that still runs waits for its death: Docker 20.10 tells of that before the stop, 28.5 after it."""
    stopped = replace(record, stopped=True, wanted=False)
    return stopped if record.running else replace(stopped, state="exited", health="", streak=0)


def _ends(number: str) -> bool:
    return number not in _HARMLESS_SIGNALS


def _with_health(record: ContainerRecord, event: Event, inspection: Inspection | None) -> ContainerRecord:
    if record.state == "paused" or (inspection is not None and _is_of_before(record, inspection)):
        return record
    health = event.attributes.get("detail", "")
    streak = 0 if health == "healthy" else record.streak
    if inspection is not None and inspection.health == health and inspection.running:
        streak = inspection.streak
    return replace(record, health=health, streak=streak)


def _is_of_before(record: ContainerRecord, inspection: Inspection) -> bool:
    """Whether no health check was begun since the container went on after a pause.

    One that the pause interrupts has failed, whatever the container is like; the next one comes an interval later.
    """
    return inspection.probed is not None and inspection.probed < record.resumed


def _rename(records: Records, record: ContainerRecord, name: str) -> Change:
    old = records.get(name)
    if name == record.name:
        return Change({})
    moved = replace(record, name=name)
    if old is not None:
        exit_code = old.exit_code if record.exit_code is None else record.exit_code
        moved = replace(moved, wanted=record.wanted or old.wanted, exit_code=exit_code, held=old.held + record.held)
    return Change({record.name: None, name: moved})


def _gone(record: ContainerRecord, now: float) -> ContainerRecord:
    return replace(
        record,
        state=GONE,
        health="",
        streak=0,
        gone_at=now,
        ahead=False,
        wanted=record.wanted and not record.auto_remove and not record.listed_only,
    )


def _first_seen(records: Records, inspection: Inspection, since: int) -> _Step:
    record = _described(_fresh(records, inspection.name, inspection.id), inspection)
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
    exits = _ended(record, inspection.exit_code, inspection.oom_killed).counts if ended else ()
    record = replace(record, unseen_exit=bool(inspection.started) and not inspection.running and not ended)
    return _Step(record, _policy(record.name, restarts) + exits)


def _inspected(record: ContainerRecord, inspection: Inspection, now: float) -> _Step:
    if record.listed_only:
        record = _described(record, inspection)
    newer = inspection.started > record.started
    stale = record.started - inspection.started >= _SAME_RUN or (inspection.running and not record.running)
    if stale and not newer:
        return _Step(record)
    record = _described(record, inspection)
    counts: Counts = ()
    if newer:
        record, counts = _started_meanwhile(record, inspection, now)
    if inspection.running:
        if record.state == "paused" and inspection.state == "running":
            record = replace(record, resumed=int(now * SECOND))
        known = inspection.state == "running" and not _is_of_before(record, inspection)
        health, streak = (inspection.health, inspection.streak) if known else ("", 0)
        return _Step(replace(record, state=inspection.state, health=health, streak=streak), counts)
    if not record.running:
        return _Step(_state_only(record, inspection), counts)
    step = _ended(
        replace(record, finished=inspection.finished, ahead=True), inspection.exit_code, inspection.oom_killed
    )
    return _Step(_state_only(step.record, inspection), counts + step.counts)


def _started_meanwhile(record: ContainerRecord, inspection: Inspection, now: float) -> _Step:
    by_policy = inspection.policy_restarts
    grown = by_policy - record.restart_count
    started = replace(_started(record, inspection.started), restart_count=by_policy, ahead=True)
    if not record.started:
        return _Step(started, _policy(record.name, by_policy))
    if grown > 0 and not record.booting:
        return _Step(started, _policy(record.name, grown))
    step = _restarted(started, _cause(record, 0), 1, now)
    return _Step(step.record, step.counts + _policy(record.name, by_policy))


def _state_only(record: ContainerRecord, inspection: Inspection) -> ContainerRecord:
    """It does not run; Docker's word for that, and whether an operator wanted it so."""
    came_to_rest = record.state == "restarting" and not record.booting
    if came_to_rest and inspection.overruled and not inspection.error:
        return replace(record, state="exited", stopped=True, wanted=False)
    return replace(record, state=inspection.state)


def _policy(name: str, amount: int) -> Counts:
    return (Count(RESTARTS, (name, "policy"), amount),) if amount > 0 else ()
