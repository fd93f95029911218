"""The alerts of a digest, out of what Alertmanager notified."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from vv_exporter.common.clock import moment
from vv_exporter.common.times import admitted
from vv_exporter.drills.state import is_drill
from vv_exporter.state.openalerts import SEVERITIES
from vv_exporter.state.store import Record

MAX_COMPONENTS = 10
MAX_OPEN = 10
MISSED = "JobMissed"


class Component(msgspec.Struct, frozen=True):
    """How many alerts a component had, by severity."""

    name: str
    alerts: int
    severities: dict[str, int]


class OpenAlert(msgspec.Struct, frozen=True):
    """One that had not ended. `since` is Unix seconds."""

    title: str
    severity: str
    component: str
    since: float


class Alerts(msgspec.Struct, frozen=True):
    """Alerts that began, by severity and component; those that ended; those that were open at the end.

    `median` and `longest` are the seconds to the end of those that ended, None when none did; alerts of scripts, which
    end by themselves, are left out of the two.
    """

    began: int
    severities: dict[str, int]
    components: tuple[Component, ...]
    more_components: int
    ended: int
    median: float | None
    longest: float | None
    longest_title: str
    still_open: int
    open: tuple[OpenAlert, ...]


class Episode(NamedTuple):
    """An alert from its beginning to its end; `ended` is 0 while it is open. Times are Unix seconds."""

    name: str
    title: str
    severity: str
    component: str
    job: str
    began: float
    ended: float


def episodes(notifications: Iterable[Record]) -> list[Episode]:
    """Each alert once, however often it was notified."""
    found: dict[tuple[str, str], Episode] = {}
    for record in notifications:
        body = record.body
        labels, notes = body["labels"], body["annotations"]
        if is_drill(labels):
            continue
        fingerprint = body.get("fingerprint") or repr(sorted(labels.items()))
        severity = labels.get("severity", "")
        found[fingerprint, body["starts_at"]] = Episode(
            name=labels.get("alertname", "?"),
            title=notes.get("summary") or labels.get("alertname", "?"),
            severity=severity if severity in SEVERITIES else "error",
            component=labels.get("component", "?"),
            job=labels.get("job", ""),
            began=_time_of(body["starts_at"], record.time),
            ended=_time_of(body["ends_at"], record.time) if body["status"] == "resolved" else 0.0,
        )
    return sorted(_last_open(found), key=lambda one: one.began)


def alerts(found: Iterable[Episode], since: float, until: float) -> Alerts:
    """Those of a time."""
    found = list(found)
    new = [one for one in found if since <= one.began < until]
    ended = [one for one in found if since <= one.ended < until]
    still = [one for one in found if not one.ended]
    took = {one: one.ended - one.began for one in ended if one.name != "VVEvent"}
    longest = max(took, key=lambda one: took[one], default=None)
    components = _count_components(new)
    return Alerts(
        began=len(new),
        severities=_by_severity(new),
        components=tuple(components[:MAX_COMPONENTS]),
        more_components=max(len(components) - MAX_COMPONENTS, 0),
        ended=len(ended),
        median=statistics.median(took.values()) if took else None,
        longest=took[longest] if longest else None,
        longest_title=longest.title if longest else "",
        still_open=len(still),
        open=tuple(
            OpenAlert(one.title, one.severity, one.component, one.began)
            for one in sorted(still, key=lambda one: (-SEVERITIES.index(one.severity), one.began))[:MAX_OPEN]
        ),
    )


def missed_jobs(found: Iterable[Episode], since: float, until: float) -> dict[str, int]:
    """How often each job was missed."""
    return Counter(one.job for one in found if one.name == MISSED and since <= one.began < until)


def _last_open(found: dict[tuple[str, str], Episode]) -> Iterator[Episode]:
    """An alert that began anew has ended before, also if that was never recorded."""
    latest = {fingerprint: key for key in found for fingerprint in (key[0],)}
    for key, episode in found.items():
        if episode.ended or latest[key[0]] == key:
            yield episode
        else:
            yield episode._replace(ended=max(found[latest[key[0]]].began, episode.began))


def _count_components(new: list[Episode]) -> list[Component]:
    names = Counter(one.component for one in new)
    return [
        Component(name, count, _by_severity(one for one in new if one.component == name))
        for name, count in sorted(names.items(), key=lambda item: (-item[1], item[0]))
    ]


def _by_severity(found: Iterable[Episode]) -> dict[str, int]:
    """The most severe first."""
    counts = Counter(one.severity for one in found)
    return {severity: counts[severity] for severity in reversed(SEVERITIES) if counts[severity]}


def _time_of(text: str, otherwise: float) -> float:
    return admitted(moment(text) or 0.0, otherwise)  # what was notified of has been
