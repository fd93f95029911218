"""The self-monitor: no restart is forgotten, and a container that is given up is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tests.powercut.scenarios import say
from tests.powercut.scenarios.device import damaged, exporter
from tests.support.clock import Clock
from vv_core.common.journals import Journal
from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import CONTAINERS, ContainerRecord
from vv_exporter.journal.folds.supervisor import SUPERVISED as TOLD
from vv_exporter.settings import Settings, load
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import HISTORY
from vv_exporter.supervisor.loop import Supervisor
from vv_exporter.supervisor.state import SUPERVISED

MOST = 3
FAILED = ContainerRecord(name="web", id="1", state="exited", exit_code=3, wanted=True, started=SECOND)


def prepare(root: Path) -> None:
    """The configuration; and the self-monitor has been there before."""
    (root / "vv.yml").write_text("self_monitor: {containers: [web]}")
    (root / "self-monitor").mkdir()


@cache
def _settings(root: Path) -> Settings:
    restarts = {"SELF_MONITOR_MAX_RESTARTS": str(MOST), "SELF_MONITOR_BACKOFF": "1s"}
    return load({"VV_STATE_DIR": str(root), "VV_CONFIG": str(root / "vv.yml"), **restarts})


class _Site:
    """A container that fails after each start; `start` says that the Engine was asked."""

    current = True

    def __init__(self, root: Path, asked: Callable[[str], None], begins: float = 0.0) -> None:
        self.settings = _settings(root)
        self.clock = Clock(1_700_000_000.0 + begins)
        self.store = Store(self.settings.self_monitor_dir / "state.db", self.clock)
        self.journal = Journal(str(self.settings.journal_dir), clock=self.clock)
        self.supervisor = Supervisor(self.settings, self.store, self, self, self.journal, self.clock, self.clock)
        self._asked = asked
        self._put(self.store.document(CONTAINERS, "web") or FAILED)

    def _put(self, record: ContainerRecord) -> None:
        with self.store.transaction() as tx:
            tx.put(CONTAINERS, record.name, record)

    def rounds(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(16)
            self.supervisor.round()

    def close(self) -> None:
        self.journal.close()
        self.store.close()

    def start(self, container: str) -> None:
        self._asked("restarted")
        record = self.store.document(CONTAINERS, "web") or FAILED
        self._put(msgspec.structs.replace(record, started=record.started + SECOND))

    restart = start

    def stop(self, container: str) -> None:
        self._asked("stopped")

    def set_policy(self, container: str, name: str, retries: int = 0) -> None:
        pass

    def log_tail(self, container: str, count: int) -> str:
        return "disk full"

    def runs(self, container: str, program: str) -> bool:
        return True


def run(root: Path) -> None:
    """The container is restarted until it is given up."""
    site = _Site(root, say)
    site.store._connection.execute("PRAGMA wal_autocheckpoint = 20")
    site.rounds(2 * MOST + 2)


def check(root: Path, said: Sequence[str]) -> Iterator[str]:
    """It goes on where it was; the exporter hears of the end."""
    restarted, calls = list(said).count("restarted"), list[str]()
    site = _Site(root, calls.append, begins=300.0)
    try:
        history = site.store.document(SUPERVISED, "web")
        known = len(history.restarts) if history else 0
        if restarted > known:
            yield f"{known} restarts are known of {restarted}"
        site.rounds(2 * MOST + 2)
        yield from _end_problems(site, restarted + calls.count("restarted"))
    finally:
        site.close()
    yield from _told_problems(root)
    yield from (f"{name} was set aside" for name in damaged(root))


def _end_problems(site: Any, restarts: int) -> Iterator[str]:
    history = site.store.document(SUPERVISED, "web")
    if history is None or not history.gave_up:
        yield "the container is not given up in the end"
    if restarts > MOST + 1:  # the one that the cut fell into is asked for again
        yield f"the container was restarted {restarts} times"


def _told_problems(root: Path) -> Iterator[str]:
    with exporter(root) as device:
        device.read()
        told = device.store.document(TOLD, "web")
        if told is None or not told.gave_up:
            yield "nobody is told that the container was given up"
        if not any(entry.body.get("kind") == "container.gave_up" for entry in device.store.history(HISTORY)):
            yield "the timeline does not have that the container was given up"
