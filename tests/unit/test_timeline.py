"""What the timeline keeps, for how long, and how it is found again."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tests.support.clock import Clock
from vv_exporter.cli import timeline as cli
from vv_exporter.delivery.notifications import HISTORY as NOTIFICATIONS
from vv_exporter.delivery.notifications import Notification, NotifiedAlert, log_line, record
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import (
    BURST,
    HISTORY,
    MAX_DETAILS,
    MAX_RATES,
    PER_MINUTE,
    Entry,
    Filter,
    Moment,
    add_to_timeline,
    moment_of,
    read,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    store = Store(tmp_path / "state.db", clock)
    yield store
    store.close()


def happened(store: Store, *entries: Entry, time: float | None = None) -> None:
    with store.transaction() as tx:
        for entry in entries:
            add_to_timeline(tx, tx.now if time is None else time, entry)


def failure(component: str = "scan_video.py", **fields: str) -> Entry:
    return Entry("stage.failed", "Stage scan_video failed", "error", component, **fields)


def titles(store: Store, **wanted: object) -> list[str]:
    return [one.title for one in read(store, Filter(**wanted)).moments]  # type: ignore[arg-type]


def test_what_happened_last_comes_first(store: Store, clock: Clock) -> None:
    for number in range(3):
        happened(store, Entry("note", f"number {number}"))
        clock.advance(1)

    assert titles(store) == ["number 2", "number 1", "number 0"]


def test_it_tells_nothing_of_what_was_not_committed(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction() as tx:
        add_to_timeline(tx, tx.now, failure())
        raise RuntimeError("the transaction fails")

    assert titles(store) == []


def test_a_time_to_come_is_taken_for_now(store: Store, clock: Clock) -> None:
    happened(store, failure(), time=clock() + 1e6)

    assert [one.time for one in read(store, Filter()).moments] == [clock()]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"severity": "warning"}, ["failed", "slow"]),
        ({"severity": "error"}, ["failed"]),
        ({"component": "SCAN"}, ["failed", "slow"]),
        ({"video": "b.mp4"}, ["slow"]),
        ({"video": "abcd"}, ["failed"]),
        ({"video": "bcd"}, []),
        ({"since": 1_699_999_950.0}, ["failed", "slow"]),
        ({"until": 1_699_999_950.0}, ["began"]),
        ({"severity": "warning", "component": "other"}, []),
        ({"alert": "f00d-1"}, ["failed"]),
        ({"alert": "00d"}, []),
    ],
)
def test_it_can_be_filtered(store: Store, wanted: dict[str, object], found: list[str]) -> None:
    happened(store, Entry("a", "began", component="main.py"), time=1_699_999_900.0)
    happened(store, Entry("b", "slow", "warning", "scan.py", video="/v/b.mp4"), time=1_699_999_960.0)
    happened(
        store, Entry("c", "failed", "error", "scan.py", video="/v/a.mp4", video_sha256="abcd1", alert_id="f00d-17")
    )

    assert titles(store, **wanted) == found


def test_pages_have_every_moment_once_also_those_of_one_instant(store: Store, clock: Clock) -> None:
    for number in range(137):
        happened(store, Entry("note", str(number), component=str(number % 5)))
        clock.advance(number % 3 == 0)
    seen: list[Moment] = []
    older = None
    while True:
        found = read(store, Filter(), limit=10, before=older)
        seen += found.moments
        older = found.older
        if older is None:
            break

    assert [int(one.title) for one in seen] == list(reversed(range(137)))


def test_a_filter_finds_what_is_rare_among_thousands(store: Store) -> None:
    with store.transaction() as tx:
        for number in range(3000):
            add_to_timeline(tx, tx.now - number, Entry("note", str(number), component=str(number % 20)))
        add_to_timeline(tx, tx.now - 2999.5, Entry("rare", "needle", component="haystack"))

    assert titles(store, component="haystack") == ["needle"]


LEFT_OUT = re.compile(r"(\d+) more like this since [0-9TZ:-]{20}")


def accounted(moments: list[Moment]) -> int:
    """How many moments these tell of."""
    return sum(int(found[1]) if (found := LEFT_OUT.fullmatch(one.title)) else 1 for one in moments)


def test_a_storm_is_told_as_far_as_it_is_of_use_and_the_rest_is_counted(store: Store) -> None:
    happened(store, *[failure()] * (BURST + 1000))

    moments = read(store, Filter(), limit=10_000).moments
    assert len(moments) == BURST + 1
    assert moments[0].title.startswith("1000 more like this since")
    assert moments[0].severity == "error"


def test_a_storm_of_one_component_hides_nothing_of_others(store: Store) -> None:
    happened(store, *[failure()] * (2 * BURST), failure("other.py"), Entry("alert.firing", "Disk full", "critical"))

    assert len(titles(store, component="other.py")) == 1
    assert "Disk full" in titles(store)


def test_after_a_storm_everything_is_told_again(store: Store, clock: Clock) -> None:
    happened(store, *[failure()] * (BURST + 5))
    clock.advance(60)
    happened(store, *[failure()] * PER_MINUTE)

    moments = read(store, Filter(), limit=10_000).moments
    assert len(moments) == BURST + PER_MINUTE + 1
    assert accounted(moments) == BURST + 5 + PER_MINUTE


def test_however_they_come_each_is_told_or_counted(store: Store, clock: Clock) -> None:
    chance = random.Random(7)
    told, began = 0, clock()
    for _ in range(60):
        many = chance.choice((1, 3, 200))
        happened(store, *[failure()] * many, time=clock() - chance.random() * 100)
        told += many
        clock.advance(chance.choice((0, 1, 30, 600)))

    moments = read(store, Filter(), limit=100_000).moments
    assert accounted(moments) == told
    assert len(moments) < BURST + (clock() - began) * PER_MINUTE / 60 + 60


def test_however_many_components_there_are_their_rates_are_bounded(store: Store) -> None:
    happened(store, *[failure(f"c{number}") for number in range(3 * MAX_RATES)])
    happened(store, *[failure(f"d{number}") for number in range(BURST)])

    kept = store._connection.execute("SELECT count(*) FROM document WHERE kind = 'timeline_rate'").fetchone()[0]
    assert kept == MAX_RATES + 1


def test_texts_are_cut_and_cannot_hold_what_a_terminal_obeys(store: Store) -> None:
    happened(store, Entry("note", "two\nlines\x1b[2J", "strange", "c\x00", details="a\nb\x9b" + "x" * 10_000))

    (one,) = read(store, Filter()).moments
    assert one.title == "two lines�[2J"
    assert one.severity == "error"
    assert one.component == "c�"
    assert one.details.startswith("a\nb�x")
    assert len(one.details) == MAX_DETAILS


@pytest.mark.parametrize(("rows", "size", "left"), [(4, 10**9, 4), (100, 600, 5), (0, 10**9, 0), (100, 10**9, 10)])
def test_the_oldest_go_when_there_are_too_many_or_too_much(store: Store, rows: int, size: int, left: int) -> None:
    with store.transaction() as tx:
        for number in range(10):
            tx.append(HISTORY, number, {"number": number, "text": "x" * 90})
            tx.append("other", number, {})
    body = len(store.raw_history(HISTORY, 0, (1e12, 0), 1)[0][2])
    size = 5 * body if size == 600 else size

    assert store.trim_history(HISTORY, rows, size) == 10 - left
    assert [one.body["number"] for one in store.history(HISTORY)] == list(range(9, 9 - left, -1))
    assert len(store.history("other")) == 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h", 1_700_000_000.0 - 3600),
        ("1h30m", 1_700_000_000.0 - 5400),
        ("1699999999", 1_699_999_999.0),
        ("1699999999.5", 1_699_999_999.5),
        ("2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000.0),
        ("2023-11-14 22:13:20", 1_700_000_000.0),
    ],
)
def test_a_time_can_be_given_as_people_do(text: str, expected: float) -> None:
    assert moment_of(text, 1_700_000_000.0) == expected


@pytest.mark.parametrize("text", ["yesterday", "1x", "2023-13-45", "", "-5", "\x1b", "9" * 400])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        moment_of(text, 1_700_000_000.0)


def notified(status: str, starts_at: str = "2023-11-14T22:00:00Z") -> Notification:
    labels = {"alertname": "StageFailing", "severity": "error", "component": "scan_video"}
    notes = {
        "summary": "Stage scan_video is failing",
        "description": "3 runs",
        "error": "no frames",
        "video": "/v/a.mp4",
    }
    return Notification((NotifiedAlert(status, labels, notes, starts_at, "2023-11-14T22:10:00Z", "f00d"),))


def test_an_alert_is_told_when_it_fires_and_when_it_ends_and_not_when_it_is_repeated(store: Store) -> None:
    for status in ("firing", "firing", "firing", "resolved"):
        with store.transaction() as tx:
            record(tx, notified(status))
    with store.transaction() as tx:
        record(tx, notified("firing", "2023-11-14T22:11:00Z"))

    found = read(store, Filter()).moments
    assert [(one.kind, one.severity) for one in reversed(found)] == [
        ("alert.firing", "error"),
        ("alert.resolved", "info"),
        ("alert.firing", "error"),
    ]
    assert [one.details for one in reversed(found)] == ["3 runs\nno frames", "It lasted 10 min.", "3 runs\nno frames"]
    assert found[0].title == "Alert: Stage scan_video is failing"
    assert found[0].details == "3 runs\nno frames"
    assert found[0].video == "/v/a.mp4"
    assert len(store.history(NOTIFICATIONS)) == 5


def test_the_alert_id_of_a_message_finds_its_moments(store: Store) -> None:
    """Of a rule's alert it is what Alertmanager knows it by and when it began: `{{ .StartsAt.Unix }}` cuts, as this."""
    for status in ("firing", "resolved"):
        with store.transaction() as tx:
            record(tx, notified(status, "2023-11-14T22:00:00.987Z"))
    given = notified("firing")
    given.alerts[0].annotations["alert_id"] = "0190b6c4"
    with store.transaction() as tx:
        record(tx, given)

    assert [one.kind for one in read(store, Filter(alert="f00d-1699999200")).moments] == [
        "alert.resolved",
        "alert.firing",
    ]
    assert [one.kind for one in read(store, Filter(alert="0190b6c4")).moments] == ["alert.firing"]
    assert "alert_id=f00d-1699999200" in log_line(notified("firing").alerts[0]).text


