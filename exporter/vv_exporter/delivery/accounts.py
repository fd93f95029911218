"""The account of every alert that people must be told of: when it fired, which channel took it when, when it ended.

An account opens with Alertmanager's notification to the log, or with any other that it made. It is closed when the
alert has ended and some channel took it. What ended while channels failed, and none took it, was *missed*.

It holds the alert itself as well, as Alertmanager showed it: after a restart of everything that is what is known of it
(`alert_path/continuity.py`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

import msgspec

from vv_exporter.channels import names_of
from vv_exporter.common import clock
from vv_exporter.common.times import Deadline, UnixTime, admitted
from vv_exporter.delivery.channel_health import CHANNELS, Channel
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.delivery import ALERTS_MISSED
from vv_exporter.state.dropped import record_drop
from vv_exporter.state.openalerts import SEVERITIES
from vv_exporter.state.store import Kind, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

NOTIFIED_SEVERITIES = ("warning", "error", "critical")
"""Severities that people are told of."""
MAX_ACCOUNTS = 2000
KEPT = 3600.0  # seconds that a closed account is shown
MUTED_FOR = 60.0  # seconds for which an alert that was silenced or inhibited counts as that
KEPT_UNCLOSED = 7 * 86400.0  # likewise, one whose end some channel still has to hear of
NOT_OURS = ("Watchdog", "Drill")
EVENT = "VVEvent"


class Account(msgspec.Struct, frozen=True, omit_defaults=True):
    """One alert, from `fired` to `ended` (Unix seconds, 0: not yet). `delivered_by` has the channels that took it, and
    when (stored as `told`).

    `closed` has those that took its end, and `incidents` what pagers know it by. At `carried`, or when it fired, the
    Prometheus and the Alertmanager of then had it. `orphaned`: it ended, and Alertmanager knew nothing of it any more.
    `starts_at` is as Alertmanager wrote it first. Until `leased` Alertmanager was asked to keep it.
    """

    fingerprint: str
    alertname: str
    severity: str
    component: str
    title: str
    fired: UnixTime
    started: UnixTime
    ended: UnixTime = 0.0
    muted: UnixTime = 0.0
    delivered_by: dict[str, UnixTime] = msgspec.field(default_factory=dict, name="told")
    missed: bool = False
    key: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    starts_at: str = ""
    carried: UnixTime = 0.0
    orphaned: bool = False
    closed: dict[str, UnixTime] = msgspec.field(default_factory=dict)
    incidents: dict[str, str] = msgspec.field(default_factory=dict)
    leased: Deadline = 0.0

    @property
    def id(self) -> str:
        """Its key, which stays as it is when the clock is set."""
        return self.key or f"{self.fingerprint}-{self.fired:.3f}"

    @property
    def is_event(self) -> bool:
        """Whether a script raised it: Prometheus knows nothing of it, and the chats do not get its end."""
        return self.alertname == EVENT

    @property
    def owed(self) -> list[str]:
        """The channels that told people of it, and not yet of its end."""
        silent = names_of("chat") if self.is_event else ()
        return [name for name in self.delivered_by if name not in self.closed and name not in silent]


ACCOUNTS: Kind[Account] = Kind("account", Account)


class Alert(msgspec.Struct, frozen=True):
    """An alert as Alertmanager shows it, whose identity is the fingerprint; `started` in Unix seconds."""

    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    started: float
    starts_at: str = ""

    @property
    def accountable(self) -> bool:
        """Whether people must be told of it by Alertmanager."""
        labels = self.labels
        return (
            labels.get("severity") in NOTIFIED_SEVERITIES
            and labels.get("alertname") not in NOT_OURS
            and "told" not in labels
            and "repeats" not in labels
        )


def moment(text: str) -> float:
    """RFC 3339 with any number of digits, in Unix seconds; 0 for what is none."""
    return clock.moment(text) or 0.0


def fired(tx: Transaction, alert: Alert) -> Account | None:
    """It fires. None for what is not accounted for."""
    known = open_account(tx, alert.fingerprint)
    if known is not None or not alert.accountable:
        return known
    labels = alert.labels
    account = Account(
        fingerprint=alert.fingerprint,
        alertname=labels.get("alertname", ""),
        severity=labels.get("severity", ""),
        component=labels.get("component", ""),
        title=alert.annotations.get("summary", "")[:300] or labels.get("alertname", ""),
        fired=tx.now,
        started=admitted(alert.started, tx.now),
        key=f"{alert.fingerprint}-{tx.now:.3f}",
        labels={**labels},
        annotations={**alert.annotations},
        starts_at=alert.starts_at,
    )
    account = _take_over(tx, account)
    tx.put(ACCOUNTS, account.id, account)
    make_room(tx)
    return tx.get(ACCOUNTS, account.id)


def _take_over(tx: Transaction, account: Account) -> Account:
    """With the channels that took it before and not its end: it fires again sooner than Alertmanager notifies of that,
    and stands there as it was."""
    for id_, before in tx.docs(ACCOUNTS).items():
        if before.fingerprint == account.fingerprint and before.ended and before.owed and not before.orphaned:
            standing = before.owed
            delivered_by = account.delivered_by | {name: before.delivered_by[name] for name in standing}
            incidents = {name: text for name, text in before.incidents.items() if name in standing}
            account = msgspec.structs.replace(
                account, delivered_by=delivered_by, incidents={**account.incidents, **incidents}
            )
            closed = {**before.closed, **dict.fromkeys(standing, tx.now)}
            tx.put(ACCOUNTS, id_, msgspec.structs.replace(before, closed=closed))
    return account


def make_room(tx: Transaction) -> None:
    """Have the least important account give way where there are too many."""
    if tx.count(ACCOUNTS) <= MAX_ACCOUNTS:  # which may say too many
        return
    known = tx.docs(ACCOUNTS)
    if len(known) <= MAX_ACCOUNTS:
        return
    least = min(known.values(), key=lambda account: _importance_of(account, tx.now))
    tx.delete(ACCOUNTS, least.id)
    if _needs_delivery(least, tx.now):
        title = sentence("Alert dropped, too many undelivered alerts are kept already: {title}", title=least.title)
        record_drop(tx, Entry("alert.dropped", title, least.severity, least.component))


def _importance_of(account: Account, now: float) -> tuple[bool, int, bool, float]:
    """What people know of goes first, then the lowest severity: what Alertmanager still tries to send, the oldest."""
    return _needs_delivery(account, now), SEVERITIES.index(account.severity), bool(account.ended), account.fired


def _needs_delivery(account: Account, now: float) -> bool:
    """Whether nobody was told, and nobody wanted that."""
    return not account.delivered_by and (account.ended or now) - account.muted > MUTED_FOR


def ended(tx: Transaction, alert: Alert, when: float) -> None:
    """It has ended."""
    known = open_account(tx, alert.fingerprint)
    if known is not None:
        tx.put(ACCOUNTS, known.id, msgspec.structs.replace(known, ended=admitted(when, tx.now)))


def taken(tx: Transaction, alert: Alert, channel: str, when: float, incident: str = "") -> None:
    """A channel took a notification that it fires; a pager knows it as `incident`."""
    account = _ended_undelivered(tx, alert) or fired(tx, alert)
    if account is None:
        return
    changed = account
    if channel in account.closed and not account.ended:  # it was taken for ended, and fires on
        left = {name: at for name, at in account.closed.items() if name != channel}
        changed = msgspec.structs.replace(changed, closed=left)
    if channel not in account.delivered_by:
        changed = msgspec.structs.replace(
            changed, delivered_by={**account.delivered_by, channel: admitted(when, tx.now)}
        )
        if not account.delivered_by:
            title = sentence("Delivered by {channel}: {title}", channel=channel, title=account.title)
            entry = Entry("alert.told", title, component=account.component)
            add_to_timeline(tx, when, entry)
    if incident and account.incidents.get(channel) != incident:
        changed = msgspec.structs.replace(changed, incidents={**account.incidents, channel: incident})
    if changed is not account:
        tx.put(ACCOUNTS, account.id, changed)


def closed(tx: Transaction, fingerprint: str, channel: str, when: float) -> None:
    """A channel took a notification that the alert has ended."""
    for id_, account in tx.docs(ACCOUNTS).items():
        if account.fingerprint == fingerprint and channel in account.owed:
            closed = {**account.closed, channel: admitted(when, tx.now)}
            tx.put(ACCOUNTS, id_, msgspec.structs.replace(account, closed=closed))


def muted(tx: Transaction, fingerprint: str) -> None:
    """It was silenced or inhibited a moment ago."""
    for id_, account in tx.docs(ACCOUNTS).items():
        if account.fingerprint == fingerprint and not account.ended and tx.now - account.muted > MUTED_FOR / 4:
            tx.put(ACCOUNTS, id_, msgspec.structs.replace(account, muted=tx.now))


def open_account(tx: Transaction, fingerprint: str) -> Account | None:
    """The account of the alert with this fingerprint, if it has not ended."""
    for account in tx.docs(ACCOUNTS).values():
        if account.fingerprint == fingerprint and not account.ended:
            return account
    return None


def _ended_undelivered(tx: Transaction, alert: Alert) -> Account | None:
    """The account of the alert that has ended meanwhile: Alertmanager was still trying."""
    if open_account(tx, alert.fingerprint) is not None:
        return None
    for account in tx.docs(ACCOUNTS).values():
        if account.fingerprint == alert.fingerprint and not account.delivered_by and not account.missed:
            return account
    return None


def settle_accounts(tx: Transaction, usual: Iterable[str], settle: float) -> None:
    """Close what is accounted for, and find what was missed. `settle` seconds after its end all attempts are over.

    `usual` channels get every alert: one that none has taken while they work ended before it was due.
    """
    trouble = min(((tx.get(CHANNELS, name) or Channel()).tried for name in usual), default=0.0)
    for id_, account in tx.docs(ACCOUNTS).items():
        if not account.ended or account.missed:
            continue
        since = tx.now - account.ended
        if account.delivered_by:
            if since >= (KEPT_UNCLOSED if account.owed else KEPT):
                tx.delete(ACCOUNTS, id_)
        elif since >= settle:
            if trouble >= account.fired and account.ended - account.muted > MUTED_FOR:
                tx.put(ACCOUNTS, id_, msgspec.structs.replace(account, missed=True))
                tx.inc(ALERTS_MISSED, (account.severity,))
            else:
                tx.delete(ACCOUNTS, id_)  # too short to be delivered, or silenced


def missed(accounts: Mapping[str, Account]) -> dict[str, Account]:
    """Those that nobody was told of, the oldest first."""
    found = {id_: account for id_, account in accounts.items() if account.missed}
    return dict(sorted(found.items(), key=lambda item: (item[1].started, item[0])))


def unsettled(accounts: Iterable[Account]) -> bool:
    """Whether there are some that ended undelivered and are not settled yet."""
    return any(account.ended and not account.delivered_by and not account.missed for account in accounts)


def undelivered(accounts: Iterable[Account]) -> list[Account]:
    """Those that no channel has taken."""
    return [account for account in accounts if not account.delivered_by]


def absent(accounts: Mapping[str, Account], firing: Container[str], before: float) -> set[str]:
    """The ids of those that opened before a time, have not ended, and do not fire by their fingerprints."""
    return {
        id_
        for id_, account in accounts.items()
        if not account.ended and account.fired <= before and account.fingerprint not in firing
    }


def orphan(tx: Transaction, id_: str) -> Account | None:
    """It has ended, and Alertmanager does not notify of that. Gives it, if it was open."""
    account = tx.get(ACCOUNTS, id_)
    if account is None or account.ended:
        return None
    account = msgspec.structs.replace(account, ended=tx.now, orphaned=True)
    tx.put(ACCOUNTS, id_, account)
    return account
