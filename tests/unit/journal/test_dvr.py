"""What agents and probes say of a DVR, and what becomes of it."""

from collections.abc import Iterable

import pytest
from prometheus_client.core import Metric as Family

from tests.support.journals import RawWriter
from tests.unit.journal.conftest import Journal
from vv_exporter.collectors.dvr import Dvrs
from vv_exporter.metrics.dvr import DVR_ATTEMPTS, DVR_FRAMES, DVR_LAST_FRAME
from vv_exporter.state.dvrs import AGENT_FORGOTTEN, LINKS, RESULTS, forget_ended_agents, probed
from vv_exporter.state.failures import FAILURES
from vv_exporter.state.timeline import HISTORY


def series(families: Iterable[Family]) -> dict[tuple[str, ...], float]:
    """Samples by name and label values; no creation times, no zeros of results."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created") and not (sample.value == 0 and "result" in sample.labels)
    }


def shown(journal: Journal, name: str) -> dict[tuple[str, ...], float]:
    found = series(Dvrs(journal.store, []).collect())
    return {labels[1:]: value for labels, value in found.items() if labels[0] == name}


def attempt(writer: RawWriter, result: str, ts: float, **fields: str) -> None:
    writer.event("dvr.attempt", dvr="front", result=result, ts=ts, **fields)


def test_failures_in_a_row_are_counted_until_a_success(journal: Journal) -> None:
    writer = journal.writer()
    attempt(writer, "refused", 1_699_999_000.0, error="connection refused")
    attempt(writer, "timeout", 1_699_999_010.0)
    journal.read()

    assert shown(journal, "vv_dvr_up") == {("front", "agent"): 0}
    assert shown(journal, "vv_dvr_consecutive_failures") == {("front", "agent"): 2}
    assert shown(journal, "vv_dvr_down_since_timestamp_seconds") == {("front", "agent"): 1_699_999_000.0}
    assert shown(journal, "vv_dvr_last_result") == {("front", "agent", "timeout"): 1}

    attempt(writer, "ok", 1_699_999_020.0)
    journal.read()

    assert shown(journal, "vv_dvr_up") == {("front", "agent"): 1}
    assert shown(journal, "vv_dvr_consecutive_failures") == {("front", "agent"): 0}
    assert shown(journal, "vv_dvr_down_since_timestamp_seconds") == {}
    assert shown(journal, "vv_dvr_attempts_total") == {
        ("front", "agent", "refused"): 1,
        ("front", "agent", "timeout"): 1,
        ("front", "agent", "ok"): 1,
    }


def test_all_results_begin_at_0(journal: Journal) -> None:
    attempt(journal.writer(), "ok", 1_699_999_000.0)
    journal.read()

    assert {labels for labels, _ in journal.store.series(DVR_ATTEMPTS)} == {
        ("front", "agent", each) for each in RESULTS
    }


def test_an_unknown_result_is_an_error(journal: Journal) -> None:
    attempt(journal.writer(), "exploded", 1_699_999_000.0)
    journal.read()

    assert journal.value(DVR_ATTEMPTS, "front", "agent", "error") == 1


def test_the_latest_failure_is_remembered(journal: Journal) -> None:
    attempt(journal.writer(), "auth", 1_699_999_000.0, error="401\nUnauthorized")
    journal.read()

    (failure,) = journal.store.docs(FAILURES).values()
    assert (failure.component, failure.kind, failure.error) == ("test.py", "dvr:front", "401 Unauthorized")


def test_an_older_attempt_that_is_read_later_is_counted_and_changes_nothing_else(journal: Journal) -> None:
    attempt(journal.writer("new"), "ok", 1_699_999_010.0)
    journal.read()
    attempt(journal.writer("old"), "timeout", 1_699_999_000.0)
    journal.read()

    assert shown(journal, "vv_dvr_up") == {("front", "agent"): 1}
    assert journal.value(DVR_ATTEMPTS, "front", "agent", "timeout") == 1


def test_frames_are_counted_and_say_that_there_is_a_stream(journal: Journal) -> None:
    writer = journal.writer()
    attempt(writer, "timeout", 1_699_999_000.0)
    writer.event("dvr.frames", dvr="front", frames=25, last=1_699_999_001.0, ts=1_699_999_001.1)
    writer.event("dvr.frames", dvr="front", frames=24, last=1_699_999_002.0, ts=1_699_999_002.1)
    journal.read()

    assert journal.value(DVR_FRAMES, "front") == 49
    assert journal.value(DVR_LAST_FRAME, "front") == 1_699_999_002.0
    assert shown(journal, "vv_dvr_up") == {("front", "agent"): 1}


def test_frames_of_before_a_failure_do_not_say_that_there_is_a_stream(journal: Journal) -> None:
    writer = journal.writer()
    attempt(writer, "timeout", 1_699_999_002.0)
    writer.event("dvr.frames", dvr="front", frames=25, last=1_699_999_001.0, ts=1_699_999_002.0)
    journal.read()

    assert journal.value(DVR_FRAMES, "front") == 25
    assert shown(journal, "vv_dvr_up") == {("front", "agent"): 0}


def test_an_agent_that_ended_with_a_stream_says_nothing_any_more(journal: Journal) -> None:
    writer = journal.writer()
    attempt(writer, "ok", journal.clock.now)
    journal.read()
    writer.close()
    journal.read()

    assert shown(journal, "vv_dvr_up") == {}
    assert shown(journal, "vv_dvr_consecutive_failures") == {("front", "agent"): 0}


def test_the_end_of_an_agent_does_not_end_the_next_ones_stream(journal: Journal) -> None:
    old, new = journal.writer("old"), journal.writer("zz-new")
    attempt(old, "ok", journal.clock.now)
    attempt(new, "ok", journal.clock.now + 1)
    old.close()
    journal.read()

    assert shown(journal, "vv_dvr_up") == {("front", "agent"): 1}


def test_failures_are_counted_on_by_the_next_process_of_the_agent(journal: Journal) -> None:
    for name in ("a", "b", "c"):
        writer = journal.writer(name)
        attempt(writer, "timeout", journal.clock.now)
        writer.close()
        journal.read()

    assert shown(journal, "vv_dvr_consecutive_failures") == {("front", "agent"): 3}
    assert shown(journal, "vv_dvr_up") == {("front", "agent"): 0}


class TestBesideAProbe:
    def probe(self, journal: Journal, result: str, frames: int = 0) -> None:
        with journal.store.transaction() as tx:
            probed(tx, "front", result, journal.clock.now, error="no answer", frames=frames)

    def test_both_are_shown(self, journal: Journal) -> None:
        attempt(journal.writer(), "ok", journal.clock.now)
        journal.read()
        self.probe(journal, "timeout")

        assert shown(journal, "vv_dvr_up") == {("front", "agent"): 1, ("front", "probe"): 0}
        (failure,) = journal.store.docs(FAILURES).values()
        assert (failure.component, failure.kind) == ("dvr_probe", "dvr:front")

    def test_its_frames_count_where_no_agent_reports_any(self, journal: Journal) -> None:
        self.probe(journal, "ok", frames=2)

        assert journal.value(DVR_FRAMES, "front") == 2
        assert journal.value(DVR_LAST_FRAME, "front") == journal.clock.now

    @pytest.mark.parametrize("connected_first", [True, False])
    def test_its_frames_do_not_hide_an_agent_that_is_stuck(self, journal: Journal, connected_first: bool) -> None:
        writer = journal.writer()
        began = journal.clock.now
        if connected_first:
            attempt(writer, "ok", began + 0.001)
        writer.event("dvr.frames", dvr="front", frames=1, last=began, ts=began)
        journal.read()
        journal.clock.advance(60)
        self.probe(journal, "ok", frames=2)

        assert journal.value(DVR_LAST_FRAME, "front") == began

        writer.close()
        journal.read()
        self.probe(journal, "ok", frames=2)

        assert journal.value(DVR_LAST_FRAME, "front") == journal.clock.now

    def test_its_success_ends_the_failures_of_an_agent_that_is_gone(self, journal: Journal) -> None:
        writer = journal.writer()
        attempt(writer, "timeout", journal.clock.now)
        journal.read()
        self.probe(journal, "ok", frames=2)
        assert shown(journal, "vv_dvr_consecutive_failures") == {("front", "agent"): 1, ("front", "probe"): 0}

        writer.close()
        journal.read()
        self.probe(journal, "ok", frames=2)

        assert shown(journal, "vv_dvr_consecutive_failures") == {("front", "probe"): 0}


def test_the_failures_of_an_agent_that_is_gone_are_forgotten_after_an_hour(journal: Journal) -> None:
    writer = journal.writer()
    attempt(writer, "timeout", journal.clock.now)
    journal.read()
    writer.close()
    journal.read()

    (link,) = journal.store.docs(LINKS).values()
    for ahead, expected in ((AGENT_FORGOTTEN, 1), (AGENT_FORGOTTEN + 1, 0)):
        with journal.store.transaction() as tx:
            forget_ended_agents(tx, link.gone + ahead)
        assert len(shown(journal, "vv_dvr_consecutive_failures")) == expected


HELD_BACK = "vv_dvr_login_held_back_timestamp_seconds"


def test_a_login_that_is_held_back_is_no_attempt_and_lasts_until_the_next(journal: Journal) -> None:
    writer = journal.writer()
    attempt(writer, "auth", 1_699_999_000.0, error="401 Unauthorized")
    assert shown(journal, HELD_BACK) == {}
    for ts in (1_699_999_010.0, 1_699_999_020.0):  # a process that was started again says it again
        writer.event("dvr.held_back", dvr="front", error="they are not sent again", ts=ts)
    journal.read()

    assert shown(journal, HELD_BACK) == {("front", "agent"): 1_699_999_010.0}
    assert shown(journal, "vv_dvr_last_result") == {("front", "agent", "auth"): 1}
    assert journal.store.value(DVR_ATTEMPTS, ("front", "agent", "auth")) == 1
    (failure,) = (one for one in journal.store.docs(FAILURES).values() if one.kind == "dvr:front")
    assert failure.error == "they are not sent again"
    kinds = [record.body["kind"] for record in journal.store.history(HISTORY)]
    assert kinds.count("dvr.held_back") == 1

    attempt(writer, "timeout", 1_699_999_030.0)
    journal.read()
    assert shown(journal, HELD_BACK) == {}


def test_one_that_is_held_back_from_its_start_is_down(journal: Journal) -> None:
    journal.writer().event("dvr.held_back", dvr="front", error="not sent", ts=1_699_999_000.0)
    journal.read()

    assert shown(journal, "vv_dvr_up") == {("front", "agent"): 0}
    assert shown(journal, "vv_dvr_down_since_timestamp_seconds") == {("front", "agent"): 1_699_999_000.0}


def test_a_probe_whose_login_is_held_back_says_since_when(journal: Journal) -> None:
    for number, held in enumerate((False, True, True)):
        with journal.store.transaction() as tx:
            probed(tx, "front", "auth", 1_699_999_000.0 + number, error="no", frames=0, is_held_back=held)
    assert shown(journal, HELD_BACK) == {("front", "probe"): 1_699_999_001.0}
    with journal.store.transaction() as tx:
        probed(tx, "front", "ok", 1_699_999_009.0, error="", frames=3)
    assert shown(journal, HELD_BACK) == {}
