from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from vv_exporter.state.store import Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = Store(tmp_path / "state.db", clock)
    yield made
    made.close()
