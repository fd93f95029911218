"""What the self-monitor's events change, each told once or twice."""

import msgspec
import pytest

from tests.support.journals import RawWriter
from tests.unit.journal.conftest import Journal
from vv_exporter.collectors.self_monitor import SelfMonitorCollector
from vv_exporter.containers.records import CLAIMS, CONTAINERS, GONE, Claim, ContainerRecord
from vv_exporter.journal.folds.supervisor import MAX_QUOTE, SUPERVISED
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.metrics.self_monitor import EXPECTED, LAST_CHECK, SUPERVISED_RESTARTS
from vv_exporter.settings import SelfMonitorSettings
from vv_exporter.state.failures import FAILURES

WELL = {"web": {"in_window": 1, "max": 5, "gave_up": False}}


@pytest.fixture
def writer(journal: Journal) -> RawWriter:
    return journal.writer(component="self-monitor")


def shown(journal: Journal) -> dict[str, float]:
    families = SelfMonitorCollector(journal.store, journal.settings.self_monitor).collect()
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created") and sample.name != EXPECTED.name
    }


def test_an_announced_restart_becomes_a_claim_that_is_as_young_as_its_word(journal: Journal, writer: RawWriter) -> None:
    writer.event("container.restarting", name="web", container="full-id", attempt="a1", ts=1_699_999_000.0)
    writer.event("container.restarting", name="web", container="full-id", attempt="a1", ts=1_699_999_001.0)
    journal.read()

    assert journal.store.docs(CLAIMS) == {"a1": Claim("full-id", at=1_699_999_001.0, noted=journal.clock())}
    assert journal.values(SUPERVISED_RESTARTS) == {("web", "ok"): 0, ("web", "failed"): 0}


def test_each_attempt_counts_once(journal: Journal, writer: RawWriter) -> None:
    for attempt, result in (("a1", "ok"), ("a1", "ok"), ("a2", "failed"), ("a3", "ok")):
        writer.event("container.restarted", name="web", attempt=attempt, result=result)
    journal.read()

    assert journal.values(SUPERVISED_RESTARTS) == {("web", "ok"): 2, ("web", "failed"): 1}


def test_giving_up_is_remembered_with_the_end_of_the_log(journal: Journal, writer: RawWriter) -> None:
    log = "\n".join(["first", "x" * 2000, "  disk   full", ""])
    writer.event("container.gave_up", name="web", restarts=5, reason="it ended with exit code 3", log_tail=log)
    journal.read()

    (failure,) = journal.store.docs(FAILURES).values()
    assert (failure.component, failure.kind) == ("web", "container_failed")
    assert failure.error.startswith("it ended with exit code 3; it said last: …xxx")
    assert failure.error.endswith("xxx | disk full")
    assert len(failure.error) == MAX_QUOTE
    assert shown(journal)["vv_self_monitor_gave_up['web']"] == 1


def test_without_a_log_the_reason_stands_alone(journal: Journal, writer: RawWriter) -> None:
    writer.event("container.gave_up", name="web", restarts=5, reason="it is unhealthy")
    journal.read()

    (failure,) = journal.store.docs(FAILURES).values()
    assert failure.error == "it is unhealthy"


def test_what_is_taken_up_again_is_not_given_up_any_more(journal: Journal, writer: RawWriter) -> None:
    writer.event("container.gave_up", name="web", restarts=5)
    writer.event("container.resumed", name="web")
    journal.read()

    assert shown(journal)["vv_self_monitor_gave_up['web']"] == 0
    assert shown(journal)["vv_self_monitor_restarts_in_window['web']"] == 0


def test_a_look_tells_of_all_containers_and_of_no_other(journal: Journal, writer: RawWriter) -> None:
    writer.event("supervisor.checked", containers=WELL | {"old": {"max": 5}}, ts=1_699_999_000.0)
    journal.read()
    assert shown(journal)["vv_self_monitor_max_restarts['old']"] == 5
    writer.event("supervisor.checked", containers=WELL, ts=1_699_999_010.0)
    writer.event("supervisor.checked", containers={}, ts=1_699_999_005.0)  # of another file, read late
    journal.read()

    assert shown(journal) == {
        "vv_self_monitor_last_check_timestamp_seconds[]": 1_699_999_010.0,
        "vv_self_monitor_restarts_total['ok', 'web']": 0,
        "vv_self_monitor_restarts_total['failed', 'web']": 0,
        "vv_self_monitor_restarts_in_window['web']": 1,
        "vv_self_monitor_max_restarts['web']": 5,
        "vv_self_monitor_gave_up['web']": 0,
    }


def test_a_retired_self_monitor_leaves_no_series(journal: Journal, writer: RawWriter) -> None:
    writer.event("supervisor.checked", containers=WELL)
    writer.event("supervisor.retired")
    journal.read()

    assert shown(journal) == {}
    assert journal.value(LAST_CHECK) is None
    assert journal.store.docs(SUPERVISED) == {}


@pytest.mark.parametrize("state", ["exited", GONE])
def test_a_forgotten_container_is_not_expected_and_one_that_is_gone_goes_at_once(
    journal: Journal, writer: RawWriter, state: str
) -> None:
    with journal.store.transaction() as tx:
        tx.put(CONTAINERS, "web", ContainerRecord(name="web", id="1", state=state, wanted=True, gone_at=1e9))
    writer.event("container.forgotten", name="web")
    writer.event("container.forgotten", name="unknown")
    journal.read()

    record = journal.store.docs(CONTAINERS)["web"]
    assert not record.wanted
    assert record.gone_at == (0.0 if state == GONE else 1e9)


def test_containers_that_are_left_out_are_counted_as_long_as_they_are(journal: Journal, writer: RawWriter) -> None:
    writer.event("supervisor.checked", containers=WELL, left_out=7)
    writer.event("supervisor.checked", containers=WELL, left_out=7)
    writer.event("supervisor.checked", containers=WELL)
    journal.read()

    assert journal.value(SERIES_LIMITED, "vv_self_monitor_restarts_in_window") == 14


def expected(journal: Journal, **asked: tuple[str, ...]) -> float:
    families = SelfMonitorCollector(journal.store, SelfMonitorSettings(**asked)).collect()
    (found,) = (one.samples[0].value for one in families if one.name == "vv_self_monitor_expected")
    return found


def test_one_is_expected_where_the_configuration_asks_for_it_until_it_is_retired(
    journal: Journal, writer: RawWriter
) -> None:
    asked = {"containers": ("web",)}
    assert expected(journal) == 0
    assert expected(journal, **asked) == 1
    assert expected(journal, projects=("vv",)) == 1

    writer.event("supervisor.retired")
    journal.read()
    assert expected(journal, **asked) == 0

    writer.event("supervisor.checked", containers=WELL)
    journal.read()
    assert expected(journal, **asked) == 1


def test_one_is_expected_where_a_container_s_label_asks_for_it_as_long_as_there_is_one(journal: Journal) -> None:
    record = ContainerRecord(name="web", id="1", opted="true")
    with journal.store.transaction() as tx:
        tx.put(CONTAINERS, "web", record)
    assert expected(journal) == 1

    with journal.store.transaction() as tx:
        tx.put(CONTAINERS, "web", msgspec.structs.replace(record, state=GONE))
    assert expected(journal) == 0
