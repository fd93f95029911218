"""What is written is read as it was, whatever lies in a file harms nothing, a script may be killed at any call."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clock import Clock
from tests.support.killing import killed_at_each_call
from tests.unit.journal.conftest import Journal, make_reader
from vv_core.common import journals
from vv_core.quarantine import move_to_corrupted
from vv_core.stages import stage
from vv_exporter.journal.events import RejectedError, decode
from vv_exporter.metrics.exporter import EVENTS, EVENTS_REJECTED
from vv_exporter.metrics.pipeline import STAGE_DURATION
from vv_exporter.settings import load
from vv_exporter.state.runs import STAGE_RUNS
from vv_exporter.state.store import Store

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)
OUTCOMES = ("failure", "crashed", "success")
VALID = b'{"v":1,"type":"heartbeat","ts":1.5,"job":"nightly"}'
LINES = st.lists(
    st.one_of(
        st.just(VALID),
        st.binary(max_size=200).map(lambda data: data.replace(b"\n", b"")),
        st.dictionaries(st.sampled_from(["v", "type", "ts", "job", "run", "stage", "count", "id"]), st.none() | TEXT)
        .map(json.dumps)
        .map(str.encode),
    ),
    max_size=30,
)


@contextmanager
def journal_in(folder: Path) -> Iterator[Journal]:
    clock = Clock()
    configuration = load({"VV_STATE_DIR": str(folder), "VV_CONFIG": ""})
    store = Store(folder / "state.db", clock)
    directory = folder / "journal"
    directory.mkdir(exist_ok=True)
    try:
        reader = make_reader(directory, store, configuration, clock)
        yield Journal(directory, folder / "state.db", clock, configuration, store, reader)
    finally:
        store.close()


@given(st.lists(st.tuples(TEXT, TEXT.filter(bool)), min_size=1, max_size=20))
@settings(deadline=None, max_examples=100)
def test_what_the_sdk_writes_is_what_the_exporter_reads(pairs: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        writer = journals.Journal(folder=folder)
        for job, component in pairs:
            assert writer.emit("heartbeat", component, {"job": job})
        writer.close()
        (file,) = Path(folder).iterdir()
        events = [decode(line) for line in file.read_bytes().splitlines()]

    assert [(event.job, event.component or events[0].component) for event in events[1:]] == pairs  # type: ignore[attr-defined]


@given(LINES, st.booleans())
@settings(deadline=None, max_examples=100)
def test_every_line_is_counted_or_refused_and_none_harms_another(lines: list[bytes], ends: bool) -> None:
    expected = 0
    for line in lines:
        try:
            decode(line)
            expected += 1
        except RejectedError:
            pass
    text = b"".join(line + b"\n" for line in lines) + (b"" if ends else b'{"v":1,"ty')
    with tempfile.TemporaryDirectory() as folder, journal_in(Path(folder)) as journal:
        (journal.directory / "fuzz.0.jsonl").write_bytes(text)
        journal.clock.advance(10**9)  # long unchanged: complete
        journal.read()
        counted = sum(journal.values(EVENTS).values())
        refused = sum(journal.values(EVENTS_REJECTED).values())

        assert counted == expected
        assert refused == len(lines) - expected + (not ends)
        assert journal.names() == []


@pytest.mark.exhaustive
def test_a_stage_script_may_be_killed_at_each_of_its_system_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The video is whole and in one place, and the run is counted once: as it ended, or as crashed."""
    content = b"\0FRAME" * 1000
    storage = tmp_path / "videos"
    (storage / "input").mkdir(parents=True)
    video, moved = storage / "input" / "a.mp4", storage / "corrupted" / "a.mp4"
    monkeypatch.setenv("VIDEO_STORAGE_ROOT", str(storage))
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path))
    video.write_bytes(content)

    def script() -> None:
        with stage("scan", video=video, component="scan.py") as run:
            run.fail("no frames")
            move_to_corrupted(video, "no_frames", component="scan.py")

    journals.reset()
    outcomes = set()
    for number, _ in enumerate(killed_at_each_call(script)):
        (tmp_path / f"exporter{number}").mkdir()
        store = Store(tmp_path / f"exporter{number}" / "state.db", Clock())
        configuration = load({"VV_STATE_DIR": str(tmp_path), "VV_CONFIG": ""})
        journal = Journal(
            tmp_path / "journal",
            tmp_path,
            clock := Clock(4_000_000_000.0),
            configuration,
            store,
            make_reader(tmp_path / "journal", store, configuration, clock),
        )
        journal.read()

        began = journal.value(EVENTS, "stage.started") or 0
        ended = {
            outcome: journal.count(STAGE_DURATION, "scan", outcome) for outcome in ("failure", "crashed", "success")
        }
        assert sum(ended.values()) == began <= 1
        assert ended["success"] == 0
        assert store.docs(STAGE_RUNS) == {}
        assert journal.values(EVENTS_REJECTED) == {}
        assert [path.read_bytes() for path in (video, moved) if path.exists()] == [content]
        outcomes |= {outcome for outcome, count in ended.items() if count}
        store.close()
        if moved.exists():
            moved.rename(video)
            moved.with_name("a.mp4.meta.json").unlink()
        journals.reset()

    assert outcomes == {"failure", "crashed"}
