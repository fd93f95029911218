"""`vv storage accept`: recorded for the exporter, whether it runs or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from vv_exporter.cli.storage import command
from vv_exporter.journal.events import StorageAccepted, decode


def test_accepting_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path))

    assert CliRunner().invoke(command, ["accept"]).exit_code == 0
    (file,) = (tmp_path / "journal").glob("*.jsonl")
    assert isinstance(decode(file.read_bytes().splitlines()[-1]), StorageAccepted)


def test_what_cannot_be_recorded_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "journal").write_text("in the way")
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path))

    assert CliRunner().invoke(command, ["accept"]).exit_code != 0
