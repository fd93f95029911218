"""Agents of DVRs and guarded scripts: who was killed is missed, who ended is not."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support.journals import RawWriter
from tests.unit.journal.conftest import Journal
from tests.unit.journal.test_dvr import attempt, shown
from vv_exporter.cli import vv
from vv_exporter.metrics.dvr import DVR_LOST
from vv_exporter.metrics.exceptions import SCRIPT_CRASHES
from vv_exporter.metrics.exporter import EVENTS_REJECTED, SERIES_LIMITED
from vv_exporter.state.dvr_agents import AGENTS, GONE_AGENTS
from vv_exporter.state.dvrs import LINKS, MAX_LINKS, probed
from vv_exporter.state.failures import FAILURES
from vv_exporter.state.runs import SCRIPTS
from vv_exporter.state.store import Kind, Store
from vv_exporter.state.timeline import Filter, read


def frames(writer: RawWriter, ts: float = 1000.0, dvr: str = "front") -> None:
    writer.event("dvr.frames", dvr=dvr, frames=25, last=ts, ts=ts)


def told(journal: Journal, kind: str) -> list[tuple[str, str]]:
    """Component and title of what stands in the timeline, the oldest first."""
    moments = read(journal.store, Filter()).moments[::-1]
    return [(one.component, one.title) for one in moments if one.kind == kind]


def agents(journal: Journal) -> dict[tuple[str, ...], float]:
    return shown(journal, "vv_dvr_agent_up")


def test_an_agent_that_is_killed_is_missed_until_another_one_reports(journal: Journal) -> None:
    writer = journal.writer("a")
    attempt(writer, "ok", 1000.0)
    frames(writer)
    journal.read()
    assert agents(journal) == {("front",): 1}

    writer.close()
    journal.read()
    assert agents(journal) == {("front",): 0}
    assert told(journal, "dvr.agent_gone") == [("test.py", "The agent of DVR front was killed")]
    (failure,) = journal.store.docs(FAILURES).values()
    assert (failure.component, failure.kind) == ("test.py", "dvr_agent:front")
    assert "killed, out of memory" in failure.error
    journal.restart()
    journal.read()
    assert agents(journal) == {("front",): 0}

    frames(journal.writer("b"), 2000.0)
    journal.read()
    assert agents(journal) == {("front",): 1}


@pytest.mark.parametrize("result", ["ok", "timeout"])
def test_one_that_said_that_it_ended_is_not_missed(journal: Journal, result: str) -> None:
    writer = journal.writer()
    attempt(writer, result, 1000.0)
    writer.event("dvr.ended", dvr="front", ts=1001.0)
    writer.close()
    journal.read()

    assert agents(journal) == {}
    assert told(journal, "dvr.agent_gone") == []
    assert shown(journal, "vv_dvr_up") == ({} if result == "ok" else {("front", "agent"): 0})
    assert journal.value(DVR_LOST, "front", "agent") == 0


def test_one_that_is_killed_while_it_tries_in_vain_is_missed_as_well(journal: Journal) -> None:
    writer = journal.writer()
    attempt(writer, "timeout", 1000.0)
    writer.close()
    journal.read()

    assert agents(journal) == {("front",): 0}


def test_one_that_reports_after_its_end_has_not_ended(journal: Journal) -> None:
    writer = journal.writer()
    writer.event("dvr.ended", dvr="front")
    frames(writer)
    writer.close()
    journal.read()

    assert agents(journal) == {("front",): 0}


def test_that_there_is_to_be_no_agent_any_more_may_be_said_by_anybody(journal: Journal) -> None:
    writer = journal.writer("a")
    frames(writer)
    writer.close()
    journal.read()
    journal.writer("b").event("dvr.ended", dvr="front")
    journal.read()

    assert agents(journal) == {}


def test_but_not_of_one_that_is_at_work(journal: Journal) -> None:
    frames(journal.writer("a"))
    journal.writer("b").event("dvr.ended", dvr="front")
    journal.read()

    assert agents(journal) == {("front",): 1}
    assert shown(journal, "vv_dvr_up") == {("front", "agent"): 1}


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")], ids=["in order", "the later one is read first"])
def test_one_that_was_replaced_before_its_death_was_noticed_stands_in_the_timeline_only(
    journal: Journal, names: tuple[str, str]
) -> None:
    old, new = journal.writer(names[0]), journal.writer(names[1])
    frames(old)
    old.close()
    frames(new, 1001.0)
    journal.read()
    frames(new, 1002.0)
    journal.read()

    assert agents(journal) == {("front",): 1}
    assert len(told(journal, "dvr.agent_gone")) == 1


def test_one_that_was_killed_is_not_missed_after_a_run_that_went_well(journal: Journal) -> None:
    """Agents that cron starts, read all at once after the exporter was down."""
    killed, well = journal.writer("a"), journal.writer("b")
    frames(killed)
    killed.close()
    frames(well, 1060.0)
    well.event("dvr.ended", dvr="front", ts=1100.0)
    well.close()
    journal.read()

    assert agents(journal) == {}


def test_of_two_at_once_one_goes_on(journal: Journal) -> None:
    one, other = journal.writer("a"), journal.writer("b")
    for ts in (1000.0, 1001.0):
        frames(one, ts)
        frames(other, ts)
        journal.read()
    other.close()
    journal.read()
    frames(one, 1002.0)
    journal.read()

    assert agents(journal) == {("front",): 1}


def test_each_dvr_of_a_process_is_missed(journal: Journal) -> None:
    writer = journal.writer()
    for dvr in ("front", "back", "yard"):
        frames(writer, dvr=dvr)
    writer.event("dvr.ended", dvr="yard")
    writer.close()
    journal.read()

    assert agents(journal) == {("front",): 0, ("back",): 0}


def test_what_the_bound_refuses_is_counted(journal: Journal) -> None:
    writer = journal.writer()
    for number in range(MAX_LINKS + 1):
        frames(writer, dvr=f"dvr{number}")
    journal.read()

    assert len(agents(journal)) == MAX_LINKS
    assert journal.value(SERIES_LIMITED, "vv_dvr_agent_up") == 1


def test_agents_of_very_many_dvrs_are_each_found_without_a_look_at_all_others(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one batch; what gives way for it is looked for once, and is that which works."""
    looks: list[str] = []
    docs = Store.docs

    def counted(store: Store, kind: Kind[Any]) -> dict[str, Any]:
        looks.append(kind.name)
        return docs(store, kind)

    monkeypatch.setattr(Store, "docs", counted)
    for number in range(4):
        writer = journal.writer(f"w{number}")
        for dvr in range(MAX_LINKS):
            result = "refused" if (number, dvr) == (0, 7) else "ok"
            writer.event("dvr.attempt", dvr=f"dvr{number}.{dvr}", component="agent", result=result, error="")
        if number:
            writer.close()
    journal.read()

    assert len(looks) < 100, Counter(looks)
    assert journal.store.count(LINKS) == MAX_LINKS
    assert journal.store.document(LINKS, "agent\ndvr0.7") is not None
    assert journal.value(SERIES_LIMITED, "vv_dvr_up") == 3 * MAX_LINKS


