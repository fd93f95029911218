"""Footage by the journal: exactly once, whatever the order of its events, with what was known of the DVR meanwhile."""

import random
from pathlib import Path

import pytest

from tests.support.journals import RawWriter
from tests.unit.journal.conftest import Journal
from tests.unit.journal.test_properties import journal_in
from vv_exporter.footage import states
from vv_exporter.footage.causes import Known, explain
from vv_exporter.footage.intervals import Span, gaps
from vv_exporter.footage.ledger import DAYS, spans_of
from vv_exporter.footage.segments import MAX_NAMES, NAMES
from vv_exporter.metrics.footage import FOOTAGE_REFUSED, FOOTAGE_SECONDS
from vv_exporter.state.store import Store

THEN = 1_699_900_000
MS = 1000


def spans(store: Store, step: str = "recorded", dvr: str = "gate") -> list[Span]:
    """In seconds since `THEN`."""
    found = spans_of(lambda key: store.document(DAYS, key), dvr, step, (THEN - 3600) * MS, (THEN + 90_000) * MS)
    return [(round(a / MS) - THEN, round(b / MS) - THEN) for a, b in found]


def recorded(writer: RawWriter, start: float, end: float, dvr: str = "gate", **more: str) -> None:
    writer.event("footage.recorded", dvr=dvr, start=THEN + start, end=THEN + end, **more)


def frames(writer: RawWriter, start: int, end: int, dvr: str = "gate") -> None:
    """One report a second, as an agent makes them."""
    for second in range(start, end + 1):
        writer.event("dvr.frames", dvr=dvr, frames=25, last=THEN + second, ts=THEN + second)


def causes(journal: Journal, start: int, end: int) -> list[tuple[int, int, str, str]]:
    """Why the footage between two moments is missing, in seconds since `THEN`."""
    received = spans_of(lambda key: journal.store.document(DAYS, key), "gate", "received", (THEN - 9) * MS, 2**43)
    (hole,) = gaps(received, (THEN + start) * MS, (THEN + end) * MS)
    lasting = lambda key: journal.store.document(states.LASTING, key)  # noqa: E731
    ended = lambda key: journal.store.document(states.ENDED, key)  # noqa: E731
    known: list[Known] = list(states.known_of(lasting, ended, "gate", hole[0], round(journal.clock() * MS)))
    return [
        (round(a / MS) - THEN, round(b / MS) - THEN, cause, detail) for a, b, cause, detail in explain(*hole, known)
    ]


def test_recordings_are_entered_once(journal: Journal) -> None:
    writer = journal.writer()
    for start in (0, 60, 0, 180, 59):
        recorded(writer, start, start + 60)
    journal.read()

    assert spans(journal.store) == [(0, 120), (180, 240)]
    assert journal.value(FOOTAGE_SECONDS, "gate", "recorded") == 180


def test_what_cannot_be_is_counted(journal: Journal) -> None:
    writer = journal.writer()
    recorded(writer, 60, 0)
    recorded(writer, 10**7, 10**7 + 60)
    recorded(writer, -THEN, 60 - THEN, video="/v/a.mp4")
    journal.read()

    assert journal.values(FOOTAGE_REFUSED) == {("length",): 1, ("future",): 1, ("past",): 1}
    assert journal.store.count(NAMES) == 0


def test_frames_are_footage_received_from_the_first_to_the_last(journal: Journal) -> None:
    writer = journal.writer()
    frames(writer, 0, 30)
    frames(writer, 33, 60)
    frames(writer, 64, 90)
    journal.read()

    assert spans(journal.store, "received") == [(0, 60), (64, 90)]
    assert journal.value(FOOTAGE_SECONDS, "gate", "received") == pytest.approx(86, abs=0.01)


STEPS = ["recorded", "analysed", "summarised", "signed"]