@pytest.mark.parametrize(
    ("given", "since"),
    [([], "1h"), (["--alert", "f00d"], ""), (["--alert", "f00d", "--since", "2h"], "2h"), (["--since", "3h"], "3h")],
)
def test_an_alert_is_looked_for_since_the_beginning(
    monkeypatch: pytest.MonkeyPatch, given: list[str], since: str
) -> None:
    asked: list[dict[str, str]] = []

    def ask(url: str | None, path: str, parameters: dict[str, str], kind: type) -> tuple[object, str]:
        asked.append(parameters)
        return cli.Document(0.0, (), ""), "{}"

    monkeypatch.setattr(cli, "ask", ask)

    assert CliRunner().invoke(cli.command, given).exit_code == 0
    assert asked[0]["since"] == since
    assert asked[0]["alert"] == ("f00d" if "--alert" in given else "")


def test_it_is_printed_in_order_with_its_context() -> None:
    failed = Entry("stage.failed", "Stage scan failed", "error", "scan.py", "line 1\nline 2", "/v/a.mp4", "ab12")
    moments = (
        Moment("alert.firing", "Alert: too late", "critical", time=1_700_000_001.0),
        Moment(**msgspec.structs.asdict(failed), time=1_700_000_000.0),
    )

    assert cli.lines(cli.Document(1_700_000_002.0, moments, "")) == [
        "2023-11-14T22:13:20Z  \x1b[31merror   \x1b[0m  Stage scan failed  [scan.py]",
        "    video /v/a.mp4, SHA-256 ab12",
        "    line 1",
        "    line 2",
        "2023-11-14T22:13:21Z  \x1b[31mcritical\x1b[0m  Alert: too late",
    ]


def test_an_exporter_that_does_not_answer_is_one_line() -> None:
    result = CliRunner().invoke(cli.command, ["--url", "http://user:secret@127.0.0.1:1"])

    assert result.exit_code == 1
    assert result.stderr == (
        "vv: the exporter does not answer at http://127.0.0.1:1/api/v1/timeline (ConnectionError); is it running?\n"
    )


def test_entries_are_small_on_disk(store: Store) -> None:
    happened(store, Entry("note", "short"))

    (row,) = store.raw_history(HISTORY, 0.0, (1e12, 0), 10)
    assert json.loads(row[2]) == {"kind": "note", "title": "short"}
