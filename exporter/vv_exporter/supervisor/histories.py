"""What is remembered of each container (`state`), and how the restarts that Docker makes by its policy come into it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

import msgspec

from vv_exporter.containers.records import CONTAINERS, ContainerRecord
from vv_exporter.metrics.containers import RESTARTS
from vv_exporter.state.store import Store
from vv_exporter.supervisor.mailbox import Request
from vv_exporter.supervisor.policy import Limits, recent
from vv_exporter.supervisor.publish import Journal, report_resumed
from vv_exporter.supervisor.state import SUPERVISED, Supervised

log = logging.getLogger(__name__)

replace = msgspec.structs.replace


class Histories:
    """Written down as they change. Methods raise `StoreError`."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        limits: Limits,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._journal = journal
        self._limits = limits
        self._clock = clock
        self._monotonic = monotonic
        self._checked_at: dict[str, float] = {}
        """When each container was last looked at by this process (monotonic)."""
        self._first_round = True

    def load(self, record: ContainerRecord) -> Supervised:
        """What is remembered of this container; one with a new id begins anew."""
        known = self._store.document(SUPERVISED, record.name)
        if known is not None and known.container == record.id:
            return known
        seen = self._policy_restarts(record.name)
        # Of a container that was there before us it is not known when Docker restarted it.
        early = 0 if self._first_round else record.restart_count
        history = self.save(record, Supervised(container=record.id, policy_seen=max(seen - early, 0)))
        if known is not None and known.gave_up:
            log.info("container %s was recreated and is taken up again", record.name)
            report_resumed(self._journal, record.name, "the container was recreated")
        return history

    def save(self, record: ContainerRecord, history: Supervised) -> Supervised:
        """Write down what is remembered, if it has changed."""
        if self._store.document(SUPERVISED, record.name) != history:
            with self._store.transaction() as tx:
                tx.put(SUPERVISED, record.name, history)
        return history

    def add_policy_restarts(self, record: ContainerRecord, history: Supervised) -> tuple[Supervised, bool]:
        """Add the restarts that Docker has made since the last look; and whether there were any."""
        seen = self._policy_restarts(record.name)
        grown = seen - history.policy_seen
        if not grown:
            return history, False
        checked_at = self._checked_at.get(record.name)
        if checked_at is None and not self._first_round:
            checked_at = self._monotonic()
        # Only what certainly fell into the window counts.
        certain = checked_at is not None and self._monotonic() - checked_at < self._limits.window
        added = (self._clock(),) * min(grown if certain else 1, self._limits.max_restarts + 1)
        restarts = (*recent(history, self._limits, self._clock()), *added) if grown > 0 else history.restarts
        return self.save(record, replace(history, policy_seen=seen, restarts=restarts)), grown > 0

    def note_checked(self, name: str) -> None:
        """The container was looked at just now."""
        self._checked_at[name] = self._monotonic()

    def end_round(self) -> None:
        """All containers that were there before us are known by now."""
        self._first_round = False

    def drop_unwatched(self, watched: Collection[str]) -> None:
        """Forget all other containers."""
        for name in self._store.docs(SUPERVISED).keys() - watched:
            with self._store.transaction() as tx:
                tx.delete(SUPERVISED, name)
        self._checked_at = {name: at for name, at in self._checked_at.items() if name in watched}

    def do_request(self, request: Request) -> bool:
        """Forget a container, or take it up again, as an operator wants. Gives whether it was taken up again."""
        name = request.name
        with self._store.transaction() as tx:
            history, record = tx.get(SUPERVISED, name), tx.get(CONTAINERS, name)
            if request.action == "forget":
                tx.delete(SUPERVISED, name)
                if record is not None:
                    tx.put(CONTAINERS, name, replace(record, wanted=False))
            elif history is not None:
                tx.put(SUPERVISED, name, _begin_anew(history))
        return request.action == "resume" and history is not None

    def _policy_restarts(self, name: str) -> int:
        return int(self._store.value(RESTARTS, (name, "policy")) or 0)


def _begin_anew(history: Supervised) -> Supervised:
    """As if nothing had ever failed; what we have stopped we start."""
    return Supervised(
        container=history.container,
        policy_seen=history.policy_seen,
        policy_before=history.policy_before,
        owed=history.owed or bool(history.policy_before),
    )
