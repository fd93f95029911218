"""What Alertmanager is told of an alert."""

import msgspec
import pytest

from vv_exporter.alertmanager.payload import payload, repeats
from vv_exporter.state.openalerts import OpenAlert

ALERT = OpenAlert(
    id="0190",
    key="abcd",
    severity="critical",
    title="Signing failed",
    component="logline_generator.py",
    first=1_700_000_000.0,
    last=1_700_000_600.0,
    ends=1_700_001_500.0,
    details="key 7 cannot be read",
    context={"video": "a.mp4", "video_sha256": "ab", "camera": "door"},
    suggested_actions="Look at the key.",
    count=38,
)


def test_what_identifies_it_is_a_label_and_the_rest_an_annotation() -> None:
    sent = payload(ALERT, "edge-1", "https://runbooks/VVEvent.md", "http://127.0.0.1:19461")

    assert sent["labels"] == {
        "alertname": "VVEvent",
        "severity": "critical",
        "component": "logline_generator.py",
        "device": "edge-1",
        "title": "Signing failed",
        "alert_key": "abcd",
    }
    assert sent["annotations"] == {
        "summary": "Signing failed",
        "description": "key 7 cannot be read\ncamera: door\nrepeated 37 times since 2023-11-14T22:13:20Z",
        "suggested_actions": "Look at the key.",
        "alert_id": "0190",
        "hostname": "edge-1",
        "timestamp": "2023-11-14T22:13:20Z",
        "count": "38",
        "runbook_url": "https://runbooks/VVEvent.md",
        "video": "a.mp4",
        "video_sha256": "ab",
    }
    assert (sent["startsAt"], sent["endsAt"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:38:25Z")


def test_no_annotation_is_empty() -> None:
    bare = OpenAlert(id="1", key="k", severity="info", title="T", component="", first=0.0, last=0.0, ends=1.0)
    sent = payload(bare, "edge-1", "u", "g")

    assert all(sent["annotations"].values())
    assert sent["labels"]["component"] == "unknown"


def test_one_repeat_is_told_as_once() -> None:
    twice = msgspec.structs.replace(ALERT, count=2)

    assert repeats(twice, "edge-1", "u", "g", 0.0)["annotations"]["summary"] == "Signing failed (repeated once)"
    assert payload(twice, "edge-1", "u", "g")["annotations"]["description"].endswith(
        "repeated once since 2023-11-14T22:13:20Z"
    )


@pytest.mark.parametrize(
    ("count", "differing", "told"),
    [
        (2, 1, "repeated once since 2023-11-14T22:13:20Z, with other details (in the timeline)"),
        (38, 5, "repeated 37 times since 2023-11-14T22:13:20Z, 5 of them with other details (in the timeline)"),
    ],
)
def test_repeats_that_say_something_else_are_counted(count: int, differing: int, told: str) -> None:
    alert = msgspec.structs.replace(ALERT, count=count, differing=differing)

    assert payload(alert, "edge-1", "u", "g")["annotations"]["description"].splitlines()[-1] == told


def test_another_occurrence_has_another_identity_and_the_same_key() -> None:
    first, second = (
        payload(msgspec.structs.replace(ALERT, occurrence=when), "e", "u", "g") for when in (1e9, 1e9 + 900)
    )

    assert first["labels"].pop("occurrence") != second["labels"].pop("occurrence")
    assert first["labels"] == second["labels"]
