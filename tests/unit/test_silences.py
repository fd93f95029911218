"""What a silence matches, and that the timeline tells of each, whoever made it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import Clock
from vv_core.common.texts import UNSAFE
from vv_exporter.alertmanager.silences import watch
from vv_exporter.alertmanager.silences.client import RefusedError, Silence, Silences
from vv_exporter.alertmanager.silences.watch import differs, record
from vv_exporter.common.matchers import Matcher, check, parse_filter, parse_matcher, to_filter
from vv_exporter.footage import states
from vv_exporter.footage.causes import UNKNOWN, explain
from vv_exporter.footage.ledger import milliseconds
from vv_exporter.footage.report import View
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import Filter, read

NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,10}", fullmatch=True)
TEXTS = st.text(max_size=30)


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        ("DiskSpaceLow", ("alertname", "=", "DiskSpaceLow")),
        ("name=agent_dvr", ("name", "=", "agent_dvr")),
        ("name!=agent=x", ("name", "!=", "agent=x")),
        ("name=~agent.*", ("name", "=~", "agent.*")),
        ("name!~a|b", ("name", "!~", "a|b")),
        ("title=two\nlines", ("title", "=", "two\nlines")),
    ],
)
def test_a_matcher_is_read(text: str, matcher: tuple[str, str, str]) -> None:
    assert parse_matcher(text) == matcher


@pytest.mark.parametrize("text", ["", "=x", "a b=c", "1x=y", "!x"])
def test_what_is_no_matcher_is_told_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"write e\.g\."):
        parse_matcher(text)


@given(st.dictionaries(NAMES, TEXTS, min_size=1, max_size=5))
def test_a_link_brings_back_what_it_was_made_of(labels: dict[str, str]) -> None:
    text = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())

    assert {one.name: one.value for one in parse_filter(f"{{{text}}}")} == labels


@pytest.mark.parametrize(
    ("quoted", "value"),
    [
        (r"\x01", "\x01"),
        (r"\u202e", "\u202e"),
        (r"\U0001f600", "\U0001f600"),
        (r"\a\v", "\a\v"),
        (r"a\"},b\\", 'a"},b\\'),
    ],
)
def test_what_go_quotes_is_read(quoted: str, value: str) -> None:
    """https://pkg.go.dev/strconv#Quote, by which Alertmanager's templates write the link."""
    assert parse_filter(f'{{title="{quoted}",x="y"}}') == [Matcher("title", "=", value), Matcher("x", "=", "y")]


@given(st.lists(st.tuples(NAMES, st.sampled_from(["=", "!=", "=~", "!~"]), TEXTS), max_size=5))
def test_a_form_brings_back_what_it_showed(given: list[tuple[str, str, str]]) -> None:
    """Whatever a browser or a page does with what is not seen: none of it is in the text."""
    matchers = [Matcher(*one) for one in given]

    text = to_filter(matchers)

    assert parse_filter(text) == matchers
    assert not any(ord(character) in UNSAFE for character in text)


@pytest.mark.parametrize("quoted", [r"\ud83d", r"\udc00\ud800", r"\U00110000", r"\Uffffffff"])
def test_what_is_no_character_is_replaced(quoted: str) -> None:
    ((_, _, value),) = parse_filter(f'{{title="{quoted}"}}')

    assert set(value) == {"\N{REPLACEMENT CHARACTER}"}


