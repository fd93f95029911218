"""What rules found while their alerts could not be sent, and what had ended before they could: for the summary.

Prometheus itself remembers, in its series `ALERTS`. It is asked once the path is whole again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from vv_exporter.alert_path.questions import QuestionError, Server
from vv_exporter.common.times import UnixTime
from vv_exporter.delivery.accounts import ACCOUNTS, NOT_OURS, NOTIFIED_SEVERITIES, Account, make_room
from vv_exporter.metrics.delivery import ALERTS_MISSED
from vv_exporter.settings import Settings
from vv_exporter.state.store import Kind, Store, Transaction

log = logging.getLogger(__name__)

MAX_STEPS = 2000  # of a range that is asked for
SETTLED_STEPS = 3  # without a sample after which an alert has ended
GIVE_UP_SECONDS = 3600.0  # after the end of a gap in which Prometheus never answered
_GENERAL = ("__name__", "alertname", "alertstate", "severity", "component", "device", "instance", "job")


class Gap(msgspec.Struct, frozen=True):
    """A time in which alerts were not sent on, in Unix seconds."""

    since: UnixTime
    until: UnixTime


GAPS: Kind[Gap] = Kind("alert_path_gap", Gap)


class Unseen(NamedTuple):
    """An alert that began and ended in a gap, in Unix seconds."""

    labels: Mapping[str, str]
    began: float
    ended: float


class UnseenAlerts:
    """Call `round` from time to time."""

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._prometheus = Server("Prometheus", settings.prometheus)

    def round(self) -> bool:
        """See to the gaps that there are. Gives whether there were any."""
        gaps = self._store.docs(GAPS)
        for key, gap in gaps.items():
            try:
                found = list(find_unseen(self._query_firing_alerts(gap), gap, self._step_seconds(gap)))
            except (QuestionError, AttributeError, LookupError, TypeError, ValueError) as error:
                if self._clock() - gap.until < GIVE_UP_SECONDS:
                    continue
                log.error("what fired and ended while the alert path was broken is not known: %s", error)
                found = []
            with self._store.transaction() as tx:
                for one in found:
                    _open_account(tx, one)
                tx.delete(GAPS, key)
        return bool(gaps)

    def _step_seconds(self, gap: Gap) -> float:
        return max(self._settings.scrape_interval, (gap.until - gap.since) / MAX_STEPS)

    def _query_firing_alerts(self, gap: Gap) -> Iterable[Mapping[str, Any]]:
        selector = f'alertstate="firing",severity=~"{"|".join(NOTIFIED_SEVERITIES)}",told=""'
        parameters = {
            "query": f"ALERTS{{{selector}}}",
            "start": f"{gap.since:.3f}",
            "end": f"{gap.until:.3f}",
            "step": f"{self._step_seconds(gap):.3f}",
        }
        result: list[Mapping[str, Any]] = self._prometheus.json("/api/v1/query_range", parameters)["data"]["result"]
        device = self._settings.device_id
        return [one for one in result if one["metric"].get("device", device) == device]


def find_unseen(series: Iterable[Mapping[str, Any]], gap: Gap, step: float) -> Iterable[Unseen]:
    """Those of the series `ALERTS` that neither fired before the gap nor after it."""
    for one in series:
        labels = one["metric"]
        times = [float(time) for time, _ in one["values"]]
        if not times or labels.get("alertname") in NOT_OURS:
            continue
        if times[0] > gap.since + step and times[-1] < gap.until - SETTLED_STEPS * step:
            yield Unseen(labels, times[0], times[-1])


def _open_account(tx: Transaction, one: Unseen) -> None:
    """As an account of an alert that nobody was told of; the summary closes it."""
    labels = one.labels
    identity = msgspec.json.encode(sorted(labels.items()))
    subject = ", ".join(f"{name} {text}" for name, text in sorted(labels.items()) if name not in _GENERAL)
    account = Account(
        fingerprint=hashlib.sha256(identity).hexdigest()[:16],
        alertname=labels.get("alertname", ""),
        severity=labels["severity"],
        component=labels.get("component", ""),
        title=subject or labels.get("alertname", ""),
        fired=one.began,
        started=one.began,
        ended=one.ended,
        missed=True,
    )
    if tx.get(ACCOUNTS, account.id) is None:
        tx.put(ACCOUNTS, account.id, account)
        make_room(tx)
        tx.inc(ALERTS_MISSED, (account.severity,))
