"""Accounts: what each moment changes in them, and the edges of what is kept, muted, settled and missed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import Clock
from vv_exporter.delivery import accounts
from vv_exporter.delivery.accounts import ACCOUNTS, KEPT, KEPT_UNCLOSED, MUTED_FOR, Account, Alert
from vv_exporter.delivery.channel_health import CHANNELS, Channel
from vv_exporter.metrics.alerts import ALERTS_DROPPED
from vv_exporter.metrics.delivery import ALERTS_MISSED
from vv_exporter.state import timeline
from vv_exporter.state.store import Store

LABELS = {"alertname": "StageFailing", "severity": "error", "component": "scan"}


class Books:
    """A store with accounts, and a clock that stands still."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.store = Store(path, self.clock)
        self.store._connection.execute("PRAGMA synchronous = OFF")  # no power is cut here
        self.start = self.clock()

    def put(self, **changes: Any) -> Account:
        values: dict[str, Any] = {
            "fingerprint": "f", "alertname": "A", "severity": "error", "component": "scan", "title": "T",
            "fired": self.start, "started": self.start,
        }  # fmt: skip
        account = Account(**(values | changes))
        with self.tx() as tx:
            tx.put(ACCOUNTS, account.id, account)
        return account

    def tx(self) -> Any:
        return self.store.transaction()

    def all(self) -> list[Account]:
        return list(self.store.docs(ACCOUNTS).values())

    def only(self) -> Account:
        (account,) = self.all()
        return account

    def titles(self) -> list[tuple[str, str]]:
        return [(entry.kind, entry.title) for _, entry in entries(self.store)]


def entries(store: Store) -> list[tuple[float, timeline.Entry]]:
    return [(one.time, one) for one in timeline.read(store, timeline.Filter(), 100).moments]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path / "state.db")
    yield made
    made.store.close()


def alert(fingerprint: str = "f", started: float = 1_700_000_000.0, **labels: str) -> Alert:
    return Alert(fingerprint, LABELS | labels, {"summary": "It fails"}, started)


@pytest.mark.parametrize(
    ("labels", "accountable"),
    [
        ({"severity": "warning"}, True),
        ({"severity": "error"}, True),
        ({"severity": "critical"}, True),
        ({"severity": "info"}, False),
        ({"alertname": "Watchdog"}, False),
        ({"alertname": "Drill"}, False),
        ({"told": "direct"}, False),
        ({"repeats": "3"}, False),
    ],
)
def test_what_people_are_told_of_is_accounted_for(books: Books, labels: dict[str, str], accountable: bool) -> None:
    with books.tx() as tx:
        account = accounts.fired(tx, alert(**labels))

    assert (account is not None) == accountable == bool(books.all())


def test_an_account_says_what_fired_and_when(books: Books) -> None:
    books.clock.advance(50)
    with books.tx() as tx:
        accounts.fired(tx, alert(started=books.start + 20))

    key = f"f-{books.start + 50:.3f}"
    assert books.store.docs(ACCOUNTS) == {
        key: Account(
            "f",
            "StageFailing",
            "error",
            "scan",
            "It fails",
            books.start + 50,
            books.start + 20,
            key=key,
            labels=LABELS,
            annotations={"summary": "It fails"},
        )
    }


def test_a_title_is_cut_and_stands_for_a_missing_one(books: Books) -> None:
    with books.tx() as tx:
        accounts.fired(tx, Alert("1", LABELS, {"summary": "x" * 301}, 0.0))
        accounts.fired(tx, Alert("2", LABELS, {}, 0.0))

    assert sorted(one.title for one in books.all()) == ["StageFailing", "x" * 300]


def test_it_fires_once_while_it_is_open_and_anew_after_its_end(books: Books) -> None:
    for after, count in ((0, 1), (1, 1)):
        books.clock.advance(after)
        with books.tx() as tx:
            accounts.fired(tx, alert())
        assert len(books.all()) == count
    with books.tx() as tx:
        accounts.ended(tx, alert(), books.start)
        accounts.fired(tx, alert("other"))
    books.clock.advance(1)
    with books.tx() as tx:
        accounts.fired(tx, alert())

    assert [bool(one.ended) for one in books.all() if one.fingerprint == "f"] == [True, False]


def test_it_ends_when_that_is_said_and_not_in_the_future(books: Books) -> None:
    books.put()
    for when, ended in ((books.start - 5, books.start - 5), (books.start + 5, books.start)):
        with books.tx() as tx:
            tx.put(ACCOUNTS, books.only().id, books.put())
            accounts.ended(tx, alert(), when)
        assert books.only().ended == ended


