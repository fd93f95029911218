"""What is done about one container.

1. What is remembered of it is loaded, and the restarts are added that Docker has made since (`histories`).
2. A restart that was asked for is followed up: it is over when the container is seen to have started anew, and is
   asked for again when that is neither seen nor confirmed for long.
3. A container that was given up is left alone, once that is in the journal and it is stopped, if that is wanted.
4. One that an operator has taken up again gets Docker's restart policy back.
5. Of any other the policy decides (`policy`): to leave it, to wait, to restart it, or to give it up.

What is done is written down first. A restart is an `Attempt`: counted, then announced in the journal, then asked of the
Engine, and ended when the container is seen to have started anew. Whoever is killed on the way finds the attempt when
it is started again, and sees whether the container was started: if so the attempt is over, if not it is asked for
again, without being counted again. What is said in the journal may so be said twice; readers know it by its `attempt`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Protocol

import msgspec

from vv_core.common.ids import uuid7_hex
from vv_core.common.texts import many
from vv_exporter.containers.records import GONE, ContainerRecord
from vv_exporter.settings import Settings
from vv_exporter.supervisor.actions import RefusedError
from vv_exporter.supervisor.histories import Histories
from vv_exporter.supervisor.mailbox import Seen
from vv_exporter.supervisor.policy import Condition, GiveUp, Limits, Restart, Wait, condition, decide, recent
from vv_exporter.supervisor.programs import Programs
from vv_exporter.supervisor.publish import Journal, report_gave_up, report_restarted, report_restarting
from vv_exporter.supervisor.selection import must_run
from vv_exporter.supervisor.state import Attempt, Supervised

log = logging.getLogger(__name__)

START_PATIENCE_SECONDS = 15.0  # after which a start that nobody confirmed, and nobody saw, is asked for again
STOP_PATIENCE_SECONDS = 90.0  # …where the container has to be stopped first
CONFIRMED_START_SECONDS = 60.0  # in which a start that the Engine confirmed is seen
replace = msgspec.structs.replace


class Engine(Protocol):
    """What is asked of the Engine; see `actions.Actions`."""

    def start(self, container: str) -> None: ...
    def restart(self, container: str) -> None: ...
    def stop(self, container: str) -> None: ...
    def set_policy(self, container: str, name: str, retries: int = 0) -> None: ...
    def log_tail(self, container: str, count: int) -> str: ...
    def runs(self, container: str, program: str) -> bool: ...


class Restarts:
    """Restarts containers, and gives them up. Methods raise `EngineError`, `StoreError`, `OSError`."""

    def __init__(
        self,
        settings: Settings,
        histories: Histories,
        engine: Engine,
        journal: Journal,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._limits = Limits.of(settings)
        self._histories = histories
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._programs = Programs(engine, settings.self_monitor.processes, monotonic)

    def check_container(self, record: ContainerRecord) -> Seen:
        """Look at a container, and do what is to be done. Gives how it stands then."""
        history, by_docker = self._histories.add_policy_restarts(record, self._histories.load(record))
        if history.attempt is not None:
            history = self._follow_up(record, history, history.attempt)
        if record.state == "running" and history.owed and history.attempt is None:
            history = self._histories.save(record, replace(history, owed=False))
        if history.gave_up:
            history = self._finish_giving_up(record, history)
            return self._seen_as(record, history, f"given up: {history.reason}")
        if history.policy_before:
            history = self._give_back_policy(record, history)
        return self._do_as_decided(record, history, by_docker)

    def keep_only(self, names: Collection[str]) -> None:
        """Forget all other containers."""
        self._programs.keep_only(names)

    def _do_as_decided(self, record: ContainerRecord, history: Supervised, by_docker: bool) -> Seen:
        now_is = self._condition_of(record, history)
        failing_since = (history.failing_since or self._clock()) if now_is.fault else 0.0
        history = self._histories.save(record, replace(history, failing_since=failing_since))
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
        return self._seen_as(record, history, verdict, due)

    def _condition_of(self, record: ContainerRecord, history: Supervised) -> Condition:
        return condition(
            record,
            self._clock(),
            must_run=must_run(record, self._settings),
            owed=history.owed,
            missing=self._programs.find_missing(record),
        )

    def _restart_container(self, record: ContainerRecord, history: Supervised, fault: str) -> Supervised:
        """Count a restart, and ask for it."""
        now = self._clock()
        attempt = Attempt(id=uuid7_hex(), at=now, before=record.started, reason=fault, stops=record.running)
        made = (*recent(history, self._limits, now), now)
        history = replace(history, restarts=made, attempt=attempt, owed=history.owed or record.running)
        most = self._limits.max_restarts
        log.warning("restarting container %s (%d of %d): %s", record.name, len(made), most, fault)
        self._programs.forget(record.name)
        return self._ask_for_restart(record, self._histories.save(record, history), attempt)

    def _ask_for_restart(self, record: ContainerRecord, history: Supervised, attempt: Attempt) -> Supervised:
        """Ask the Engine for a restart that is counted."""
        report_restarting(self._journal, record, attempt)
        try:
            if record.running:
                self._engine.restart(record.id)
            else:
                self._engine.start(record.id)
        except RefusedError as error:
            log.error("container %s could not be restarted: %s", record.name, error)
            report_restarted(self._journal, record.name, attempt, str(error))
            return self._histories.save(record, replace(history, attempt=None, failing_since=self._clock()))
        report_restarted(self._journal, record.name, attempt)
        return self._histories.save(record, replace(history, attempt=replace(attempt, asked=True)))

    def _follow_up(self, record: ContainerRecord, history: Supervised, attempt: Attempt) -> Supervised:
        """What came of a restart that was asked for, perhaps by a self-monitor that was killed then."""
        over = replace(history, attempt=None, failing_since=0.0)
        age = self._clock() - attempt.at
        if record.started != attempt.before:
            if not attempt.asked:
                report_restarted(self._journal, record.name, attempt)
            return self._histories.save(record, replace(over, owed=False))
        if attempt.asked:
            return self._histories.save(record, over) if age > CONFIRMED_START_SECONDS else history
        if age < (STOP_PATIENCE_SECONDS if attempt.stops else START_PATIENCE_SECONDS):
            return history
        if not self._condition_of(record, history).fault:  # somebody else has seen to it
            return self._histories.save(record, over)
        again = replace(attempt, at=self._clock())
        return self._ask_for_restart(record, self._histories.save(record, replace(history, attempt=again)), again)

    def _give_up(self, record: ContainerRecord, history: Supervised, now_is: Condition) -> Supervised:
        reason = now_is.fault or f"Docker keeps restarting it; {_last_end(record)}"
        restarts = many(len(history.restarts), "restart")
        log.critical("giving up on container %s after %s: %s", record.name, restarts, reason)
        stop = self._settings.on_exhausted == "stop"
        given_up = replace(history, gave_up=self._clock(), reason=reason, stop_due=stop, reported=False)
        return self._finish_giving_up(record, self._histories.save(record, given_up))

    def _finish_giving_up(self, record: ContainerRecord, history: Supervised) -> Supervised:
        """Report it with the last log lines, and stop the container if that is wanted."""
        if not history.reported:
            log_tail = self._engine.log_tail(record.id, self._settings.quoted_log_lines)
            # On the disk before it is noted as reported, or a power cut in between would leave people untold.
            report_gave_up(self._journal, record.name, history, log_tail)
            history = self._histories.save(record, replace(history, reported=True))
        if history.stop_due and record.state != GONE:
            history = self._stop_for_good(record, history)
        return history

    def _stop_for_good(self, record: ContainerRecord, history: Supervised) -> Supervised:
        """Stop it so that Docker does not start it either; its restart policy is noted, for an operator's `resume`."""
        if not history.policy_before:
            before = f"{record.policy}:{record.max_retries}"
            history = self._histories.save(record, replace(history, policy_before=before))
        try:
            self._engine.set_policy(record.id, "no")
            self._engine.stop(record.id)
        except RefusedError as error:
            log.error("container %s could not be stopped: %s", record.name, error)
        return self._histories.save(record, replace(history, stop_due=False))

    def _give_back_policy(self, record: ContainerRecord, history: Supervised) -> Supervised:
        """After an operator has taken it up again."""
        name, _, retries = history.policy_before.partition(":")
        try:
            self._engine.set_policy(record.id, name, int(retries or 0))
        except RefusedError as error:
            log.error("container %s could not get its restart policy back: %s", record.name, error)
        return self._histories.save(record, replace(history, policy_before=""))

    def _seen_as(self, record: ContainerRecord, history: Supervised, verdict: str, due: float = 0.0) -> Seen:
        return Seen(
            name=record.name,
            state=record.state,
            health=record.health,
            in_window=len(recent(history, self._limits, self._clock())),
            max=self._limits.max_restarts,
            gave_up=history.gave_up > 0,
            verdict=verdict,
            due=due,
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
