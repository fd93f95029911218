import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID

import pytest

from tests.unit.core.conftest import State
from vv_core import _journal
from vv_core.alerter import send_alert
from vv_core.testing import captured


def test_an_alert_carries_what_it_was_given(state: State) -> None:
    alert_id = send_alert(
        "CRITICAL",
        "Storage gone",
        {"path": "/srv/video", "free": 0},
        "scan_video.py",
        context={"video": Path("/in/a.mp4"), "video_id": 7, "video_sha256": "ab"},
        suggested_actions=["df -h", "mount -a"],
        dedupe_key="storage",
    )

    alert = state.events("alert")[0]
    del alert["ts"]
    assert {
        "v": 1,
        "type": "alert",
        "id": alert_id,
        "level": "CRITICAL",
        "title": "Storage gone",
        "details": "path: /srv/video\nfree: 0",
        "context": {"video": "/in/a.mp4", "video_id": "7", "video_sha256": "ab"},
        "suggested_actions": "df -h\nmount -a",
        "dedupe_key": "storage",
    } == alert
    assert state.lines()[0]["component"] == "scan_video.py"


def test_what_is_not_given_is_left_out() -> None:
    with captured() as events:
        send_alert("INFO", "t", "", "c")

    assert {"v", "type", "component", "id", "level", "title"} == events[0].keys()


def test_ids_are_uuids_of_version_7_that_sort_by_time() -> None:
    with captured():
        ids = [send_alert("INFO", "t", "", "c") for _ in range(3)]

    assert [UUID(alert_id).version for alert_id in ids] == [7, 7, 7]
    assert sorted(i[:13] for i in ids) == [i[:13] for i in ids]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("level", ["warning", "Warning", " WARNING "])
def test_a_levels_case_does_not_matter(level: str) -> None:
    with captured() as events:
        send_alert(level, "t", "", "c")

    assert events[0]["level"] == "WARNING"


@pytest.mark.parametrize("level", ["FATAL", "", None, 40, object()])
def test_an_unknown_level_counts_as_error_and_is_told(level: object) -> None:
    with captured() as events:
        send_alert(level, "t", "what happened", "c")  # type: ignore[arg-type]

    assert events[0]["level"] == "ERROR"
    assert "unknown level" in events[0]["details"]
    assert events[0]["details"].endswith("what happened")


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Endless(Mapping[str, str]):
    def __getitem__(self, key: str) -> str:
        return "x"

    def __len__(self) -> int:
        return 1 << 40

    def __iter__(self) -> Iterator[str]:
        while True:
            yield "k"

    def items(self) -> Iterator[tuple[str, str]]:  # type: ignore[override]
        while True:
            yield "k", "v"


class Broken:
    def items(self) -> None:
        raise RuntimeError("no items")


@pytest.mark.parametrize("thing", [None, 5, b"\xff", Hostile(), [Hostile()], {1: Hostile()}, Endless(), Broken(), {}])
def test_nothing_that_is_handed_over_raises(thing: object) -> None:
    with captured() as events:
        alert_id = send_alert(thing, thing, thing, thing, context=thing, suggested_actions=thing, dedupe_key=thing)  # type: ignore[arg-type]

    assert [alert_id] == [event["id"] for event in events]


def test_details_that_cannot_be_read_are_told_instead() -> None:
    with captured() as events:
        send_alert("ERROR", "t", {"a": Hostile()}, "c")
        send_alert("ERROR", "t", Broken(), "c")  # type: ignore[arg-type]

    assert events[0]["details"] == "a: <Hostile that cannot be printed: RuntimeError>"
    assert "no items" in events[1]["details"]


@pytest.mark.parametrize("char", ["x", '"', "\\", "é", "日", "😀", "\0", "\n"])
def test_enormous_text_is_cut_and_still_fits_a_line(state: State, char: str) -> None:
    huge = char * 1_000_000

    send_alert("ERROR", huge, huge, huge, context={huge: huge, **dict.fromkeys(range(10_000), huge)},
               suggested_actions=huge, dedupe_key=huge)  # type: ignore[dict-item]  # fmt: skip

    alert = state.events("alert")[0]
    assert max(map(len, state.files()[0].read_bytes().splitlines())) < 65_536
    assert 1 <= len(alert["title"].encode()) <= 256
    assert 15_900 <= len(alert["details"].encode()) <= 16_000


def test_a_title_is_one_line_and_never_empty() -> None:
    with captured() as events:
        send_alert("ERROR", "a\nb\tc\x1b[31m", "", "c")
        send_alert("ERROR", " \n ", "", "c")

    assert [event["title"] for event in events] == ["a b c\\x1b[31m", "(no title)"]


def test_an_alert_is_logged_where_the_script_logs(caplog: pytest.LogCaptureFixture) -> None:
    with captured(), caplog.at_level(logging.INFO):
        send_alert("INFO", "Batch begun", "", "c")
        send_alert("CRITICAL", "Storage gone", "all of it", "c")

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "alert c: Batch begun: "),
        ("CRITICAL", "alert c: Storage gone: all of it"),
    ]


def test_a_log_handler_may_raise_alerts_itself(state: State) -> None:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.CRITICAL:
                send_alert("ERROR", "logged", record.getMessage(), "handler")

    handler = Raising()
    logging.getLogger().addHandler(handler)
    try:
        send_alert("CRITICAL", "first", "", "c")
    finally:
        logging.getLogger().removeHandler(handler)

    assert [event["title"] for event in state.events("alert")] == ["first", "logged"]


def test_a_script_that_does_not_log_prints_nothing(state: State) -> None:
    code = "import logging\nfrom vv_core.alerter import send_alert\nsend_alert('CRITICAL', 't', '', 'c')"

    assert state.run(code + "\nimport sys; sys.stdout.flush()", stderr=-2) == ""


def test_whatever_the_component_is_the_alert_is_raised() -> None:
    class Undecided:
        def __bool__(self) -> bool:
            raise ValueError("neither")

        def __str__(self) -> str:
            return "undecided.py"

    class OwnText(str):
        def __str__(self) -> str:
            return self

    assert _journal.component_name(Undecided()) == "undecided.py"
    assert type(_journal.component_name(OwnText("own.py"))) is str
