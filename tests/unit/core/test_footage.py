"""Recordings are reported with their time and file; what is no time is not, and nothing is raised."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vv_core.footage import recorded
from vv_core.signing import sign_payload
from vv_core.stages import stage
from vv_core.testing import captured

THEN = 1_700_000_000.0


def test_a_recording_is_reported() -> None:
    with captured() as events:
        recorded("gate", THEN, THEN + 60, video="/v/a.mp4", video_sha256="ab" * 32, component="recorder.py")

    (event,) = events
    assert {key: event[key] for key in ("type", "dvr", "start", "end", "video", "video_sha256", "component")} == {
        "type": "footage.recorded",
        "dvr": "gate",
        "start": THEN,
        "end": THEN + 60,
        "video": "/v/a.mp4",
        "video_sha256": "ab" * 32,
        "component": "recorder.py",
    }


def test_times_may_be_datetimes() -> None:
    with captured() as events:
        recorded("gate", datetime.fromtimestamp(THEN, UTC), datetime.fromtimestamp(THEN + 60, UTC))

    assert (events[0]["start"], events[0]["end"]) == (THEN, THEN + 60)


def test_the_surrounding_stage_knows_the_file() -> None:
    with captured() as events, stage("record", video="/v/a.mp4", component="recorder.py"):
        recorded("gate", THEN, THEN + 60)

    (event,) = (event for event in events if event["type"] == "footage.recorded")
    assert (event["video"], event["component"]) == ("/v/a.mp4", "recorder.py")


@pytest.mark.parametrize("wrong", [None, "noon", float("nan"), float("inf"), 1e300, object(), 10**400])
def test_what_is_no_time_is_logged_and_not_reported(wrong: object, caplog: pytest.LogCaptureFixture) -> None:
    with captured() as events:
        recorded("gate", wrong, THEN)  # type: ignore[arg-type]
        recorded("gate", THEN, wrong)  # type: ignore[arg-type]

    assert events == []
    assert "recorded(gate): no two times" in caplog.text


def test_a_signature_that_was_made_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "2026.key"
    key.write_text("k" * 64)
    key.chmod(0o600)
    monkeypatch.setenv("VV_HMAC_KEY_FILE", str(key))

    with captured() as events, stage("logline_generator", video="/v/a.mp4"):
        sign_payload({"line": 1})

    (event,) = (event for event in events if event["type"] == "hmac")
    assert (event["result"], event["video"]) == ("ok", "/v/a.mp4")
