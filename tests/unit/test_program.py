"""What the long-running programs share."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from vv_exporter.runtime.program import console, logging_to, only_one
from vv_exporter.settings import SettingsError, load


def test_a_folder_is_held_by_one_program_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "self-monitor"
    folder.mkdir(parents=True)
    with only_one(folder, "self-monitor"):
        with pytest.raises(SettingsError) as refused, only_one(folder, "self-monitor"):
            pass
        assert refused.value.problems == (f"VV_STATE_DIR: another self-monitor is using {folder}; stop it first",)

    with only_one(folder, "self-monitor"):
        pass


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/nowhere/lock")])
def test_a_folder_is_held_whatever_lies_in_the_locks_place(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "lock")

    with only_one(tmp_path, "exporter"):
        with pytest.raises(SettingsError, match="another exporter"), only_one(tmp_path, "exporter"):
            pass
        assert (tmp_path / "lock").is_file()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")

    said = r"VV_STATE_DIR: .*/state/exporter cannot be used \(Not a directory\)"
    with pytest.raises(SettingsError, match=said), only_one(tmp_path / "state" / "exporter", "exporter"):
        pass


def test_what_goes_wrong_while_a_folder_is_held_is_not_taken_for_another_holder(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), only_one(tmp_path, "exporter"):
        raise BlockingIOError


def test_each_program_keeps_to_the_size_of_the_log(tmp_path: Path) -> None:
    settings = load({"VV_STATE_DIR": str(tmp_path), "VV_LOG_MAX": "64KB"})
    root = logging.getLogger()
    before = list(root.handlers)
    with logging_to(settings, "self-monitor"):
        for number in range(1000):
            logging.getLogger("x").info("line %d of what is said", number)

    assert (settings.logs / "app.log").stat().st_size <= 64_000
    assert (settings.logs / "app.log.1").exists()
    assert "self-monitor" in (settings.logs / "app.log").read_text()
    assert root.handlers == before


def test_what_is_logged_forges_no_line_of_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    handler = console()
    logger = logging.getLogger("forged")
    logger.addHandler(handler)
    try:
        raise ValueError("a\nCRITICAL all is lost \x1b[2J\u202e")
    except ValueError:
        logger.exception("two\nCRITICAL lines \x1b[31m\u202e")
    finally:
        logger.removeHandler(handler)

    first, *rest = capsys.readouterr().err.splitlines()
    assert first == r"ERROR two\nCRITICAL lines \x1b[31m\u202e"
    assert rest[-1] == r"  CRITICAL all is lost \x1b[2J\u202e"
    assert all(line.startswith("  ") for line in rest)
