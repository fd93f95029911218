"""Videos that are given up and quarantined are counted once, however often that is reported."""

from typing import Any

import pytest

from tests.unit.journal.conftest import Journal
from vv_core.attempts import Attempts
from vv_core.quarantine import move_to_corrupted
from vv_exporter.journal.folds.videos import MAX_SEEN, SEEN
from vv_exporter.metrics.videos import VIDEOS_EXHAUSTED, VIDEOS_QUARANTINED
from vv_exporter.state.failures import FAILURES


def exhausted(**more: Any) -> dict[str, Any]:
    return {"stage": "scan", "attempts": 3, "video": "/v/a.mp4", "video_sha256": "ab" * 32, "error": "bad", **more}


def quarantined(**more: Any) -> dict[str, Any]:
    return {"reason": "scan_failed", "path": "/v/corrupted/a.mp4", "video": "/v/a.mp4", **more}


def test_a_video_that_is_given_up_is_counted_and_remembered(journal: Journal) -> None:
    journal.writer(component="orchestrator.py").event("video.exhausted", **exhausted(id="1"))
    journal.read()

    (failure,) = journal.store.docs(FAILURES).values()
    assert journal.value(VIDEOS_EXHAUSTED, "scan") == 1
    assert (failure.component, failure.kind, failure.video) == ("orchestrator.py", "exhausted:scan", "/v/a.mp4")
    assert (failure.video_sha256, failure.error) == ("ab" * 32, "bad")


def test_a_file_that_is_quarantined_is_counted_and_remembered(journal: Journal) -> None:
    journal.writer().event("video.quarantined", **quarantined(id="1", component="scan_video.py"))
    journal.read()

    (failure,) = journal.store.docs(FAILURES).values()
    assert journal.value(VIDEOS_QUARANTINED, "scan_video.py", "scan_failed") == 1
    assert (failure.kind, failure.video) == ("quarantined:scan_failed", "/v/a.mp4")


def test_what_is_reported_again_under_its_id_counts_once_across_restarts(journal: Journal) -> None:
    for writer in ("a", "b"):
        one = journal.writer(writer)
        for _ in range(2):
            one.event("video.exhausted", **exhausted(id="1"))
            one.event("video.quarantined", **quarantined(id="2"))
        journal.read()
        journal.restart()

    assert journal.value(VIDEOS_EXHAUSTED, "scan") == 1
    assert journal.value(VIDEOS_QUARANTINED, "test.py", "scan_failed") == 1


def test_without_an_id_each_counts(journal: Journal) -> None:
    writer = journal.writer()
    for _ in range(2):
        writer.event("video.exhausted", **exhausted())
    journal.read()

    assert journal.value(VIDEOS_EXHAUSTED, "scan") == 2


def test_the_memory_of_ids_is_bounded_and_the_newest_stay(journal: Journal) -> None:
    writer = journal.writer()
    for number in range(MAX_SEEN + 10):
        if number % 500 == 0:
            journal.read()
        writer.event("video.exhausted", **exhausted(id=str(number)))
    journal.read()

    assert len(journal.store.docs(SEEN)) == MAX_SEEN
    assert str(MAX_SEEN + 9) in journal.store.docs(SEEN)
    assert journal.value(VIDEOS_EXHAUSTED, "scan") == MAX_SEEN + 10


def test_what_the_sdk_reports_is_what_is_counted(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    from vv_core.common import journals

    storage = journal.directory.parent / "storage"
    (storage / "input").mkdir(parents=True)
    monkeypatch.setenv("VV_STATE_DIR", str(journal.directory.parent))
    monkeypatch.setenv("VIDEO_STORAGE_ROOT", str(storage))
    video, other = storage / "input" / "a.mp4", storage / "input" / "b.mp4"
    video.write_bytes(b"a")
    other.write_bytes(b"b")
    journals.reset()
    with Attempts(video, limit=1, component="orchestrator.py").attempt("scan") as attempt:
        attempt.fail("bad")
    move_to_corrupted(other, "hmac", component="logline_verifier.py")
    journals.reset()
    journal.read()

    assert journal.values(VIDEOS_EXHAUSTED) == {("scan",): 1}
    assert journal.values(VIDEOS_QUARANTINED) == {
        ("orchestrator.py", "attempts_exhausted"): 1,
        ("logline_verifier.py", "hmac"): 1,
    }
