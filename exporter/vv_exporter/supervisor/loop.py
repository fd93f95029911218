"""The loop around the policy: looks at each container once a second, and does what the policy says.

What is done is written down first. A restart is an `Attempt`: counted, then announced in the journal, then asked of the
Engine, and ended when the container is seen to have started anew. Whoever is killed on the way finds the attempt when
it is started again, and sees whether the container was started: if so the attempt is over, if not it is asked for
again, without being counted again. What is said in the journal may so be said twice; readers tell by its `attempt`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from vv_core.common import journals
from vv_core.common.ids import uuid7_hex
from vv_core.common.texts import line, lines, many
from vv_exporter.common.clock import boot_id, boottime
from vv_exporter.containers.engine import EngineError, NoAnswerError
from vv_exporter.containers.expectation import listed
from vv_exporter.containers.records import CONTAINERS, GONE, ContainerRecord
from vv_exporter.containers.unanswered import Unanswered
from vv_exporter.metrics.containers import RESTARTS
from vv_exporter.settings import Settings
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store
from vv_exporter.supervisor.actions import MAX_TAIL, RefusedError
from vv_exporter.supervisor.policy import Condition, GiveUp, Limits, Restart, Wait, condition, decide, recent
from vv_exporter.supervisor.room import Request, Room, Seen, View
from vv_exporter.supervisor.selection import must_run, supervised
from vv_exporter.supervisor.state import SUPERVISED, Attempt, Supervised

log = logging.getLogger(__name__)

COMPONENT = "self-monitor"
INTERVAL = 1.0  # seconds between rounds
HEARTBEAT = 10.0  # seconds between `supervisor.checked` events when nothing changes
PROCESS_INTERVAL = 10.0  # seconds between looks for a program; it is missing when two in a row do not find it
START_PATIENCE = 15.0  # seconds after which a start that nobody confirmed, and nobody saw, is asked for again
STOP_PATIENCE = 90.0  # …where the container has to be stopped first
SEEN_WITHIN = 60.0  # seconds in which a start that the Engine confirmed is seen
INITIAL_PAUSE_SECONDS = 5.0  # before a container is looked at again about which the Engine did not answer
LONGEST_PAUSE_SECONDS = 60.0
MAX_WATCHED = 300  # containers; what a line of the journal holds
_HOUR = 3600.0
EXPECTED = (EngineError, StoreError, OSError)
replace = msgspec.structs.replace


class Watch(Protocol):
    """Who keeps the records of containers."""

    @property
    def current(self) -> bool: ...


class Engine(Protocol):
    """What is asked of the Engine; see `actions.Actions`."""

    def start(self, container: str) -> None: ...
    def restart(self, container: str) -> None: ...
    def stop(self, container: str) -> None: ...
    def set_policy(self, container: str, name: str, retries: int = 0) -> None: ...
    def log_tail(self, container: str, count: int) -> str: ...
    def runs(self, container: str, program: str) -> bool: ...


class Journal(Protocol):
    """Where events go; see `vv_core.common.journals.Journal`."""

    def emit(self, kind: str, component: str, fields: Mapping[str, object], worth: float = ...) -> bool: ...


class Supervisor:
    """See the module. `own_id` is the id of the container that this process runs in, "" outside one."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        watch: Watch,
        engine: Engine,
        journal: Journal,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        own_id: str = "",
    ) -> None:
        self._settings = settings
        self._limits = Limits.of(settings)
        self._store = store
        self._watch = watch
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._monotonic = monotonic
        self._own_id = own_id
        self._room = Room(settings.self_monitor_dir)
        self._seen: dict[str, Seen] = {}
        self._left_out = 0  # containers beyond `MAX_WATCHED`
        self._shown: tuple[Seen, ...] = ()
        self._told: dict[str, dict[str, int]] = {}
        self._show_at = 0.0
        self._tell_at = 0.0
        self._tidy_at = 0.0
        self._looked_at: dict[str, float] = {}
        """When each container was last looked at by this process (monotonic)."""
        self._first_round = True
        self._programs: dict[str, tuple[float, int]] = {}
        """When to look for each container's program again, and how often in a row it was missing."""
        self._unanswered = Unanswered(monotonic, INITIAL_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        """Containers about which the Engine did not answer: others are not kept waiting for them in each round."""

    def round(self) -> None:
        """Look once at everything. A request, a container or a file that makes trouble costs itself only.

        Raises what was last in the way: `EngineError`, `StoreError`, `OSError`, or what nobody expected.
        """
        trouble = [self._try_action(self._store.follow_clock)]
        trouble += [self._try_action(self._do_request, path, request) for path, request in self._room.requests()]
        if self._watch.current:
            trouble += self._look_at_containers()
        for error in filter(None, reversed(trouble)):
            raise error

    def _look_at_containers(self) -> list[Exception | None]:
        """Look at all containers, and tell how they stand; what went wrong."""
        watched = self._watched_names()
        trouble = [self._try_action(self._drop_unwatched, set(watched)), self._try_action(self._tidy_history)]
        looks = [self._try_action(self._look_at, name) for name in watched]
        self._first_round = False
        if self._watch.current and (None in looks or not looks):
            trouble += [self._try_action(self._show_view), self._try_action(self._tell_all)]
        return trouble + looks

    def _try_action(self, act: Callable[..., None], *arguments: object) -> Exception | None:
        try:
            act(*arguments)
        except Exception as error:
            return error
        return None

    def _look_at(self, name: str) -> None:
        record = self._store.document(CONTAINERS, name)  # as it is by now: restarting others takes time
        if record is None or not self._watch.current or not self._unanswered.is_due(name):
            return
        try:
            self._check_container(record)
            self._unanswered.answered(name)
        except EXPECTED as error:
            if isinstance(error, NoAnswerError):
                self._unanswered.failed(name, str(error))
            raise type(error)(f"container {name}: {error}") from error
        except Exception as error:
            raise RuntimeError(f"container {name}: {error!r}") from error
        finally:
            self._looked_at[name] = self._monotonic()

    def _watched_names(self) -> list[str]:
        """The names of our containers, also of those that are missing though they should be there."""
        known = self._store.docs(CONTAINERS)
        own_image = next((one.image for one in known.values() if self._own_id and one.id == self._own_id), "")
        found = [
            name
            for name, one in known.items()
            if supervised(one, self._settings, self._own_id, own_image) and (one.state != GONE or one.wanted)
        ]
        configured = listed(self._settings.containers)
        found.sort(key=lambda name: (name not in self._settings.containers.essential, name not in configured, name))
        self._left_out = max(len(found) - MAX_WATCHED, 0)
        return sorted(found[:MAX_WATCHED])

    def _drop_unwatched(self, watched: set[str]) -> None:
        """Forget containers that are no business of ours any more."""
        for name in self._store.docs(SUPERVISED).keys() - watched:
            with self._store.transaction() as tx:
                tx.delete(SUPERVISED, name)
        self._unanswered.keep(watched)
        for known in (self._seen, self._looked_at, self._programs):
            for name in known.keys() - watched:
                del known[name]

    def _check_container(self, record: ContainerRecord) -> None:
        history, by_docker = self._with_policy_restarts(record, self._history_of(record))
        if history.attempt is not None:
            history = self._follow_up(record, history, history.attempt)
        if record.state == "running" and history.owed and history.attempt is None:
            history = self._keep_history(record, replace(history, owed=False))
        if history.gave_up:
            history = self._finish_giving_up(record, history)
            self._note_seen(record, history, f"given up: {history.reason}")
            return
        if history.policy_before:
            history = self._give_back_policy(record, history)
        now_is = self._condition_of(record, history)
        failing_since = (history.failing_since or self._clock()) if now_is.fault else 0.0
        history = self._keep_history(record, replace(history, failing_since=failing_since))
        decision = decide(history, now_is, self._limits, self._clock(), restarted_by_docker=by_docker)
        verdict, due = _verdict_text(record, now_is, history), 0.0
        if isinstance(decision, Wait):
            due = decision.until
        elif isinstance(decision, Restart):
            history = self._restart_container(record, history, now_is.fault)
            verdict = f"{now_is.fault}; restarted"
        elif isinstance(decision, GiveUp):
            history = self._give_up(record, history, now_is)
            verdict = f"given up: {history.reason}"
        self._note_seen(record, history, verdict, due)

    def _history_of(self, record: ContainerRecord) -> Supervised:
        """What is remembered of this container; one with a new id begins anew."""
        known = self._store.document(SUPERVISED, record.name)
        if known is not None and known.container == record.id:
            return known
        seen = self._policy_restarts(record.name)
        # Of a container that was there before us it is not known when Docker restarted it.
        early = 0 if self._first_round else record.restart_count
        history = self._keep_history(record, Supervised(container=record.id, policy_seen=max(seen - early, 0)))
        if known is not None and known.gave_up:
            log.info("container %s was recreated and is taken up again", record.name)
            self._report_event("container.resumed", {"name": record.name, "reason": "the container was recreated"})
        return history

    def _policy_restarts(self, name: str) -> int:
        return int(self._store.value(RESTARTS, (name, "policy")) or 0)

    def _with_policy_restarts(self, record: ContainerRecord, history: Supervised) -> tuple[Supervised, bool]:
        """Add the restarts that Docker has made since the last look; and whether there were any."""
        seen = self._policy_restarts(record.name)
        grown = seen - history.policy_seen
        if not grown:
            return history, False
        looked_at = self._looked_at.get(record.name)
        if looked_at is None and not self._first_round:
            looked_at = self._monotonic()
        # Only what certainly fell into the window counts.
        certain = looked_at is not None and self._monotonic() - looked_at < self._limits.window
        added = (self._clock(),) * min(grown if certain else 1, self._limits.max_restarts + 1)
        restarts = (*recent(history, self._limits, self._clock()), *added) if grown > 0 else history.restarts
        return self._keep_history(record, replace(history, policy_seen=seen, restarts=restarts)), grown > 0

    def _condition_of(self, record: ContainerRecord, history: Supervised) -> Condition:
        return condition(
            record,
            self._clock(),
            must_run=must_run(record, self._settings),
            owed=history.owed,
            missing=self._missing_program(record),
        )

    def _missing_program(self, record: ContainerRecord) -> str:
        program = self._settings.self_monitor.processes.get(record.name, "")
        if not program or record.state != "running":
            self._programs.pop(record.name, None)
            return ""
        due, missed = self._programs.get(record.name, (0.0, 0))
        if self._monotonic() >= due:
            try:
                missed = 0 if self._engine.runs(record.id, program) else missed + 1
            except NoAnswerError:  # not known is not missing, and is no reason not to look at its health
                missed = 0
            self._programs[record.name] = (self._monotonic() + PROCESS_INTERVAL, missed)
        return program if missed >= 2 else ""

    def _restart_container(self, record: ContainerRecord, history: Supervised, fault: str) -> Supervised:
        """Count a restart, and ask for it."""
        now = self._clock()
        attempt = Attempt(id=uuid7_hex(), at=now, before=record.started, reason=fault, stops=record.running)
        history = replace(
            history,
            restarts=(*recent(history, self._limits, now), now),
            attempt=attempt,
            owed=history.owed or record.running,
        )
        log.warning(
            "restarting container %s (%d of %d): %s",
            record.name,
            len(history.restarts),
            self._limits.max_restarts,
            fault,
        )
        self._programs.pop(record.name, None)
        return self._ask_for_restart(record, self._keep_history(record, history), attempt)

    def _ask_for_restart(self, record: ContainerRecord, history: Supervised, attempt: Attempt) -> Supervised:
        """Ask the Engine for a restart that is counted."""
        fields = {"name": record.name, "container": record.id, "attempt": attempt.id}
        self._report_event("container.restarting", fields | {"reason": line(attempt.reason, 300)})
        try:
            if record.running:
                self._engine.restart(record.id)
            else:
                self._engine.start(record.id)
        except RefusedError as error:
            log.error("container %s could not be restarted: %s", record.name, error)
            self._tell_result(record.name, attempt, "failed", str(error))
            return self._keep_history(record, replace(history, attempt=None, failing_since=self._clock()))
        self._tell_result(record.name, attempt, "ok")
        return self._keep_history(record, replace(history, attempt=replace(attempt, asked=True)))

    def _follow_up(self, record: ContainerRecord, history: Supervised, attempt: Attempt) -> Supervised:
        """What came of a restart that was asked for, perhaps by a self-monitor that was killed then."""
        over = replace(history, attempt=None, failing_since=0.0)
        age = self._clock() - attempt.at
        if record.started != attempt.before:
            if not attempt.asked:
                self._tell_result(record.name, attempt, "ok")
            return self._keep_history(record, replace(over, owed=False))
        if attempt.asked:
            return self._keep_history(record, over) if age > SEEN_WITHIN else history
        if age < (STOP_PATIENCE if attempt.stops else START_PATIENCE):
            return history
        if not self._condition_of(record, history).fault:  # somebody else has seen to it
            return self._keep_history(record, over)
        again = replace(attempt, at=self._clock())
        return self._ask_for_restart(record, self._keep_history(record, replace(history, attempt=again)), again)

    def _give_up(self, record: ContainerRecord, history: Supervised, now_is: Condition) -> Supervised:
        reason = now_is.fault or f"Docker keeps restarting it; {_last_end(record)}"
        restarts = many(len(history.restarts), "restart")
        log.critical("giving up on container %s after %s: %s", record.name, restarts, reason)
        stop = self._settings.on_exhausted == "stop"
        history = self._keep_history(
            record, replace(history, gave_up=self._clock(), reason=reason, stop_due=stop, told=False)
        )
        return self._finish_giving_up(record, history)

    def _finish_giving_up(self, record: ContainerRecord, history: Supervised) -> Supervised:
        """Tell of it with the last log lines, and stop the container if that is wanted."""
        if not history.told:
            tail = self._engine.log_tail(record.id, self._settings.quoted_log_lines)
            fields = {"name": record.name, "restarts": len(history.restarts), "reason": line(history.reason, 300)}
            quoted = {"log_tail": lines(tail, MAX_TAIL)} if tail else {}
            # On the disk before it is noted as told, or a power cut in between would leave it untold.
            self._report_event("container.gave_up", fields | quoted, journals.LASTING)
            history = self._keep_history(record, replace(history, told=True))
        if history.stop_due and record.state != GONE:
            if not history.policy_before:
                before = f"{record.policy}:{record.max_retries}"
                history = self._keep_history(record, replace(history, policy_before=before))
            try:
                self._engine.set_policy(record.id, "no")
                self._engine.stop(record.id)
            except RefusedError as error:
                log.error("container %s could not be stopped: %s", record.name, error)
            history = self._keep_history(record, replace(history, stop_due=False))
        return history

    def _give_back_policy(self, record: ContainerRecord, history: Supervised) -> Supervised:
        """After an operator has taken it up again."""
        name, _, retries = history.policy_before.partition(":")
        try:
            self._engine.set_policy(record.id, name, int(retries or 0))
        except RefusedError as error:
            log.error("container %s could not get its restart policy back: %s", record.name, error)
        return self._keep_history(record, replace(history, policy_before=""))

    def _do_request(self, path: Path, request: Request) -> None:
        name = request.name
        log.info("an operator asked to %s container %s", request.action, line(name, 200))
        with self._store.transaction() as tx:
            history, record = tx.get(SUPERVISED, name), tx.get(CONTAINERS, name)
            if request.action == "forget":
                tx.delete(SUPERVISED, name)
                if record is not None:
                    tx.put(CONTAINERS, name, replace(record, wanted=False))
            elif history is not None:
                tx.put(SUPERVISED, name, _begin_anew(history))
        if request.action == "resume" and history is not None:
            self._report_event("container.resumed", {"name": name, "reason": "an operator asked for it"})
        self._room.done(path)

    def _keep_history(self, record: ContainerRecord, history: Supervised) -> Supervised:
        """Write down what is remembered, if it has changed."""
        if self._store.document(SUPERVISED, record.name) != history:
            with self._store.transaction() as tx:
                tx.put(SUPERVISED, record.name, history)
        return history

    def _report_event(self, kind: str, fields: Mapping[str, object], worth: float = journals.NEEDED) -> None:
        self._journal.emit(kind, COMPONENT, fields, worth)

    def _tell_result(self, name: str, attempt: Attempt, result: str, error: str = "") -> None:
        fields = {"name": name, "attempt": attempt.id, "result": result}
        self._report_event("container.restarted", fields | ({"error": line(error, 500)} if error else {}))

    def _note_seen(self, record: ContainerRecord, history: Supervised, verdict: str, due: float = 0.0) -> None:
        self._seen[record.name] = Seen(
            name=record.name,
            state=record.state,
            health=record.health,
            in_window=len(recent(history, self._limits, self._clock())),
            max=self._limits.max_restarts,
            gave_up=history.gave_up > 0,
            verdict=verdict,
            due=due,
        )

    def _show_view(self) -> None:
        """Show operators how everything stands: when it has changed, and from time to time."""
        seen = tuple(one for _, one in sorted(self._seen.items()))
        if seen != self._shown or self._monotonic() >= self._show_at:
            self._room.show(View(self._clock(), seen, boot_id(), boottime()))
            self._shown, self._show_at = seen, self._monotonic() + HEARTBEAT

    def _tell_all(self) -> None:
        """Tell the journal the same."""
        told = {
            name: {"in_window": one.in_window, "max": one.max, "gave_up": one.gave_up}
            for name, one in sorted(self._seen.items())
        }
        if told != self._told or self._monotonic() >= self._tell_at:
            content: dict[str, object] = {"containers": told}
            if self._left_out:
                content["left_out"] = self._left_out
            self._report_event("supervisor.checked", content, journals.ROUTINE)
            self._told, self._tell_at = told, self._monotonic() + HEARTBEAT

    def _tidy_history(self) -> None:
        """The timeline is the exporter's; here nobody reads it."""
        if self._monotonic() >= self._tidy_at:
            self._store.forget_history(self._clock() - _HOUR)
            self._tidy_at = self._monotonic() + _HOUR


def _begin_anew(history: Supervised) -> Supervised:
    """As if nothing had ever failed; what we have stopped we start."""
    return Supervised(
        container=history.container,
        policy_seen=history.policy_seen,
        policy_before=history.policy_before,
        owed=history.owed or bool(history.policy_before),
    )


def _verdict_text(record: ContainerRecord, now_is: Condition, history: Supervised) -> str:
    if history.attempt is not None:
        return f"{history.attempt.reason}; restarted"
    if now_is.fault:
        return f"{now_is.fault}; left to Docker" if now_is.by_docker else now_is.fault
    if record.running:
        return "well"
    return "left alone: stopped by an operator" if record.stopped else "left alone"


def _last_end(record: ContainerRecord) -> str:
    return (
        "its last end is not known" if record.exit_code is None else f"it last ended with exit code {record.exit_code}"
    )
