from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.journals import RawWriter
from vv_exporter.journal.folds import discover
from vv_exporter.journal.reader import Reader
from vv_exporter.metrics import Labels, Metric
from vv_exporter.settings import Settings, load
from vv_exporter.state.store import Store


@dataclass
class Journal:
    """A journal's folder with a reader that works only when told to, and a clock that stands still."""

    directory: Path
    state: Path
    clock: Clock
    settings: Settings
    store: Store
    reader: Reader

    def writer(self, name: str = "w", seq: int = 0, **header: object) -> RawWriter:
        return RawWriter(self.directory, name, seq, **header)  # type: ignore[arg-type]

    def read(self) -> None:
        """Let a second pass, so that locks are looked at, and read everything there is."""
        self.clock.advance(1)
        while self.reader.round():
            pass

    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.state, self.clock)
        self.reader = make_reader(self.directory, self.store, self.settings, self.clock)

    def value(self, metric: Metric, *labels: str) -> float | None:
        return self.store.value(metric, labels)

    def count(self, metric: Metric, *labels: str) -> int:
        """How many observations a histogram has."""
        series = self.store.find(metric, labels)
        return sum(series.counts) if series else 0

    def values(self, metric: Metric) -> dict[Labels, float]:
        return {labels: series.value for labels, series in self.store.series(metric)}

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())


def make_reader(directory: Path, store: Store, settings: Settings, clock: Clock) -> Reader:
    return Reader(directory, store, discover(), settings, clock, clock)


@pytest.fixture
def make_journal(tmp_path: Path) -> Iterator[Callable[..., Journal]]:
    made: list[Journal] = []

    def make(**environ: str) -> Journal:
        directory, state, clock = tmp_path / "journal", tmp_path / "state.db", Clock()
        settings = load({"VV_STATE_DIR": str(tmp_path), "VV_CONFIG": "", **environ})
        store = Store(state, clock)
        directory.mkdir()
        made.append(Journal(directory, state, clock, settings, store, make_reader(directory, store, settings, clock)))
        return made[-1]

    yield make
    for journal in made:
        journal.store.close()


@pytest.fixture
def journal(make_journal: Callable[..., Journal]) -> Journal:
    return make_journal()
