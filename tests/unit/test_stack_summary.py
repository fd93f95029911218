"""What `vv up` prints once all is running."""

from pathlib import Path

import pytest

from vv_exporter.settings import load
from vv_exporter.stack.up import summary


@pytest.mark.parametrize("url", ["", "https://example.org/ping"])
def test_that_nobody_learns_when_the_device_is_off_is_said_in_one_line_with_the_cure(tmp_path: Path, url: str) -> None:
    lines = summary(load({"VV_STATE_DIR": str(tmp_path), "DEADMAN_URL": url})).splitlines()

    said = [line for line in lines if "when it is off" in line]
    assert len(said) == (0 if url else 1)
    assert all("DEADMAN_URL: is not set; when this device is off nobody learns of it; set it" in line for line in said)