def test_the_first_channel_that_takes_it_is_on_the_timeline_and_each_is_noted_once(books: Books) -> None:
    books.put()
    for channel, when in (("slack", -9.0), ("slack", -5.0), ("telegram", 3.0)):
        with books.tx() as tx:
            accounts.taken(tx, alert(), channel, books.start + when)

    assert books.only().delivered_by == {"slack": books.start - 9, "telegram": books.start}
    assert [(e.kind, e.title, e.component) for _, e in entries(books.store)] == [
        ("alert.told", "Delivered by slack: T", "scan")
    ]


def test_what_a_channel_takes_opens_an_account_or_belongs_to_the_one_that_has_ended_untold(books: Books) -> None:
    with books.tx() as tx:
        accounts.taken(tx, alert(), "slack", books.start)
    assert books.only().delivered_by == {"slack": books.start}

    with books.tx() as tx:
        tx.delete(ACCOUNTS, books.only().id)
    books.put(ended=books.start)
    with books.tx() as tx:
        accounts.taken(tx, alert(), "slack", books.start)
    assert books.only().delivered_by == {"slack": books.start}
    assert books.only().ended == books.start


@pytest.mark.parametrize(
    "changes",
    [{"delivered_by": {"slack": 1.7e9}, "closed": {"slack": 1.7e9}}, {"missed": True}, {"fingerprint": "other"}],
)
def test_an_account_that_is_closed_or_anothers_takes_nothing_more(books: Books, changes: dict[str, Any]) -> None:
    before = books.put(ended=books.start, **changes)
    books.clock.advance(1)
    with books.tx() as tx:
        accounts.taken(tx, alert(), "telegram", books.clock())

    assert before in books.all()
    assert [list(one.delivered_by) for one in books.all() if one != before] == [["telegram"]]


def test_while_one_is_open_the_ended_one_takes_nothing(books: Books) -> None:
    books.put(ended=books.start)
    books.clock.advance(1)
    books.put(fired=books.clock())
    with books.tx() as tx:
        accounts.taken(tx, alert(), "slack", books.clock())

    assert [bool(one.delivered_by) for one in sorted(books.all(), key=lambda one: one.fired)] == [False, True]


@pytest.mark.parametrize(("age", "written"), [(15.0, False), (15.1, True)])
def test_that_it_is_muted_is_written_each_quarter_of_a_minute(books: Books, age: float, written: bool) -> None:
    books.put(muted=books.start)
    books.clock.advance(age)
    with books.tx() as tx:
        accounts.muted(tx, "f")

    assert books.only().muted == (books.clock() if written else books.start)


@pytest.mark.parametrize("changes", [{"fingerprint": "g"}, {"ended": 1.7e9}])
def test_what_is_muted_is_the_open_one(books: Books, changes: dict[str, Any]) -> None:
    books.put(**changes)
    with books.tx() as tx:
        accounts.muted(tx, "f")

    assert books.only().muted == 0