def test_nobody_knows_whether_a_writer_lives_that_does_not_lock(journal: Journal) -> None:
    writer = journal.writer(lock=False)
    frames(writer)
    writer.close()
    journal.clock.advance(1e9)
    journal.read()

    assert journal.names() == []
    assert agents(journal) == {}


def test_one_whose_files_somebody_removed_is_neither_at_work_nor_missed(journal: Journal) -> None:
    writer = journal.writer()
    frames(writer)
    writer.event("script.started")
    journal.read()
    writer.path.unlink()
    journal.read()

    assert agents(journal) == {}
    assert [journal.store.count(kind) for kind in (AGENTS, GONE_AGENTS, SCRIPTS)] == [0, 0, 0]


class TestLostStreams:
    """Each time that there was a stream and then there was none counts once, whoever noticed."""

    @pytest.fixture
    def writers(self, journal: Journal) -> Iterator[RawWriter]:
        return (journal.writer(f"w{number}") for number in range(100))

    def lost(self, journal: Journal) -> float | None:
        journal.read()
        return journal.value(DVR_LOST, "front", "agent")

    def test_a_dvr_that_comes_and_goes(self, journal: Journal, writers: Iterator[RawWriter]) -> None:
        writer = next(writers)
        for number in range(47):
            attempt(writer, "error" if number % 2 else "ok", 1000.0 + number)

        assert self.lost(journal) == 23

    def test_one_that_is_away_is_lost_once(self, journal: Journal, writers: Iterator[RawWriter]) -> None:
        writer = next(writers)
        for number in range(20):
            attempt(writer, "timeout", 1000.0 + number)
        assert self.lost(journal) == 0

        attempt(writer, "ok", 1100.0)
        for number in range(20):
            attempt(writer, "timeout", 1200.0 + number)
        assert self.lost(journal) == 1

    def test_an_agent_that_is_killed_again_and_again(self, journal: Journal, writers: Iterator[RawWriter]) -> None:
        for number in range(7):
            writer = next(writers)
            attempt(writer, "ok", 1000.0 + number)
            journal.read()
            writer.close()

        assert self.lost(journal) == 7

    def test_an_agent_that_ends_and_is_started_again_loses_nothing(
        self, journal: Journal, writers: Iterator[RawWriter]
    ) -> None:
        for number in range(7):
            writer = next(writers)
            attempt(writer, "ok", 1000.0 + number)
            writer.event("dvr.ended", dvr="front", ts=1000.5 + number)
            writer.close()

        assert self.lost(journal) == 0

    def test_the_probe_counts_apart(self, journal: Journal) -> None:
        with journal.store.transaction() as tx:
            for number, result in enumerate(["ok", "timeout", "timeout", "ok", "auth"]):
                probed(tx, "front", result, 1000.0 + number, error="", frames=0)

        assert journal.values(DVR_LOST) == {("front", "probe"): 2}


