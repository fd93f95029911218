"""What the tests of delivery share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.delivery.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state.db")
    yield bench
    bench.store.close()
