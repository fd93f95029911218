"""The demo reads the notifications that the exporter writes."""

import logging
from pathlib import Path

from notices import AppLog, Notice, parse

from vv_core.logs import as_line
from vv_exporter.delivery.notifications import NotifiedAlert, log_line


def written(status: str, **annotations: str) -> str:
    alert = NotifiedAlert(
        status=status,
        labels={"alertname": "StageCrashed", "severity": "error"},
        annotations=annotations,
        starts_at="2026-11-22T15:00:00Z",
        ends_at="",
    )
    record = logging.LogRecord("alerts", logging.ERROR, "", 0, log_line(alert).text, None, None)
    record.created, record.msecs = 1795359600.25, 250
    return as_line(record, "vv-exporter").rstrip("\n")


def test_a_notification_is_read_as_it_was_written() -> None:
    line = written("firing", summary="Stage scan_video crashed", description="One run.\nThe latest: | a.mp4")

    assert parse(line) == Notice(
        1795359600.25, True, "error", "StageCrashed", "Stage scan_video crashed", "One run.\nThe latest:"
    )


def test_an_end_is_told_from_a_beginning() -> None:
    notice = parse(written("resolved", summary="Stage scan_video crashed"))

    assert notice is not None
    assert not notice.firing


def test_other_lines_are_no_notifications() -> None:
    assert parse("2026-11-22T15:00:00.000Z INFO scan_video.py[12] a.mp4: scanning") is None


def test_a_log_is_read_on_in_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    log = AppLog(path)
    assert log.new_lines() == []

    with path.open("a") as file:
        for text in ("one\ntw", "o\n", ""):
            file.write(text)
            file.flush()
            if text == "one\ntw":
                assert log.new_lines() == ["one"]

    assert log.new_lines() == ["two"]
    assert log.new_lines() == []