@given(st.text(max_size=60))
def test_any_filter_is_read_or_refused(text: str) -> None:
    try:
        parse_filter(text)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("matchers", "why"),
    [
        ([], "everything"),
        (["name!=x"], "everything"),
        (["alertname=Watchdog"], "Watchdog"),
        (["device=edge-1"], "Watchdog"),
        (["severity!=critical", "component=prometheus", "told="], "Watchdog"),
        (["x=y"] * 31, "more than"),
        (["alertname=" + "x" * 1001], "longer"),
    ],
)
def test_what_no_silence_may_be_is_refused_with_a_reason(matchers: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check([parse_matcher(one) for one in matchers], "edge-1")


@pytest.mark.parametrize("matchers", [["DiskSpaceLow"], ["device=edge-1", "alertname!=Watchdog"], ["device=edge-2"]])
def test_others_may_be_made(matchers: list[str]) -> None:
    check([parse_matcher(one) for one in matchers], "edge-1")


def test_a_filter_of_any_length_is_answered() -> None:
    with pytest.raises(ValueError, match="longer than"):
        parse_filter('a="b",' * 100_000)


@pytest.mark.parametrize("id_", ["", "..", "../alerts", "x/y", "1?a=b", "%2e%2e", "é", "a" * 65])
def test_what_is_no_id_is_not_asked_for(id_: str) -> None:
    with pytest.raises(RefusedError, match="no id"):
        Silences("http://127.0.0.1:9").end(id_)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.db", Clock())
    yield store
    store.close()


def silence(id_: str, state: str = "active", *, now: float, lasts: float = 7200.0) -> Silence:
    matchers = (Matcher("alertname", "=", "DiskSpaceLow"), Matcher("component", "=", "storage"))
    return Silence(id_, state, matchers, now, now + lasts, now, "ana", "new disk")


def told(store: Store) -> list[str]:
    return [one.title for one in read(store, Filter()).moments][::-1]


def test_a_silence_is_told_once_with_who_and_why(store: Store) -> None:
    now = Clock()()
    for _ in range(3):
        with store.transaction() as tx:
            record(tx, [silence("1", now=now)], now)

    (moment,) = read(store, Filter()).moments
    assert moment.title == "Silenced for 2 h: alertname=DiskSpaceLow component=storage"
    assert moment.component == "storage"
    assert re.fullmatch(r"new disk\nBy ana, until \S+\. Silence 1", moment.details)


@pytest.mark.parametrize("then", ["expired", "gone"])
def test_its_end_is_told_once(store: Store, then: str) -> None:
    now = Clock()()
    with store.transaction() as tx:
        record(tx, [silence("1", now=now)], now)
    ended = [silence("1", "expired", now=now, lasts=60)] if then == "expired" else []
    for _ in range(2):
        with store.transaction() as tx:
            record(tx, ended, now + 90)

    assert told(store)[1:] == ["No longer silenced: alertname=DiskSpaceLow component=storage"]
    assert ("no longer holds" in read(store, Filter()).moments[0].details) is (then == "gone")


def of_footage(id_: str, begin: float, end: float, state: str = "active", **labels: str) -> Silence:
    matchers = tuple(Matcher(name, "=", value) for name, value in {"alertname": "FootageMissing", **labels}.items())
    return Silence(id_, state, matchers, begin, end, begin, "ana", "the lens is cleaned")


def maintained(store: Store, dvr: str, start: float, end: float) -> list[tuple[float, float, str]]:
    view = View(store)
    known = states.known_of(view.lasting, view.ended, dvr, milliseconds(start), milliseconds(end))
    parts = explain(milliseconds(start), milliseconds(end), known)
    return [(one.start / 1000 - start, one.end / 1000 - start, one.detail) for one in parts if one.cause != UNKNOWN]


class TestMaintenance:
    """Who silences FootageMissing announces that footage will be missing, and why."""

    def record(self, store: Store, now: float, *found: Silence) -> None:
        with store.transaction() as tx:
            record(tx, list(found), now)

    def test_it_is_the_cause_of_what_is_missing_meanwhile_of_that_camera(self, store: Store) -> None:
        now = Clock()()
        self.record(store, now + 5, of_footage("1", now, now + 3600, dvr="gate"))
        self.record(store, now + 910, of_footage("1", now, now + 900, "expired", dvr="gate"))

        assert maintained(store, "gate", now - 100, now + 2000) == [(100, 1000, "the lens is cleaned")]
        assert maintained(store, "yard", now - 100, now + 2000) == []

    def test_who_silences_all_of_a_camera_announces_it_as_well(self, store: Store) -> None:
        now = Clock()()
        everything = (Matcher("dvr", "=", "gate"),)
        self.record(store, now, Silence("1", "active", everything, now, now + 3600, now, "ana", "it is moved"))

        assert maintained(store, "gate", now, now + 50) == [(0, 50, "it is moved")]
        assert maintained(store, "yard", now, now + 50) == []

    def test_its_reason_is_shown_as_one_harmless_line(self, store: Store) -> None:
        now = Clock()()
        matchers = (Matcher("dvr", "=", "gate"),)
        hostile = "new\nlens \x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 500
        self.record(store, now, Silence("1", "active", matchers, now, now + 3600, now, "ana", hostile))

        ((_, _, detail),) = maintained(store, "gate", now, now + 50)
        assert detail.startswith("new lens ")
        assert len(detail) <= 100
        assert not {*map(ord, detail)} & {*UNSAFE}

    def test_without_a_camera_it_is_of_all(self, store: Store) -> None:
        now = Clock()()
        self.record(store, now, of_footage("1", now, now + 3600))

        assert maintained(store, "yard", now, now + 50) == [(0, 50, "the lens is cleaned")]

    @pytest.mark.parametrize(
        "matchers",
        [
            (Matcher("alertname", "=", "DvrUnreachable"), Matcher("dvr", "=", "gate")),
            (Matcher("alertname", "=~", "Foo|FootageMissing"), Matcher("dvr", "=", "gate")),
            (Matcher("alertname", "=", "FootageMissing"), Matcher("dvr", "!=", "yard")),
            (Matcher("component", "=", "gate"),),
            (Matcher("device", "=", "edge-7"),),
            (Matcher("alertname", "=", "FootageMissing"), Matcher("severity", "=", "critical")),
        ],
    )
    def test_what_says_not_of_which_camera_it_is_announces_nothing(
        self, store: Store, matchers: tuple[Matcher, ...]
    ) -> None:
        now = Clock()()
        self.record(store, now, Silence("1", "active", matchers, now, now + 3600, now, "ana", "x"))

        assert maintained(store, "gate", now, now + 50) == []

    def test_one_that_is_to_come_begins_when_it_says(self, store: Store) -> None:
        now = Clock()()
        self.record(store, now, of_footage("1", now + 600, now + 3600, "pending", dvr="gate"))

        assert maintained(store, "gate", now, now + 300) == []
        assert maintained(store, "gate", now, now + 1000) == [(600, 1000, "the lens is cleaned")]

    def test_of_two_the_second_goes_on(self, store: Store) -> None:
        now = Clock()()
        first, second = of_footage("1", now, now + 100, dvr="gate"), of_footage("2", now + 50, now + 900, dvr="gate")
        self.record(store, now + 60, first, second)
        self.record(store, now + 110, of_footage("1", now, now + 100, "expired", dvr="gate"), second)
        self.record(store, now + 950)

        assert maintained(store, "gate", now, now + 2000) == [(0, 900, "the lens is cleaned")]

    def test_one_that_lasts_days_ends_on_its_day(self, store: Store) -> None:
        now = Clock()()
        self.record(store, now, of_footage("1", now, now + 300_000, dvr="gate"))
        self.record(store, now + 300_010)

        assert maintained(store, "gate", now, now + 400_000) == [(0, 300_000, "the lens is cleaned")]


def test_one_that_ended_before_anybody_looked_is_not_told(store: Store) -> None:
    now = Clock()()
    with store.transaction() as tx:
        record(tx, [silence("1", "expired", now=now)], now)

    assert told(store) == []


def test_more_than_are_kept_are_not_told_again_and_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MAX_KNOWN", 2)
    now = Clock()()
    first = [silence(str(number), now=now, lasts=7200.0 + number) for number in range(2)]
    with store.transaction() as tx:
        record(tx, first, now)
    later = [silence("9", now=now, lasts=90_000.0), *first]
    with store.transaction() as tx:
        record(tx, later, now)

    assert len(told(store)) == 2
    assert not differs(store.docs(watch.KNOWN), later)
    with store.transaction() as tx:
        record(tx, later[:2], now)
    assert len(told(store)) == 4  # one ends, and there is room for the other


def test_those_that_are_left_out_are_counted_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MAX_KNOWN", 2)
    now = Clock()()
    held = [silence(str(number), now=now) for number in range(3)]
    silences = mock.create_autospec(Silences, instance=True)
    silences.list.side_effect = lambda: held
    watching = watch.SilenceWatch(store, silences, lambda: now)
    for _ in range(4):
        watching.check()
    held.append(silence("9", now=now))
    for _ in range(4):
        watching.check()

    assert len(told(store)) == 2
    assert store.value(SERIES_LIMITED, ("silences",)) == 2
