import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder for thousands of states: in memory where that can be had, since each start syncs."""
    above = Path(tempfile.mkdtemp(prefix="vv-powercut-", dir=_MEMORY if _MEMORY.is_dir() else tmp_path))
    yield above / "disk"
    shutil.rmtree(above)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenarios change it in the test's own process as well."""
    monkeypatch.setenv("VV_STATE_DIR", "/nonexistent")
    monkeypatch.delenv("VIDEO_STORAGE_ROOT", raising=False)
