"""What the timeline shows of containers, from histories recorded from a real Engine."""

import pytest

from tests.unit.containers.ledgers import Ledger, paired, recorded
from vv_exporter.containers.observed import SECOND, Event, Inspection
from vv_exporter.containers.records import Change, Claim, ContainerRecord
from vv_exporter.containers.timeline_entries import timeline_entries_of


class Telling(Ledger):
    """A ledger that writes down what it tells."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str]] = []

    def apply(self, change: Change) -> None:
        before = {name: self.records.get(name) for name in change.records}
        self.told += [(str(entry.title), entry.severity) for _, entry in timeline_entries_of(before, change)]
        super().apply(change)


def telling(scenario: str, version: str = "20.10") -> list[tuple[str, str]]:
    ledger = Telling()
    for one, inspection in paired(recorded(f"{version}/{scenario}")):
        if isinstance(one, Event):
            ledger.event(one, inspection)
        elif isinstance(one, Inspection):
            ledger.inspection(one)
        else:
            ledger.engine_restarted()
    ledger.engine_settled()
    ledger.settle()
    return ledger.told


def test_a_crash_loop() -> None:
    failed = ("Container web failed (exit code 3)", "error")
    restarted = ("Container web was restarted by Docker's restart policy", "warning")

    assert telling("policy_crash_loop") == [failed, restarted, failed, restarted, failed, restarted, failed]


def test_one_killed_for_want_of_memory() -> None:
    assert ("Container web was OOM-killed (exit code 137)", "error") in telling("out_of_memory")


def test_what_an_operator_stops_is_no_failure() -> None:
    for version in ("20.10", "26.1", "28.5"):
        assert {severity for _, severity in telling("stop_and_start", version)} == {"info"}
        assert {severity for _, severity in telling("kill_and_start", version)} == {"info"}


def test_health() -> None:
    assert ("Container web is unhealthy", "error") in telling("unhealthy")


def test_a_restart_by_the_self_monitor() -> None:
    ledger = Telling()
    ledger.records["web"] = ContainerRecord(name="web", id="f00", started=50 * SECOND, state="exited")
    ledger.event(Event(time=100 * SECOND, action="start", id="f00", name="web", attributes={}))
    ledger.claims["one"] = Claim(container="f00", at=99.0)
    ledger.settle(now=101.0)

    assert ledger.told == [("Container web was restarted by the self-monitor", "warning")]


@pytest.mark.parametrize("history", ["engine_shut_down", "recreated_by_compose", "power_cut", "one_shots"])
def test_each_history_can_be_told(history: str) -> None:
    assert all(title.startswith("Container ") for title, _ in telling(history))
