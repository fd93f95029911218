"""The exporter on what is left: its store and its reader, as after a boot, until nothing is to be read any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.support.clock import Clock
from vv_exporter.journal.folds import discover
from vv_exporter.journal.reader import Reader
from vv_exporter.metrics.alerts import ALERT_EVENTS
from vv_exporter.metrics.jobs import JOB_RUNS
from vv_exporter.settings import Settings, load
from vv_exporter.state.openalerts import ALERTS
from vv_exporter.state.store import Store

_folds = cache(discover)


@cache
def settings(root: Path) -> Settings:
    """Those of a device whose state is `root`."""
    return load({"VV_STATE_DIR": str(root), "VV_CONFIG": "", "VV_DEVICE_ID": "device"})


class Exporter:
    """The part of it that keeps something. `read` takes all that is there."""

    def __init__(self, root: Path, clock: Clock | None = None, commit_interval: float = 0.0) -> None:
        self.clock = clock or Clock()
        self.folder = settings(root).journal_dir
        self.store = Store(settings(root).exporter_dir / "state.db", self.clock)
        self.reader = Reader(
            self.folder,
            self.store,
            _folds(),
            settings(root),
            self.clock,
            self.clock,
            commit_interval=commit_interval,
        )

    def read(self) -> None:
        """All that is there. A second passes, so that locks are looked at."""
        self.clock.advance(2)
        while self.reader.round():
            pass

    def alerts(self) -> dict[str, int]:
        """How often each was raised, by its title."""
        found = Counter[str]()
        for alert in self.store.docs(ALERTS).values():
            found[alert.title] += alert.count
        return dict(found)

    def beats(self) -> dict[str, float]:
        """How often each job succeeded."""
        return {job: series.value for (job, result), series in self.store.series(JOB_RUNS) if result == "success"}

    def counted(self) -> float:
        """How many alerts were counted in all."""
        return sum(series.value for _, series in self.store.series(ALERT_EVENTS))


@contextmanager
def exporter(root: Path) -> Iterator[Exporter]:
    """One that is closed in the end."""
    one = Exporter(root)
    try:
        yield one
    finally:
        one.store.close()


def damaged(root: Path) -> list[str]:
    """Databases that were taken for damaged, and set aside."""
    return [str(path.relative_to(root)) for path in root.rglob("*.damaged-*")]