def worked_on(video: str, sha256: str = "", **more: str) -> list[tuple[str, dict[str, object]]]:
    """What a pipeline tells of a recording."""
    named = {"video": video, **({"video_sha256": sha256} if sha256 else {}), **more}
    done = {"outcome": "success", "seconds": 1.0, "run": f"{video}{sha256}", **named}
    return [
        ("stage.finished", {"stage": "scan_video", **done}),
        ("stage.finished", {"stage": "summarize_scene", **done}),
        ("hmac", {"operation": "sign", "result": "ok", **named}),
    ]


@pytest.mark.parametrize("seed", range(12))
def test_what_is_done_with_a_file_is_done_with_its_time_whatever_comes_first(journal: Journal, seed: int) -> None:
    """Two cameras have files of one name; one file is moved, and told by its hash; a third is nobody's."""
    writer = journal.writer()
    recorded(writer, 600, 660, dvr="other")  # somebody records: else nothing of files is kept
    journal.read()
    of = {"gate": "/v/gate/1.mp4", "yard": "/v/yard/1.mp4"}
    events = [("footage.recorded", {"dvr": dvr, "start": THEN, "end": THEN + 60, "video": of[dvr]}) for dvr in of]
    events += worked_on(of["gate"], "ab" * 32)[:1]  # by path, and it tells the hash
    events += worked_on("/moved/elsewhere.mp4", "ab" * 32)[1:]
    events += worked_on("/v/hall/1.mp4")
    events += [("stage.finished", {"stage": "scan_video", "outcome": "failure", "seconds": 1.0, "run": "f",
                                   "video": of["yard"]})]  # fmt: skip
    random.Random(seed).shuffle(events)
    for kind, fields in events:
        writer.event(kind, **fields)  # type: ignore[arg-type]
        journal.read()

    assert {step: spans(journal.store, step) for step in STEPS} == {step: [(0, 60)] for step in STEPS}
    assert [spans(journal.store, step, "yard") for step in STEPS] == [[(0, 60)], [], [], []]


def test_a_file_that_grows_takes_along_what_was_done_with_it(journal: Journal) -> None:
    writer = journal.writer()
    recorded(writer, 0, 30, video="1.mp4")
    for kind, fields in worked_on("/v/1.mp4"):
        writer.event(kind, **fields)  # type: ignore[arg-type]
    recorded(writer, 0, 60, video="1.mp4")
    journal.read()

    assert {step: spans(journal.store, step) for step in STEPS} == {step: [(0, 60)] for step in STEPS}


def test_of_files_nothing_is_kept_where_nobody_records(journal: Journal) -> None:
    writer = journal.writer()
    frames(writer, 0, 5)
    for kind, fields in worked_on("/v/1.mp4"):
        writer.event(kind, **fields)  # type: ignore[arg-type]
    journal.read()

    assert journal.store.count(NAMES) == 0


def test_names_are_bounded(journal: Journal) -> None:
    writer = journal.writer()
    for n in range(MAX_NAMES + 10):
        recorded(writer, n, n + 1, video=f"/v/{n}.mp4")
    journal.read()

    assert journal.store.count(NAMES) == MAX_NAMES
    assert spans(journal.store) == [(0, MAX_NAMES + 10)]


def test_a_dvr_that_goes_is_the_cause_from_its_last_frame_to_its_next(journal: Journal) -> None:
    writer = journal.writer()
    frames(writer, 0, 30)
    writer.event("dvr.attempt", dvr="gate", result="timeout", ts=THEN + 50)
    writer.event("dvr.attempt", dvr="gate", result="refused", ts=THEN + 80)
    writer.event("dvr.attempt", dvr="gate", result="ok", ts=THEN + 100)
    frames(writer, 103, 110)
    journal.read()

    assert causes(journal, 0, 110) == [(30, 80, "dvr_down", "timeout"), (80, 103, "dvr_down", "refused")]


def test_a_stream_without_frames_is_frozen(journal: Journal) -> None:
    writer = journal.writer()
    frames(writer, 0, 30)
    frames(writer, 130, 150)
    journal.read()

    assert causes(journal, 0, 150) == [(30, 130, "dvr_frozen", "")]


