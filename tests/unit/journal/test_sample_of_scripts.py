"""What a script says in its `except` blocks, from `send_alert` to the object that a webhook gets."""

import traceback
from pathlib import Path

import msgspec

from tests.unit.journal.conftest import Journal
from vv_core.alerter import send_alert
from vv_core.testing import captured
from vv_exporter.alertmanager.payload import payload
from vv_exporter.delivery import webhook
from vv_exporter.delivery.notifications import NotifiedAlert
from vv_exporter.state import timeline
from vv_exporter.state.openalerts import ALERTS

LINKS = webhook.Links("http://127.0.0.1:19461", "http://127.0.0.1:9093")


def process(video_path: Path, error: Exception) -> None:
    """The last resort of a script that knows nothing of the exporter, but for one function."""
    try:
        raise error
    except FileNotFoundError as fnf_error:
        error_details = {"video": str(video_path), "error": str(fnf_error)}
        send_alert("ERROR", "File Not Found During Processing", error_details, "scan_video.py")
    except Exception as e:
        error_details = {
            "video": str(video_path),
            "error_type": type(e).__name__,
            "message": str(e),
            "traceback": traceback.format_exc(),
        }
        send_alert("CRITICAL", "Unhandled Exception in Processing", error_details, "scan_video.py")


def received(journal: Journal, *failures: tuple[str, Exception]) -> list[dict[str, str]]:
    """The objects that a webhook gets of these, in the order of their videos."""
    with captured() as events:
        for video, error in failures:
            process(Path(video), error)
    writer = journal.writer(component="scan_video.py")
    for event in events:
        writer.event(event.pop("type"), **event)
    journal.read()
    told = []
    for alert in journal.store.docs(ALERTS).values():
        sent = payload(alert, "edge-device-001", "https://runbooks/VVEvent.md", LINKS.exporter)
        notified = NotifiedAlert(
            "firing", sent["labels"], sent["annotations"], sent["startsAt"], "0001-01-01T00:00:00Z", alert.identity
        )
        told.append(msgspec.to_builtins(webhook.event(notified, webhook.alert_id(notified), LINKS)))
    return sorted(told, key=lambda one: one["video_file_context"])


def test_every_field_is_filled_and_two_videos_are_two_alerts(journal: Journal) -> None:
    first, second = received(
        journal, ("in/a.mp4", RuntimeError("no keyframe")), ("in/b.mp4", RuntimeError("no keyframe"))
    )

    assert (first["video_file_context"], second["video_file_context"]) == (
        str(Path("in/a.mp4").absolute()),
        str(Path("in/b.mp4").absolute()),
    )
    assert first["alert_id"] != second["alert_id"]
    assert (first["severity"], first["title"]) == ("CRITICAL", "Unhandled Exception in Processing")
    assert (first["source_component"], first["hostname"]) == ("scan_video.py", "edge-device-001")
    assert first["timestamp"] == "2023-11-14T22:13:20Z"
    assert "error_type: RuntimeError\nmessage: no keyframe\ntraceback: Traceback" in first["message_details"]
    assert "in/a.mp4" not in first["message_details"]  # it is told once
    assert all(first.values())


def test_what_a_video_fails_with_next_is_not_lost(journal: Journal) -> None:
    (told,) = received(
        journal, ("in/a.mp4", FileNotFoundError("a.mp4 is gone")), ("in/a.mp4", FileNotFoundError("no such folder"))
    )

    assert "error: a.mp4 is gone" in told["message_details"]
    assert "repeated once since 2023-11-14T22:13:20Z, with other details (in the timeline)" in told["message_details"]
    newest = timeline.read(journal.store, timeline.Filter()).moments[0]
    assert (newest.kind, newest.alert_id, newest.video) == (
        "alert.repeated",
        told["alert_id"],
        str(Path("in/a.mp4").absolute()),
    )
    assert "error: no such folder" in newest.details
