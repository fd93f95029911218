"""What the agent says of what it sends: parsed from its metrics, and put into words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_SAMPLE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
KEPT_WAY = "2:"
"""How the label `url` of the second way begins, that of what is kept; "1:" is that of the beats."""


@dataclass(frozen=True)
class Sending:
    """Since the agent's start, of what is kept; `answered` counts the centre's answers by status, of the beats too."""

    started_at: float
    sent_bytes: float
    waiting_bytes: float
    lost_bytes: float
    lost_samples: float
    limit_bytes_per_second: float
    answered: Mapping[str, int]


def parse(text: str) -> Sending:
    """Of the agent's `/metrics`. What is not there is 0."""
    found = list(_parse_samples(text))

    def total(name: str, way: str = "") -> float:
        return sum(value for one, labels, value in found if one == name and labels.get("url", "").startswith(way))

    answered: dict[str, int] = {}
    for name, labels, value in found:
        if name == "vmagent_remotewrite_requests_total" and value:
            status = labels.get("status_code", "?")
            answered[status] = answered.get(status, 0) + int(value)
    return Sending(
        started_at=total("process_start_time_seconds"),
        sent_bytes=total("vmagent_remotewrite_bytes_sent_total", KEPT_WAY),
        waiting_bytes=total("vmagent_remotewrite_pending_data_bytes", KEPT_WAY),
        lost_bytes=total("vm_persistentqueue_bytes_dropped_total"),
        lost_samples=total("vmagent_remotewrite_samples_dropped_total", KEPT_WAY),
        limit_bytes_per_second=total("vmagent_remotewrite_rate_limit", KEPT_WAY),
        answered=answered,
    )


def _parse_samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in text.splitlines():
        match = _SAMPLE.fullmatch(line)
        if match:
            yield match["name"], dict(_LABEL.findall(match["labels"] or "")), float(match["value"])


def refused(sending: Sending) -> dict[str, int]:
    """The answers that were no success, by status."""
    return {status: count for status, count in sending.answered.items() if status != "2XX"}


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
