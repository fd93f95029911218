import contextlib
import inspect
import logging
import sys
import traceback
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.anything import Endless
from tests.unit.core.conftest import State
from vv_core.alerter import send_alert
from vv_core.common import journals
from vv_core.stages import stage
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


@pytest.mark.parametrize(
    ("meant", "levels"),
    [
        ("CRITICAL", ["FATAL", "crit", "Emergency", "emerg", "panic", "ALERT", "LOG_CRIT", 50, 60, "50", 0, 2]),
        ("ERROR", ["err", "Error", "LOG_ERR", logging.ERROR, "40", 3, 45]),
        ("WARNING", ["WARN", "warn", "Warning", "LOG_WARNING", 30, 30.0, "30", 4, "Level 35"]),
        ("INFO", ["info", "notice", "debug", "informational", 20, 10, "20", 5, 6, 7]),
    ],
)  # fmt: skip
def test_levels_have_the_names_and_numbers_of_logging_and_syslog(meant: str, levels: list[str | int]) -> None:
    with captured() as events:
        for level in levels:
            send_alert(level, "t", "", "c")

    assert [(event["level"], event.get("details")) for event in events] == [(meant, None)] * len(levels)


def test_a_level_may_be_a_member_of_an_enumeration() -> None:
    syslog = IntEnum("Syslog", {"CRIT": 2})
    with captured() as events:
        send_alert(syslog.CRIT, "t")
        send_alert(Enum("Level", "WARN").WARN, "t")  # type: ignore[arg-type, attr-defined]

    assert [event["level"] for event in events] == ["CRITICAL", "WARNING"]


@pytest.mark.parametrize("level", ["LOUD", "", None, -1, float("nan"), True, "9" * 5000, object()])
def test_an_unknown_level_counts_as_error_and_is_told(level: object) -> None:
    with captured() as events:
        send_alert(level, "t", "what happened", "c")  # type: ignore[arg-type]

    assert events[0]["level"] == "ERROR"
    assert "unknown level" in events[0]["details"]
    assert events[0]["details"].endswith("what happened")


def test_all_may_be_named_and_all_but_level_and_title_left_out() -> None:
    named: dict[str, Any] = {"level": "ERROR", "title": "t", "message_details": "d", "source_component": "c.py"}
    with captured() as events:
        send_alert(**named)
        send_alert("ERROR", "t", details="d", component="c.py")
        send_alert("ERROR", "t")

    assert [(event["title"], event.get("details"), event["component"]) for event in events[:2]] == [
        ("t", "d", "c.py")
    ] * 2
    assert events[2]["component"] == journals.component_name(None)
    assert "details" not in events[2]


@pytest.mark.parametrize(
    ("args", "kwargs", "told"),
    [
        (("ERROR", "t", "d", "c"), {"titel": "typo"}, "(send_alert was also given titel='typo')"),
        (("ERROR", "t", "d", "c"), {"title": "twice"}, "(send_alert was also given title='twice')"),
        (("ERROR", "t", "d", "c", "fifth"), {}, "(send_alert was also given argument 5='fifth')"),
    ],
)
def test_what_it_does_not_know_is_told_and_costs_nothing(
    args: tuple[str, ...], kwargs: dict[str, str], told: str
) -> None:
    with captured() as events:
        send_alert(*args, **kwargs)  # type: ignore[arg-type]

    assert (events[0]["title"], events[0]["details"]) == ("t", f"d\n{told}")


SHA256 = "ab" * 32
IN_HERE = str(Path("in/a.mp4").absolute())


@pytest.mark.parametrize(
    ("details", "context", "left"),
    [
        ({"video": "in/a.mp4", "reason": "bad"}, {"video": IN_HERE}, "reason: bad"),
        ({"video": Path("in/a.mp4"), "hash": SHA256}, {"video": IN_HERE, "video_sha256": SHA256}, None),
        ({"Video Path": b"a.mp4", "video_id": 7}, {"video": "a.mp4", "video_id": "7"}, None),
        ({"video_hash": "md5:12"}, {"hash": "md5:12"}, None),
        ({"video": "a.mp4", "video_file": "b.mp4"}, {"video": "a.mp4"}, "video_file: b.mp4"),
        ({"video": None, "hash": ""}, None, "video: None\nhash: "),
        ({"video_file_context": {"video": "a.mp4", "scene": 3}}, {"video": "a.mp4", "scene": "3"}, None),
        ({"reason": "bad"}, None, "reason: bad"),
    ],
)
def test_what_details_say_of_the_video_is_its_context(
    details: dict[str, object], context: dict[str, str] | None, left: str | None
) -> None:
    with captured() as events:
        send_alert("ERROR", "t", details, "c")

    assert (events[0].get("context"), events[0].get("details")) == (context, left)