class TestScripts:
    def crashes(self, journal: Journal) -> dict[tuple[str, ...], float]:
        journal.read()
        return journal.values(SCRIPT_CRASHES)

    def test_one_that_did_not_end_has_crashed(self, journal: Journal) -> None:
        writer = journal.writer()
        writer.event("script.started", component="scan.py", video="a.mp4", video_sha256="ab")
        assert self.crashes(journal) == {("scan.py",): 0}

        writer.close()
        assert self.crashes(journal) == {("scan.py",): 1}
        assert told(journal, "script.crashed") == [("scan.py", "scan.py crashed")]
        (failure,) = journal.store.docs(FAILURES).values()
        assert (failure.component, failure.kind, failure.video, failure.video_sha256) == (
            "scan.py",
            "crash",
            "a.mp4",
            "ab",
        )
        journal.restart()
        assert self.crashes(journal) == {("scan.py",): 1}

    def test_one_that_ended_has_not(self, journal: Journal) -> None:
        writer = journal.writer()
        for _ in range(3):
            writer.event("script.started")
            writer.event("script.ended")
        writer.close()

        assert self.crashes(journal) == {("test.py",): 0}

    def test_one_that_goes_on_in_a_next_file_has_not(self, journal: Journal) -> None:
        first = journal.writer("w", 0)
        first.event("script.started")
        second = journal.writer("w", 1)
        first.close()
        assert self.crashes(journal) == {("test.py",): 0}

        second.event("script.ended")
        second.close()
        assert self.crashes(journal) == {("test.py",): 0}

    @pytest.mark.parametrize(
        ("kind", "fields"),
        [
            ("stage.started", {"run": "1", "stage": "s"}),
            ("job.started", {"run": "1", "job": "s"}),
            ("dvr.frames", {"dvr": "front", "frames": 1, "last": 1000.0}),
        ],
    )
    def test_what_a_stage_a_job_or_an_agent_tells_is_told_once(
        self, journal: Journal, kind: str, fields: dict[str, object]
    ) -> None:
        writer, other = journal.writer("w"), journal.writer("x")
        for one in (writer, other):
            one.event("script.started", component=f"{one.path.name[0]}.py")
        writer.event(kind, **fields)
        writer.close()
        other.close()

        assert self.crashes(journal) == {("w.py",): 0, ("x.py",): 1}
        assert journal.store.count(SCRIPTS) == 0

    def test_an_end_whose_beginning_was_lost_is_nothing(self, journal: Journal) -> None:
        journal.writer().event("script.ended")

        assert self.crashes(journal) == {}
        assert journal.values(EVENTS_REJECTED) == {}


def test_vv_dvr_forget_ends_the_missing_of_an_agent(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VV_STATE_DIR", str(journal.directory.parent))
    monkeypatch.setenv("VV_CONFIG", "")
    writer = journal.writer()
    frames(writer, dvr="the yard")
    writer.close()
    journal.read()
    assert agents(journal) == {("the yard",): 0}

    said = CliRunner().invoke(vv, ["dvr", "forget", "the yard"])
    journal.read()

    assert (said.exit_code, said.output) == (0, "no agent of DVR the yard is missed, until one reports again\n")
    assert agents(journal) == {}