class TestJudged:
    def judge(self, books: Books, tried: float | None = None, settle: float = 60.0, *usual: str) -> None:
        with books.tx() as tx:
            if tried is not None:
                tx.put(CHANNELS, "slack", Channel(tried=tried))
            accounts.settle_accounts(tx, usual or ["slack"], settle)

    @pytest.mark.parametrize(("after", "kept"), [(KEPT - 0.1, True), (KEPT, False)])
    def test_what_was_told_is_kept_for_an_hour(self, books: Books, after: float, kept: bool) -> None:
        assert KEPT == 3600
        books.put(ended=books.start, delivered_by={"slack": books.start}, closed={"slack": books.start})
        books.clock.advance(after)
        self.judge(books)

        assert bool(books.all()) == kept

    @pytest.mark.parametrize(("after", "kept"), [(KEPT_UNCLOSED - 0.1, True), (KEPT_UNCLOSED, False)])
    def test_what_some_channel_has_to_hear_the_end_of_is_kept_for_a_week(
        self, books: Books, after: float, kept: bool
    ) -> None:
        assert KEPT_UNCLOSED == 7 * 86_400
        books.put(ended=books.start, delivered_by={"slack": 1.7e9, "pagerduty": 1.7e9}, closed={"slack": books.start})
        books.clock.advance(after)
        self.judge(books)

        assert bool(books.all()) == kept

    @pytest.mark.parametrize(("after", "settled"), [(59.9, False), (60.0, True)])
    def test_what_nobody_was_told_of_waits_for_all_attempts(self, books: Books, after: float, settled: bool) -> None:
        books.put(ended=books.start)
        books.clock.advance(after)
        self.judge(books, books.start)

        assert books.only().missed == settled
        assert (books.store.value(ALERTS_MISSED, ("error",)) or 0) == (1 if settled else 0)

    @pytest.mark.parametrize(("tried", "missed"), [(-0.1, False), (0.0, True), (5.0, True)])
    def test_it_was_missed_if_channels_failed_since_it_fired(self, books: Books, tried: float, missed: bool) -> None:
        books.put(ended=books.start)
        books.clock.advance(60)
        self.judge(books, books.start + tried)

        assert [one.missed for one in books.all()] == ([True] if missed else [])

    def test_one_channel_that_did_not_fail_is_enough(self, books: Books) -> None:
        books.put(ended=books.start)
        books.clock.advance(60)
        self.judge(books, books.start + 5, 60.0, "slack", "telegram")

        assert books.all() == []

    def test_without_a_channel_nothing_is_missed(self, books: Books) -> None:
        books.put(ended=books.start)
        books.clock.advance(60)
        with books.tx() as tx:
            accounts.settle_accounts(tx, [], 60.0)

        assert books.all() == []

    @pytest.mark.parametrize(("muted", "missed"), [(MUTED_FOR, False), (MUTED_FOR + 0.1, True)])
    def test_one_that_was_muted_in_its_last_minute_is_not_missed(
        self, books: Books, muted: float, missed: bool
    ) -> None:
        assert MUTED_FOR == 60
        books.put(ended=books.start, muted=books.start - muted)
        books.clock.advance(60)
        self.judge(books, books.start)

        assert [one.missed for one in books.all()] == ([True] if missed else [])

    def test_what_is_open_or_missed_already_stays_and_hides_nothing_behind_it(self, books: Books) -> None:
        books.put(key="a")
        books.put(key="b", ended=books.start, missed=True)
        books.put(key="c", ended=books.start)
        books.clock.advance(1e5)
        self.judge(books, books.start)

        assert [(one.key, one.missed) for one in books.all()] == [("a", False), ("b", True), ("c", True)]
        assert books.store.value(ALERTS_MISSED, ("error",)) == 1


