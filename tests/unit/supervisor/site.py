"""A device in memory: an Engine that does what it is told, a journal that is a list, a clock that stands still, and a
self-monitor that can be killed at each of its effects. Only the database is real."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.support.clock import Clock
from tests.support.clocks import Clocks
from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import CONTAINERS, ContainerRecord
from vv_exporter.metrics.containers import RESTARTS
from vv_exporter.settings import load
from vv_exporter.state.store import Store, Transaction
from vv_exporter.state.timekeeping import Timekeeper
from vv_exporter.supervisor.loop import Supervisor
from vv_exporter.supervisor.mailbox import Mailbox
from vv_exporter.supervisor.state import SUPERVISED, Supervised

replace = msgspec.structs.replace
FAILED = ContainerRecord(name="web", id="1", state="exited", exit_code=3, wanted=True, started=SECOND)


class KilledError(BaseException):
    """SIGKILL."""


class OwnStore(Store):
    """Each transaction is an effect: there is a moment before and one after."""

    def __init__(self, path: Path, clock: Clock | Clocks, moment: Callable[[], None]) -> None:
        keeper = Timekeeper(clock.boottime, clock.boot) if isinstance(clock, Clocks) else None
        super().__init__(path, clock, timekeeper=keeper)
        self._connection.execute("PRAGMA synchronous = OFF")  # no power is cut here
        self._moment = moment

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self._moment()
        with super().transaction() as tx:
            yield tx
        self._moment()

    def engine_changes(self) -> Any:
        """A transaction of the watch, which is no effect of the self-monitor's."""
        return super().transaction()


class Site:
    """`after_start` says how a container is once it was started."""

    def __init__(
        self,
        folder: Path,
        record: ContainerRecord = FAILED,
        config: str = "",
        clock: Clock | Clocks | None = None,
        **environ: str,
    ) -> None:
        self.clock = clock or Clock()
        (folder / "vv.yml").write_text(config or "self_monitor: {containers: [web]}")
        self.settings = load(
            {
                "VV_STATE_DIR": str(folder),
                "VV_CONFIG": str(folder / "vv.yml"),
                "SELF_MONITOR_MAX_RESTARTS": "3",
                "SELF_MONITOR_BACKOFF": "1s",
                **environ,
            }
        )
        self.settings.self_monitor_dir.mkdir()
        self.mailbox = Mailbox(self.settings.self_monitor_dir)
        self.events: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.current = True
        self.problem: Exception | None = None
        """What the Engine answers instead."""
        self.lost = False
        """Whether that answer comes after it has done what was asked."""
        self.programs: bool | Exception = True
        self.after_start: dict[str, Any] = {"state": "exited"}
        self.moments = 0
        self.kill_at = 0
        self.own_id = ""
        self.store = OwnStore(folder / "state.db", self.clock, self.moment)
        self.set(record)
        self.supervisor = self._supervisor()

    def _supervisor(self) -> Supervisor:
        monotonic = self.clock.monotonic if isinstance(self.clock, Clocks) else self.clock
        return Supervisor(self.settings, self.store, self, _Engine(self), self, self.clock, monotonic, self.own_id)

    def restart(self) -> None:
        """The self-monitor is killed, or ended, and started again."""
        self.supervisor = self._supervisor()

    def moment(self) -> None:
        self.moments += 1
        if self.moments == self.kill_at:
            raise KilledError

    def rounds(self, count: int = 1) -> None:
        """So many looks, a second apart; a killed self-monitor is started again."""
        for _ in range(count):
            self.clock.advance(1)
            try:
                self.supervisor.round()
            except KilledError:
                self.restart()

    # What it knows, and what it has said.

    @property
    def record(self) -> ContainerRecord:
        record = self.store.document(CONTAINERS, "web")
        assert record is not None
        return record

    @property
    def history(self) -> Supervised:
        history = self.store.document(SUPERVISED, "web")
        assert history is not None
        return history

    container_kind = CONTAINERS

    def set(self, record: ContainerRecord) -> None:
        with self.store.engine_changes() as tx:
            tx.put(CONTAINERS, record.name, record)

    def change(self, **changes: Any) -> None:
        self.set(replace(self.record, **changes))

    def restarted_by_docker(self, times: int = 1) -> None:
        with self.store.engine_changes() as tx:
            tx.inc(RESTARTS, ("web", "policy"), times)

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def attempts(self) -> list[str]:
        """Those that were announced, each once."""
        return list(dict.fromkeys(event["attempt"] for event in self.told("container.restarting")))

    # The journal.

    def emit(self, kind: str, component: str, fields: Mapping[str, object], worth: float = 1) -> bool:
        self.moment()
        self.events.append({"type": kind, **fields})
        self.moment()
        return True

    # The Engine.

    def start(self, container: str) -> None:
        self._do("start", **self._started())

    def restart_container(self, container: str) -> None:
        self._do("restart", **self._started())

    def stop(self, container: str) -> None:
        self._do("stop", state="exited", stopped=True, wanted=False)

    def set_policy(self, container: str, name: str, retries: int = 0) -> None:
        self._do(f"policy {name}:{retries}", policy=name, max_retries=retries)

    def log_tail(self, container: str, count: int) -> str:
        return "\n".join(["starting", "disk full"][-count:] if count else [])

    def runs(self, container: str, program: str) -> bool:
        if isinstance(self.programs, Exception):
            raise self.programs
        return self.programs

    def _started(self) -> dict[str, Any]:
        now = int(self.clock() * SECOND) + len(self.calls)
        return {"state": "running", "stopped": False, "wanted": True, "started": now, **self.after_start}

    def _do(self, call: str, **changes: Any) -> None:
        self.moment()
        self.calls.append(call)
        if self.problem is None or self.lost:
            self.change(**changes)
        if self.problem is not None:
            raise self.problem
        self.moment()


class _Engine:
    """Tells `Site.restart`, which is the self-monitor's, from the Engine's."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __getattr__(self, name: str) -> Any:
        return getattr(self._site, "restart_container" if name == "restart" else name)
