"""What fires outlasts a time in which nothing runs (`standstill.py`).

Alertmanager ends what was not sent again for four times Prometheus' resend delay. The one that wakes first says at
once that everything has ended, before anybody can say otherwise. So:

1. The exporter has Alertmanager keep what people are told of and Prometheus fires for `LEASE_SECONDS`. Of two ends in
   the future Alertmanager takes the later; an end that Prometheus sends has passed, and counts at once, as ever
   (`Alert.Merge` in Alertmanager's `types`).
2. Nobody sends the end of an alert whose rule is gone, or that ended while Alertmanager was away for longer than
   Prometheus repeats it. So what was leased and Prometheus has not fired for as long as Alertmanager would have waited
   is ended by the exporter. `leased` in the account remembers it over restarts.

While the path is broken nothing is judged: `held.py` sees to what fires.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from vv_exporter.alert_path.continuity import Alertmanager, state_in_prometheus
from vv_exporter.alert_path.held import Groups
from vv_exporter.alert_path.questions import QuestionError
from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.common.clock import isoformat
from vv_exporter.delivery.accounts import ACCOUNTS, Account, moment
from vv_exporter.state.store import Store

log = logging.getLogger(__name__)

LEASE_SECONDS = 86_400.0
"""A device that stands still for longer announces anew what fires."""
RENEWED_BELOW_SECONDS = LEASE_SECONDS / 2
ABANDONED_SECONDS = 300.0
"""Longer than Prometheus takes to fire again what is pending after its start, but for a long `for`."""
CHECKED_EVERY_SECONDS = 30.0
SHORTEST_PAUSE_SECONDS = 5.0  # between rounds, however often accounts change


class Leases:
    """Call `round` every `CHECKED_EVERY_SECONDS`, and when accounts change.

    `rules` gives the groups of Prometheus' alerting rules, or raises `QuestionError`; `awake` are seconds in which the
    exporter ran; `is_broken` says whether the alert path is.
    """

    def __init__(
        self,
        store: Store,
        alertmanager: Alertmanager,
        rules: Callable[[], Groups],
        clock: Callable[[], float],
        awake: Callable[[], float],
        is_broken: Callable[[], bool],
    ) -> None:
        self._store = store
        self._alertmanager = alertmanager
        self._rules = rules
        self._clock = clock
        self._awake = awake
        self._is_broken = is_broken
        self._absent_since: dict[str, float] = {}

    def round(self) -> bool:
        """Look once. Gives whether there is anything that might need a lease."""
        known = self._store.docs(ACCOUNTS)
        open_ = {id_: one for id_, one in known.items() if one.labels and not (one.missed or one.ended or one.is_event)}
        self._absent_since = {id_: since for id_, since in self._absent_since.items() if id_ in open_}
        if not open_ or self._is_broken():
            self._absent_since.clear()
            return bool(open_)
        try:
            held = {str(one.get("fingerprint")): one for one in self._alertmanager.alerts()}
            self._renew_and_end(
                {id_: one for id_, one in open_.items() if one.fingerprint in held}, held, self._rules()
            )
        except (QuestionError, DeliveryError, AttributeError, LookupError, TypeError, ValueError) as error:
            log.debug("what fires is not leased now: %s", error)
        return True

    def _renew_and_end(self, accounts: Mapping[str, Account], held: Mapping[str, Any], groups: Groups) -> None:
        now, renewed, ended = self._clock(), [], []
        for id_, account in accounts.items():
            state = state_in_prometheus(account, groups)
            if state in ("firing", "pending"):
                self._absent_since.pop(id_, None)
            if state == "firing" and moment(held[account.fingerprint]["endsAt"]) - now < RENEWED_BELOW_SECONDS:
                renewed.append(account)
            elif state in ("absent", "unknown") and account.leased > now and self._is_abandoned(id_):
                ended.append(account)
        # Written first: what is leased and not known to be would never be ended.
        self._record_lease(renewed, now + LEASE_SECONDS)
        alerts = [_with_other_end(held[one.fingerprint], now + LEASE_SECONDS) for one in renewed]
        alerts += [_with_other_end(held[one.fingerprint], now) for one in ended]
        if alerts:
            self._alertmanager.send(alerts)
        self._record_lease(ended, 0.0)

    def _is_abandoned(self, id_: str) -> bool:
        """Whether Prometheus has not had it for long enough, as far as the exporter ran."""
        awake = self._awake()
        return awake - self._absent_since.setdefault(id_, awake) >= ABANDONED_SECONDS

    def _record_lease(self, accounts: list[Account], leased: float) -> None:
        if not accounts:
            return
        with self._store.transaction() as tx:
            for account in accounts:
                current = tx.get(ACCOUNTS, account.id)
                if current is not None:
                    tx.put(ACCOUNTS, account.id, msgspec.structs.replace(current, leased=leased))


def _with_other_end(alert: Mapping[str, Any], ends: float) -> dict[str, Any]:
    """As Alertmanager holds it, with another end."""
    return {
        "labels": alert["labels"],
        "annotations": alert["annotations"],
        "startsAt": alert["startsAt"],
        # Alertmanager refuses what ends before it begins.
        "endsAt": isoformat(max(ends, moment(alert["startsAt"]) + 1.0)),
        "generatorURL": alert.get("generatorURL", ""),
    }