def test_a_context_that_is_given_stands_and_the_video_may_be_named_beside_it() -> None:
    with captured() as events:
        send_alert("ERROR", "t", {"video": "of details"}, "c", context={"camera": "door"})
        send_alert("ERROR", "t", "d", "c", context={"camera": "door"}, video_file_context="a.mp4")
        send_alert("ERROR", "t", "d", "c", video_file_context="N/A")

    assert [event.get("context") for event in events] == [
        {"camera": "door"},
        {"video": "a.mp4", "camera": "door"},
        None,
    ]
    assert events[0]["details"] == "video: of details"
    assert events[1]["details"] == "d"


def test_it_raises_nothing_where_hardly_any_stack_is_left() -> None:
    """As in an `except RecursionError`. Where there is none at all, the call itself cannot be made."""

    def descend(frames: int) -> None:
        if frames:
            descend(frames - 1)
        else:
            send_alert("CRITICAL", "too deep", {"video": "a.mp4"}, "c")

    left = sys.getrecursionlimit() - len(inspect.stack())
    outcomes = set()
    with captured() as events:
        for spare in range(100):
            try:
                descend(left - spare)
                outcomes.add("raised nothing")
            except RecursionError as error:
                outcomes.add(traceback.extract_tb(error.__traceback__)[-1].name)

    assert outcomes == {"raised nothing", "descend"}
    assert "too deep" in {event["title"] for event in events}


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


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


def test_an_enormous_context_that_details_have_fits_a_line_too(state: State) -> None:
    keys = ("video", "video_path", "video_file", "video_id", "hash", "sha256", "video_hash")
    details = {key: {f"{key}{number}": '"' * 990 for number in range(20)} for key in keys}

    send_alert("ERROR", "t", details, "c", video_file_context="a.mp4", suggested_actions='"' * 10_000)

    alert = state.events("alert")[0]
    assert max(map(len, state.files()[0].read_bytes().splitlines())) < 65_536
    assert alert["context"]["video"] == "a.mp4"


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

    assert journals.component_name(Undecided()) == "undecided.py"
    assert type(journals.component_name(OwnText("own.py"))) is str


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("in/a.mp4", "{cwd}/in/a.mp4"),
        (b"in/../in/a.mp4", "{cwd}/in/a.mp4"),
        (Path("a.mp4"), "{cwd}/a.mp4"),
        ("./a.mp4", "{cwd}/a.mp4"),
        ("/in/a.mp4", "/in/a.mp4"),
        ("a.mp4", "a.mp4"),
        ("rtsp://10.0.0.9/a", "rtsp://10.0.0.9/a"),
        ("", ""),
        (7, "7"),
    ],
)
def test_a_video_by_a_relative_path_is_found_by_whoever_reads_of_it(given: object, known: str, tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path), captured() as events:
        known = known.format(cwd=tmp_path)
        send_alert("ERROR", "t", "d", "c", context={"video": given, "target": "nas/backup", "log": Path("x.log")})
        send_alert("ERROR", "t", "d", "c", video_file_context=given)
        with stage("scan", video=given):  # type: ignore[arg-type]
            pass
    assert events[0]["context"] == {"video": known, "target": "nas/backup", "log": f"{tmp_path}/x.log"}
    assert events[1].get("context", {}).get("video", "") == known
    assert events[2].get("video", "") == known


def test_a_relative_path_in_a_folder_that_is_gone_stays_as_it_was_given(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with contextlib.chdir(gone), captured() as events:
        gone.rmdir()
        send_alert("ERROR", "t", "d", "c", context={"video": "in/a.mp4"})
    assert events[0]["context"] == {"video": "in/a.mp4"}