class TestTooMany:
    def dropped(self, books: Books, monkeypatch: pytest.MonkeyPatch, *kept: dict[str, Any]) -> list[str]:
        monkeypatch.setattr(accounts, "MAX_ACCOUNTS", 2)
        for one in kept:
            books.put(**one)
        with books.tx() as tx:
            accounts.fired(tx, alert("new", severity="critical"))
        keys = {one.key or one.fingerprint for one in books.all()}
        return sorted({one["key"] for one in kept} - keys)

    def test_as_many_as_are_kept_are_kept(self, books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
        assert accounts.MAX_ACCOUNTS == 2000
        assert self.dropped(books, monkeypatch, {"key": "a"}) == []
        assert (books.store.value(ALERTS_DROPPED, ("scan", "error")) or 0) == 0

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            ({"delivered_by": {"slack": 1.7e9}, "severity": "critical"}, {"severity": "warning"}),
            ({"severity": "warning"}, {"severity": "error"}),
            ({"fired": 1.7e9 - 9}, {"fired": 1.7e9 - 8}),
            ({"fired": 1.7e9 - 8}, {"fired": 1.7e9 - 9, "ended": 1.7e9}),
            ({"muted": 1.7e9, "severity": "critical"}, {"severity": "warning"}),
        ],
    )
    def test_the_least_important_goes(
        self, books: Books, monkeypatch: pytest.MonkeyPatch, a: dict[str, Any], b: dict[str, Any]
    ) -> None:
        assert self.dropped(books, monkeypatch, {"key": "b", **b}, {"key": "a", **a}) == ["a"]

    def test_that_it_is_lost_is_told_if_somebody_would_have_wanted_it(
        self, books: Books, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.dropped(books, monkeypatch, {"key": "a", "severity": "warning"}, {"key": "b"})
        assert books.titles() == [("alert.dropped", "Alert dropped, too many undelivered alerts are kept already: T")]

    @pytest.mark.parametrize("muted", [0.0, 60.0])
    def test_that_one_is_lost_that_nobody_wanted_is_not_told(
        self, books: Books, monkeypatch: pytest.MonkeyPatch, muted: float
    ) -> None:
        monkeypatch.setattr(accounts, "MAX_ACCOUNTS", 1)
        books.put(key="a", severity="warning", muted=books.start - muted)
        with books.tx() as tx:
            accounts.fired(tx, alert("new"))

        assert [one.fingerprint for one in books.all()] == ["new"]
        assert books.titles() == []


@pytest.mark.parametrize(
    ("more", "firing", "found"),
    [
        ({}, set(), True),
        ({"fired": 1.7e9 - 1}, set(), True),
        ({"fired": 1.7e9 + 0.1}, set(), False),
        ({}, {"f"}, False),
        ({}, {"g"}, True),
        ({"ended": 1.7e9}, set(), False),
    ],
)
def test_what_is_open_for_long_enough_and_fires_no_more_is_absent(
    books: Books, more: dict[str, Any], firing: set[str], found: bool
) -> None:
    account = books.put(**more)

    assert accounts.absent({"id": account}, firing, books.start) == ({"id"} if found else set())


def test_an_orphan_ends_once(books: Books) -> None:
    account = books.put()
    books.clock.advance(100)
    with books.tx() as tx:
        assert accounts.orphan(tx, "unknown") is None
        orphaned = accounts.orphan(tx, account.id)
    assert orphaned == books.only()
    books.clock.advance(100)
    with books.tx() as tx:
        assert accounts.orphan(tx, account.id) is None

    assert (books.only().ended, books.only().orphaned) == (books.start + 100, True)


class TestIncidents:
    """What pagers know an alert by, and who has heard of its end."""

    def take(self, books: Books, channel: str, incident: str = "") -> None:
        with books.tx() as tx:
            accounts.taken(tx, alert(), channel, books.clock(), incident)

    def test_a_pager_knows_it_by_the_last_name(self, books: Books) -> None:
        books.put()
        self.take(books, "pagerduty", "i1")
        self.take(books, "slack")
        assert books.only().incidents == {"pagerduty": "i1"}
        self.take(books, "pagerduty", "i2")

        assert (books.only().incidents, sorted(books.only().delivered_by)) == (
            {"pagerduty": "i2"},
            ["pagerduty", "slack"],
        )

    def test_one_that_fires_on_was_not_closed(self, books: Books) -> None:
        books.put(delivered_by={"slack": 1.7e9, "pagerduty": 1.7e9}, closed={"slack": 1.7e9, "pagerduty": 1.7e9})
        self.take(books, "slack")
        assert books.only().closed == {"pagerduty": 1.7e9}

    def test_the_end_is_heard_once_by_those_who_heard_of_it(self, books: Books) -> None:
        books.put(delivered_by={"slack": 1.7e9, "pagerduty": 1.7e9}, ended=books.start)
        for channel, when in (("slack", -5.0), ("slack", -3.0), ("telegram", -5.0)):
            with books.tx() as tx:
                accounts.closed(tx, "f", channel, books.start + when)
                accounts.closed(tx, "g", "pagerduty", books.start)
        assert (books.only().closed, books.only().owed) == ({"slack": books.start - 5}, ["pagerduty"])
        with books.tx() as tx:
            accounts.closed(tx, "f", "pagerduty", books.start + 5)

        assert (books.only().closed["pagerduty"], books.only().owed) == (books.start, [])

    def test_chats_do_not_tell_the_end_of_a_scripts_alert(self, books: Books) -> None:
        told = {"slack": 1.7e9, "telegram": 1.7e9, "pagerduty": 1.7e9}

        assert books.put(alertname="VVEvent", delivered_by=told).owed == ["pagerduty"]
        assert books.put(alertname="VVEvent").is_event
        assert not books.put().is_event


def test_what_is_asked_of_many(books: Books) -> None:
    one, told, missed = (
        books.put(key="a", ended=3.0),
        books.put(key="b", ended=3.0, delivered_by={"slack": 2.0}),
        books.put(key="c", ended=3.0, missed=True, started=5.0),
    )
    earlier, still = books.put(key="d", missed=True, started=4.0, ended=9.0), books.put(key="e")
    every = {account.key: account for account in (one, told, missed, earlier, still)}

    assert list(accounts.missed(every)) == ["d", "c"]
    assert accounts.undelivered(every.values()) == [one, missed, earlier, still]
    assert accounts.unsettled([one])
    assert not accounts.unsettled([told, missed, earlier, still])


def test_an_account_without_a_key_of_its_own_is_known_by_when_it_fired() -> None:
    account = Account("f", "A", "error", "scan", "T", 12.5, 0.0)

    assert account.id == "f-12.500"
    assert accounts.moment("nothing") == 0.0
