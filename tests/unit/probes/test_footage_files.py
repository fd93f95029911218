"""Recordings by the names of their files: what they are called, how far they go, which are found, what is hostile."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import Clock
from vv_exporter.common.footage_names import FootageNames
from vv_exporter.footage.corrupt import corrupt_between
from vv_exporter.footage.intervals import Span
from vv_exporter.footage.ledger import DAYS, spans_of
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.metrics.footage import FOOTAGE_OLDEST, FOOTAGE_REFUSED, FOOTAGE_SECONDS
from vv_exporter.probes import footage_files
from vv_exporter.probes.footage_files import ALL_AGAIN, FootageFiles, recording_of
from vv_exporter.settings import Duration, FootageSettings
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import HISTORY

PATTERN = "{dvr}_{start:%Y%m%dT%H%M%S}.mp4"
PLAYABLE = b"\x00\x00\x00\x08ftyp\x00\x00\x00\x08moov"
NOON = datetime(2023, 11, 14, 12, tzinfo=UTC).timestamp()


def starts(pattern: str, path: str, timezone: str = "UTC") -> list[str]:
    found = FootageNames(pattern, "gate", timezone).starts(path)
    return [datetime.fromtimestamp(one, UTC).isoformat() for one in found]


@pytest.mark.parametrize(
    ("pattern", "path", "start"),
    [
        (PATTERN, "gate_20231114T120000.mp4", "2023-11-14T12:00:00+00:00"),
        ("input/{dvr}/{start:%Y-%m-%d/%H-%M}.mkv", "input/gate/2023-11-14/12-30.mkv", "2023-11-14T12:30:00+00:00"),
        ("*/{dvr}-{start:%s}.ts", "a/gate-1699963200.ts", "2023-11-14T12:00:00+00:00"),
        ("{start:%Y/%m/%d/%Y%m%d%H%M%S}-*.mp4", "2023/11/14/20231114120001-x.mp4", "2023-11-14T12:00:01+00:00"),
        ("{start:%y%j-%H%M%S.%f}", "23318-120000.25", "2023-11-14T12:00:00.250000+00:00"),
        ("{start:%Y%m%dT%H%M%S%z}.mp4", "20231114T120000+0200.mp4", "2023-11-14T10:00:00+00:00"),
        ("{start:%Y%m%dT%H%M%S%z}.mp4", "20231114T120000Z.mp4", "2023-11-14T12:00:00+00:00"),
        ("100%%{start:%Y%m%d%%%H%M}.mp4".replace("100%%", "a+b"), "a+b20231114%1200.mp4", "2023-11-14T12:00:00+00:00"),
    ],
)
def test_a_name_says_when_its_file_begins(pattern: str, path: str, start: str) -> None:
    assert starts(pattern, path) == [start]


@pytest.mark.parametrize(
    "path",
    [
        "yard_20231114T120000.mp4",
        "gate_20231114T120000.mp4.part",
        "x/gate_20231114T120000.mp4",
        "gate_20230230T120000.mp4",
        "gate_20231114T250000.mp4",
        "gate_00000000T000000.mp4",
        "gate_٢٠٢٣1114T120000.mp4",
        "gate_20231114T120000.mp4\n",
        "gate_\udcff.mp4",
        "",
    ],
)
def test_others_are_none_of_them(path: str) -> None:
    assert starts(PATTERN, path) == []


def test_a_code_that_comes_again_says_the_same() -> None:
    assert starts("{start:%Y-%m-%d/%Y%m%dT%H%M%S}", "2023-11-14/20221114T120000") == []


def test_names_are_read_in_the_time_zone_and_an_hour_that_comes_twice_is_two() -> None:
    lisbon = "Europe/Lisbon"
    assert starts(PATTERN, "gate_20230714T120000.mp4", lisbon) == ["2023-07-14T11:00:00+00:00"]
    assert starts(PATTERN, "gate_20231029T013000.mp4", lisbon) == [
        "2023-10-29T00:30:00+00:00",
        "2023-10-29T01:30:00+00:00",
    ]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{dvr}.mp4", "does not say when"),
        ("{start:%Y%m%d}.mp4", "does not say when"),
        ("{start:%H%M%S}.mp4", "does not say when"),
        ("/srv/{start:%s}", "not below the video storage"),
        ("../{start:%s}", "not below the video storage"),
        ("{start:%s}{camera}", "braces that mean nothing"),
        ("{start:%s", "braces that mean nothing"),
        ("{start:%s%q}", "no known code"),
        ("{start:%s%}", "no known code"),
        ("*a*a*a*{start:%s}", "more than 3"),
        ("x" * 600, "1 to 500 characters"),
        ("", "1 to 500 characters"),
    ],
)
def test_a_pattern_that_cannot_be_followed_is_named(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FootageNames(pattern, "gate")


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_a_pattern_and_a_name_are(pattern: str, path: str) -> None:
    try:
        names = FootageNames(pattern, "gate")
    except ValueError:
        return
    assert len(names.starts(path)) <= 2


@given(st.from_regex(r"gate_\d{8}T\d{6}\.mp4", fullmatch=True), st.sampled_from(["UTC", "Europe/Lisbon"]))
def test_whatever_figures_a_name_has(name: str, timezone: str) -> None:
    assert len(FootageNames(PATTERN, "gate", timezone).starts(name)) <= 2


class TestHowFarAFileGoes:
    def of(self, modified: float, size: int = 1, starts: tuple[float, ...] = (NOON,)) -> Span | None:
        found = recording_of(starts, 60.0, modified, size, "p")
        return None if found is None else (round(found.start - NOON * 1000), round(found.end - NOON * 1000))

    def test_to_when_it_was_changed_last(self) -> None:
        assert self.of(NOON + 60.2) == (0, 60_200)
        assert self.of(NOON + 17) == (0, 17_000)  # cut off by a crash, or still written

    def test_one_that_was_copied_later_is_as_long_as_they_all_are(self) -> None:
        assert self.of(NOON + 86_400) == (0, 60_000)
        assert self.of(NOON - 5) == (0, 60_000)

    def test_an_empty_one_is_none(self) -> None:
        assert self.of(NOON + 60, size=0) is None

    @pytest.mark.parametrize(
        ("modified", "begins"), [(NOON + 60, 0), (NOON + 3660, 3_600_000), (NOON + 3610, 3_600_000)]
    )
    def test_of_an_hour_that_comes_twice_it_is_of_the_one_in_which_it_was_written(
        self, modified: float, begins: int
    ) -> None:
        found = self.of(modified, starts=(NOON, NOON + 3600))
        assert found is not None
        assert found[0] == begins


class Recorder:
    """Files as a recorder leaves them, and who looks for them."""

    def __init__(self, root: Path, store: Store, clock: Clock, pattern: str) -> None:
        self.root, self.store, self.clock = root, store, clock
        self.cameras = {"gate": FootageSettings(files=pattern, length=Duration(60))}
        self.files = FootageFiles(root, self.cameras, store, clock, clock)

    def write(self, start: float, end: float, size: int = 600, name: str = "") -> Path:
        shown = datetime.fromtimestamp(start, UTC)
        path = self.root / (name or f"gate_{shown:%Y%m%dT%H%M%S}.mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        os.utime(path, (end, end))
        return path

    def spans(self) -> list[Span]:
        begin = round(NOON * 1000)
        get = lambda key: self.store.document(DAYS, key)  # noqa: E731
        found = spans_of(get, "gate", "recorded", begin - 40 * 86_400_000, begin + 86_400_000)
        return [((a - begin) // 1000, (b - begin) // 1000) for a, b in found]


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    clock = Clock(NOON + 600)
    store = Store(tmp_path / "state.db", clock)
    yield Recorder(tmp_path / "videos", store, clock, PATTERN)
    store.close()


def test_files_are_footage_and_what_lies_between_them_is_none(recorder: Recorder) -> None:
    for start in (0, 60, 121, 240):
        recorder.write(NOON + start, NOON + start + 59)
    recorder.write(NOON + 300, NOON + 317)  # the recorder was killed
    recorder.write(NOON + 400, NOON + 460, size=0)
    recorder.files.round()

    assert recorder.spans() == [(0, 180), (240, 317)]
    assert recorder.files.last()["gate"].oldest == NOON
    assert recorder.files.last()["gate"].bytes_per_second == pytest.approx(3000 / (4 * 59 + 17))


def test_a_file_that_is_written_goes_as_far_as_it_is_written(recorder: Recorder) -> None:
    for end in (10, 20, 60):
        recorder.write(NOON, NOON + end)
        recorder.files.round()
        assert recorder.spans() == [(0, end)]
    assert recorder.store.value(FOOTAGE_SECONDS, ("gate", "recorded")) == 60


def entries(store: Store, kind: str) -> list[dict[str, object]]:
    return [record.body for record in store.history(HISTORY) if record.body["kind"] == kind]


def test_a_file_that_cannot_be_played_is_shown_as_long_as_it_is_there_and_told_once(recorder: Recorder) -> None:
    """Also after a restart. One that is written still may lack what comes last, and is left alone."""
    recorder.write(NOON, NOON + 60).write_bytes(PLAYABLE)
    corrupt = recorder.write(NOON + 60, NOON + 90)
    written = recorder.write(NOON + 120, NOON + 600)
    os.utime(recorder.root / "gate_20231114T120000.mp4", (NOON + 60, NOON + 60))
    recorder.files.round()
    assert recorder.files.last()["gate"].corrupt == 1

    again = FootageFiles(recorder.root, recorder.cameras, recorder.store, recorder.clock, recorder.clock)
    again.round()
    assert again.last()["gate"].corrupt == 1
    (entry,) = entries(recorder.store, "footage.corrupt")
    assert (entry["component"], entry["video"]) == ("gate", corrupt.name)
    assert "2023-11-14T12:01:00Z to 2023-11-14T12:01:30Z" in str(entry["details"])
    assert corrupt_between(recorder.store, "gate", 0, 10**15).keys() == {str(corrupt)}

    corrupt.unlink()
    recorder.clock.advance(3600)
    recorder.files.round()
    assert recorder.files.last()["gate"].corrupt == 1  # the other is finished by now
    assert [one["video"] for one in entries(recorder.store, "footage.corrupt")] == [written.name, corrupt.name]


def test_a_file_that_cannot_be_read_is_not_said_to_be_corrupt(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str) -> str:
        raise PermissionError(path)

    monkeypatch.setattr(footage_files, "container_problem", refused)
    recorder.write(NOON, NOON + 60)
    recorder.files.round()

    assert recorder.files.last()["gate"].corrupt == 0
    assert entries(recorder.store, "footage.corrupt") == []


def test_a_file_that_goes_stays_in_the_ledger(recorder: Recorder) -> None:
    path = recorder.write(NOON, NOON + 60)
    recorder.write(NOON + 60, NOON + 120)
    recorder.files.round()
    path.unlink()
    recorder.files.round()

    assert recorder.spans() == [(0, 120)]
    assert recorder.files.last()["gate"].oldest == NOON + 60


def test_old_files_are_entered_at_the_start_and_those_that_come_late_within_a_day(recorder: Recorder) -> None:
    month = 30 * 86_400
    recorder.write(NOON - month, NOON - month + 60)
    recorder.files.round()
    recorder.write(NOON - month + 60, NOON + 500)  # copied from elsewhere
    recorder.files.round()
    assert recorder.spans() == [(-month, -month + 60)]

    recorder.clock.advance(ALL_AGAIN)
    recorder.files.round()
    assert recorder.spans() == [(-month, -month + 120)]


def test_names_that_lie_are_counted_once_and_cost_nothing_else(recorder: Recorder) -> None:
    recorder.write(NOON + 10 * 86_400, NOON)
    recorder.write(0, NOON, name="gate_19700101T000000.mp4")
    recorder.write(0, NOON, name="gate_20231301T000000.mp4")
    recorder.write(0, NOON, name="gate_\udcff.mp4")
    (recorder.root / "gate_20231114T110000.mp4").symlink_to("/dev/zero")
    (recorder.root / "gate_20231114T100000.mp4").mkdir()
    os.mkfifo(recorder.root / "gate_20231114T090000.mp4")
    recorder.write(NOON, NOON + 60)
    for _ in range(3):
        recorder.files.round()

    assert recorder.spans() == [(0, 60)]
    assert recorder.store.value(FOOTAGE_REFUSED, ("future",)) == 1
    assert recorder.store.value(FOOTAGE_REFUSED, ("past",)) == 1


def test_folders_of_days_are_looked_into_and_no_others(tmp_path: Path) -> None:
    clock = Clock(NOON + 600)
    store = Store(tmp_path / "state.db", clock)
    recorder = Recorder(tmp_path / "videos", store, clock, "in/{dvr}/{start:%Y-%m-%d/%H%M%S}.mp4")
    recorder.write(0, NOON + 60, name="in/gate/2023-11-14/120000.mp4")
    recorder.write(0, NOON + 120, name="in/gate/2023-11-14/deeper/120100.mp4")
    recorder.write(0, NOON + 120, name="in/gate/120100.mp4")
    (recorder.root / "in/gate/2023-11-13").symlink_to(recorder.root / "in/gate/2023-11-14")
    recorder.files.round()

    assert recorder.spans() == [(0, 60)]
    store.close()


def test_a_storage_that_is_not_there_is_unknown_and_said_once(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        recorder.files.round()

    assert recorder.files.last() == {}
    assert caplog.text.count("the footage of gate cannot be looked at") == 1


def test_of_too_many_names_the_latest_are_looked_at(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage_files, "MOST", 2)
    for start in (0, 60, 120):
        recorder.write(NOON + start, NOON + start + 60)
    recorder.files.round()

    assert recorder.spans() == [(60, 180)]
    assert recorder.store.value(SERIES_LIMITED, (FOOTAGE_OLDEST.name,)) == 1


def test_an_answer_that_is_too_old_is_unknown(recorder: Recorder) -> None:
    recorder.write(NOON, NOON + 60)
    recorder.files.round()
    recorder.clock.advance(3600)

    assert recorder.files.last() == {}