def test_a_frozen_stream_that_is_noticed_is_frozen_until_it_is_lost(journal: Journal) -> None:
    writer = journal.writer()
    frames(writer, 0, 30)
    writer.event("dvr.attempt", dvr="gate", result="frozen", ts=THEN + 40)
    writer.event("dvr.attempt", dvr="gate", result="refused", ts=THEN + 100)
    frames(writer, 130, 150)
    journal.read()

    assert causes(journal, 0, 150) == [(30, 100, "dvr_frozen", ""), (100, 130, "dvr_down", "refused")]


def test_an_agent_that_is_killed_is_the_cause_until_another_one_has_frames(journal: Journal) -> None:
    writer = journal.writer("a")
    frames(writer, 0, 30)
    journal.clock.now = THEN + 30
    journal.read()
    writer.close()
    journal.read()
    journal.clock.now = THEN + 200
    frames(journal.writer("b"), 100, 110)
    journal.read()

    assert causes(journal, 0, 110) == [(30, 100, "agent_crashed", "")]


def test_an_agent_that_ends_is_no_crash(journal: Journal) -> None:
    writer = journal.writer("a")
    frames(writer, 0, 30)
    writer.event("dvr.ended", dvr="gate", ts=THEN + 31)
    journal.read()
    writer.close()
    journal.read()
    frames(journal.writer("b"), 100, 110)
    journal.read()

    assert causes(journal, 0, 110) == [(30, 100, "agent_stopped", "")]


def test_an_agent_that_was_replaced_does_not_take_the_stream_along(journal: Journal) -> None:
    first, second = journal.writer("a"), journal.writer("b")
    frames(first, 0, 30)
    frames(second, 20, 60)
    journal.read()
    first.event("dvr.ended", dvr="gate", ts=THEN + 60)
    first.close()
    journal.read()

    assert set(journal.store.docs(states.LASTING)["gate"].states) == {"connected"}


def test_what_comes_late_of_an_agent_changes_no_newer_state(journal: Journal) -> None:
    new, old = journal.writer("a-new"), journal.writer("b-old")
    frames(new, 50, 60)
    new.event("dvr.attempt", dvr="gate", result="refused", ts=THEN + 70)
    journal.read()
    frames(old, 0, 10)
    journal.read()

    assert set(journal.store.docs(states.LASTING)["gate"].states) >= {"dvr_down"}


@pytest.mark.parametrize("seed", range(5))
def test_killed_anywhere_it_is_the_same(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter is killed before or after any of its commits, and counts on: nothing twice, nothing lost."""
    chance = random.Random(seed)
    with journal_in(tmp_path) as journal:
        writer = journal.writer()
        expected = [False] * 400
        original = Store._write_transaction

        def dying(store: Store, changes: object) -> None:
            fate = chance.random()
            if fate < 0.3:
                raise KeyboardInterrupt
            original(store, changes)  # type: ignore[arg-type]
            if fate < 0.5:
                raise KeyboardInterrupt

        monkeypatch.setattr(Store, "_write_transaction", dying)
        for _ in range(60):
            start = chance.randrange(380)
            length = chance.randrange(3, 20)
            expected[start : start + length] = [True] * len(expected[start : start + length])
            recorded(writer, start, min(start + length, 400), video=f"/v/{start}.mp4")
            for kind, fields in worked_on(f"/v/{start}.mp4"):
                writer.event(kind, **fields)  # type: ignore[arg-type]
            try:
                journal.read()
            except KeyboardInterrupt:
                journal.restart()
        monkeypatch.setattr(Store, "_write_transaction", original)
        journal.read()

        for step in STEPS:
            found = spans(journal.store, step)
            assert journal.value(FOOTAGE_SECONDS, "gate", step) == pytest.approx(sum(b - a for a, b in found))
            holes = [n for n in range(400) if expected[n] and not any(a <= n < b for a, b in found)]
            assert not holes
