"""What the timeline shows of one change of a container's record."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import GONE, Change, ContainerRecord, Count
from vv_exporter.containers.timeline_entries import timeline_entries_of
from vv_exporter.metrics.containers import EXITS, OOM_KILLS, RESTARTS
from vv_exporter.state.timeline import Entry


def record(**more: Any) -> ContainerRecord:
    return ContainerRecord(**{"name": "web", "id": "1", "state": "running", "exit_code": 3, **more})


def said(before: ContainerRecord | None, after: ContainerRecord | None, *counts: Count) -> list[tuple[float, Entry]]:
    found = timeline_entries_of({"web": before}, Change({"web": after}, counts))
    return [(time, replace(entry, title=str(entry.title))) for time, entry in found]


@pytest.mark.parametrize(
    ("reason", "killed", "title", "severity"),
    [
        ("ok", 0, "Container web ended (exit code 3)", "info"),
        ("error", 0, "Container web failed (exit code 3)", "error"),
        ("signal", 0, "Container web was ended by a signal (exit code 3)", "error"),
        ("oom", 0, "Container web was OOM-killed (exit code 3)", "error"),
        ("error", 1, "Container web was stopped through Docker (exit code 3)", "info"),
        ("ok", 1, "Container web was stopped through Docker (exit code 3)", "info"),
        ("oom", 1, "Container web was OOM-killed (exit code 3)", "error"),
    ],
)
def test_an_exit(reason: str, killed: int, title: str, severity: str) -> None:
    after = record(finished=2_500_000_000, killed=killed)

    assert said(None, after, Count(EXITS, ("web", reason))) == [(2.5, Entry("container.ended", title, severity, "web"))]


def test_an_exit_of_which_little_is_known() -> None:
    count = Count(EXITS, ("web", "error"))

    assert said(None, None, count) == [(0.0, Entry("container.ended", "Container web failed", "error", "web"))]
    assert said(None, record(exit_code=None), count)[0][1].title == "Container web failed"
    assert said(None, record(exit_code=0), count)[0][1].title == "Container web failed (exit code 0)"


@pytest.mark.parametrize(
    ("cause", "amount", "words", "severity"),
    [
        ("policy", 1, " by Docker's restart policy", "warning"),
        ("policy", 2, " 2 times by Docker's restart policy", "warning"),
        ("self_monitor", 1, " by the self-monitor", "warning"),
        ("manual", 1, " by hand", "info"),
        ("daemon", 1, " with the Docker Engine", "info"),
    ],
)
def test_a_restart(cause: str, amount: int, words: str, severity: str) -> None:
    count = Count(RESTARTS, ("web", cause), amount)
    entry = Entry("container.restarted", f"Container web was restarted{words}", severity, "web")

    assert said(None, record(started=3 * SECOND), count) == [(3.0, entry)]
    assert said(None, None, count) == [(0.0, entry)]


def test_a_memory_kill_is_told_with_its_exit() -> None:
    assert said(None, record(), Count(OOM_KILLS, ("web",))) == []


@pytest.mark.parametrize(
    ("before", "after", "state", "kind"),
    [
        ("", "unhealthy", "running", "container.unhealthy"),
        ("healthy", "unhealthy", "running", "container.unhealthy"),
        ("unhealthy", "healthy", "running", "container.healthy"),
        ("unhealthy", "unhealthy", "running", None),
        ("unhealthy", "", "running", None),
        ("starting", "healthy", "running", None),
        ("healthy", "unhealthy", "exited", None),
    ],
)
def test_health(before: str, after: str, state: str, kind: str | None) -> None:
    found = said(record(health=before), record(health=after, state=state))

    assert [(time, entry.kind) for time, entry in found] == ([(0.0, kind)] if kind else [])


@pytest.mark.parametrize(
    ("before", "after", "gone"), [("exited", GONE, True), (GONE, GONE, False), (GONE, "running", False)]
)
def test_a_removal(before: str, after: str, gone: bool) -> None:
    found = said(record(state=before), record(state=after))

    assert found == ([(0.0, Entry("container.removed", "Container web was removed", "info", "web"))] if gone else [])
    assert said(None, record(state=after)) == []
    assert said(record(state=before), None) == []
