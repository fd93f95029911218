"""What the timeline shows of a container, made from a change in the ledger. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import GONE, Change, ContainerRecord, Count
from vv_exporter.language.sentences import nsentence, sentence
from vv_exporter.metrics.containers import EXITS, RESTARTS
from vv_exporter.state.timeline import Entry

_CAUSES = {
    "policy": nsentence(
        "Container {name} was restarted by Docker's restart policy",
        "Container {name} was restarted {count} times by Docker's restart policy",
    ),
    "self_monitor": nsentence(
        "Container {name} was restarted by the self-monitor",
        "Container {name} was restarted {count} times by the self-monitor",
    ),
    "manual": nsentence(
        "Container {name} was restarted by hand", "Container {name} was restarted {count} times by hand"
    ),
    "daemon": nsentence(
        "Container {name} was restarted with the Docker Engine",
        "Container {name} was restarted {count} times with the Docker Engine",
    ),
}
_REASONS = {
    "ok": sentence("Container {name} ended"),
    "error": sentence("Container {name} failed"),
    "signal": sentence("Container {name} was ended by a signal"),
    "oom": sentence("Container {name} was OOM-killed"),
}
_ASKED = sentence("Container {name} was stopped through Docker")
TimedEntry = tuple[float, Entry]


def timeline_entries_of(before: Mapping[str, ContainerRecord | None], change: Change) -> Iterator[TimedEntry]:
    """Times (Unix seconds; 0: now) and entries: exits, restarts, health, and containers that are gone."""
    for count in change.counts:
        record = change.records.get(count.labels[0])
        if count.metric is EXITS:
            yield _exit_entry(count, record)
        elif count.metric is RESTARTS:
            yield _restart_entry(count, record)
    for name, record in change.records.items():
        known = before.get(name)
        if record is not None and known is not None:
            yield from _transition_entries(known, record)


def _exit_entry(count: Count, record: ContainerRecord | None) -> TimedEntry:
    name, reason = count.labels
    asked = record is not None and record.killed > 0 and reason != "oom"
    title = (_ASKED if asked else _REASONS[reason]).of(name=name)
    if record is not None and record.exit_code is not None:
        title = sentence("{what} (exit code {code})", what=title, code=record.exit_code)
    return (record.finished / SECOND if record else 0.0), Entry(
        "container.ended", title, "info" if asked or reason == "ok" else "error", name
    )


def _restart_entry(count: Count, record: ContainerRecord | None) -> TimedEntry:
    name, cause = count.labels
    title = _CAUSES[cause].of(name=name, count=count.amount)
    severity = "warning" if cause in ("policy", "self_monitor") else "info"
    return (record.started / SECOND if record else 0.0), Entry("container.restarted", title, severity, name)


def _transition_entries(known: ContainerRecord, record: ContainerRecord) -> Iterator[TimedEntry]:
    name = record.name
    if record.health != known.health and "unhealthy" in (record.health, known.health) and record.running:
        if record.health == "unhealthy":
            yield 0.0, Entry("container.unhealthy", sentence("Container {name} is unhealthy", name=name), "error", name)
        elif record.health == "healthy":
            yield (
                0.0,
                Entry("container.healthy", sentence("Container {name} is healthy again", name=name), "info", name),
            )
    if record.state == GONE and known.state != GONE:
        yield 0.0, Entry("container.removed", sentence("Container {name} was removed", name=name), "info", name)
