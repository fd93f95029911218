"""An alert goes on across restarts of Prometheus and Alertmanager, and whoever was told of it is told of its end.

Alertmanager keeps alerts in memory; Prometheus forgets since when an alert fires, begins the time of its `for` anew
(but for long ones: `--rules.alert.for-grace-period`), and sends no end of what it no longer knows. The accounts have
all of it. So, when a server was started after an account was opened:

1. What Prometheus fires again is sent to Alertmanager once with its first start, the earliest of which it keeps.
2. What is pending is held as firing. So is what Prometheus has no word of, until the path is whole and has been for a
   while: after a start the exporter's series are not there at once.
3. What does not fire then has ended: that is sent to Alertmanager, which closes what it opened.
4. An end that Alertmanager was sent, and has lost before every channel took it, is sent to it again. What it does not
   announce then, since its record of notifications is lost as well (it was killed), is sent directly.
5. That record may also be of before an end that was announced. Then it takes the same alert, when it fires anew, for
   one that people know. Where it holds such a one, and sent the log none, that is sent directly.

What Alertmanager holds while Prometheus does not get through is seen to by `held.py`. While Prometheus does not answer
nothing is known, and nothing said.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from vv_exporter.alert_path.beats import Beats
from vv_exporter.alert_path.closing import announce_beginning, close_directly, mark_closed
from vv_exporter.alert_path.held import LASTS_SECONDS, Evaluations, Groups, evaluations, is_same, rules_of
from vv_exporter.alert_path.questions import QuestionError
from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.common.clock import isoformat
from vv_exporter.delivery.accounts import ACCOUNTS, Account, moment
from vv_exporter.settings import Settings
from vv_exporter.state.openalerts import ALERTS
from vv_exporter.state.store import Store

log = logging.getLogger(__name__)

CHECKED_EVERY_SECONDS = 2.0  # while there are accounts: sooner than Alertmanager announces what it got after its start
RESENT_EVERY_SECONDS = 30.0  # what is held
LONGEST_SETTLE_SECONDS = 60.0
"""For which the path must have been whole before what does not fire has ended; a third of `VV_ALERT_PATH_AFTER`."""
BEAT_SECONDS = 75.0  # in which a beat comes, where the path is whole
COLLECTED_SHARE = 1 / 3
"""Of `VV_DELIVERY_SETTLE`, for what is no warning and so is not collected for minutes. That long after an end an
Alertmanager that was not restarted has told everybody, or goes on trying."""
AGAIN_SHARE = 1 / 4  # likewise, after an end was sent to it again: it has told those whom it knew to have told


UNSAVED_SECONDS = 960.0  # before Alertmanager's start: what it noted last may be lost (--data.maintenance-interval)
UNHEARD_SECONDS = 45.0  # for which it holds an alert and sends the log nothing: it will not do so any more
LISTENED_EVERY_SECONDS = 10.0


class Alertmanager(Protocol):
    """As `relay.alertmanager.Alertmanager`."""

    def alerts(self) -> list[dict[str, Any]]:
        """What fires. Raises `DeliveryError`."""
        ...

    def send(self, alerts: Sequence[dict[str, Any]]) -> None:
        """Send alerts. Raises `DeliveryError`."""
        ...


class Servers(Protocol):
    """As `questions.Questions`; each raises `QuestionError`."""

    def prometheus_started(self) -> float:
        """Unix seconds."""
        ...

    def alertmanager_started(self) -> float:
        """Unix seconds."""
        ...

    def rules(self) -> Groups:
        """Prometheus' alerting rules."""
        ...


class Lives(NamedTuple):
    """When the servers were started, in Unix seconds."""

    prometheus: float
    alertmanager: float


class Continuity:
    """Call `round` every `CHECKED_EVERY_SECONDS`. `channels` can be told directly."""

    def __init__(
        self,
        store: Store,
        alertmanager: Alertmanager,
        servers: Servers,
        beats: Beats,
        channels: Container[str],
        settings: Settings,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._alertmanager = alertmanager
        self._servers = servers
        self._beats = beats
        self._channels = channels
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._settle = min(settings.alert_path_after / 3, LONGEST_SETTLE_SECONDS)
        self._lives: Lives | None = None
        self._changed = 0.0
        self._whole_since: float | None = None
        self._before: Evaluations = {}
        self._held: dict[str, float] = {}
        self._sent_ends: dict[str, float] = {}
        self._unheard: dict[str, float] = {}
        self._listened = float("-inf")
        self.doubtful: frozenset[str] = frozenset()
        """The ids of accounts of which it is not known what became."""

    def round(self) -> bool:
        """Look once. Gives whether there is anything that might have to go on or be closed."""
        accounts = {id_: one for id_, one in self._store.docs(ACCOUNTS).items() if one.labels and not one.missed}
        open_ = {id_: one for id_, one in accounts.items() if not one.ended}
        ended = [one for one in accounts.values() if one.ended]
        self._held = {id_: at for id_, at in self._held.items() if id_ in open_}
        self._sent_ends = {id_: at for id_, at in self._sent_ends.items() if id_ in accounts}
        if not accounts:
            self.doubtful = frozenset()
            return False
        try:
            started = self._servers.alertmanager_started()
            self._close_ended_alerts([one for one in ended if one.owed], started)
            self._go_on(open_, started)
            self._find_unheard_alerts(ended, {one.fingerprint for one in open_.values()}, started)
        except (QuestionError, DeliveryError) as error:
            log.debug("what goes on is not known: %s", error)
            if self._lives is not None:
                self._whole_since = None
        return bool(open_) or any(one.owed for one in ended)

    def _go_on(self, open_: Mapping[str, Account], alertmanager: float) -> None:
        of_alertmanager = {id_: one for id_, one in open_.items() if alertmanager > _carried_since(one)}
        self._end_events([one for one in of_alertmanager.values() if one.is_event])
        rules = {id_: one for id_, one in open_.items() if not one.is_event}
        self.doubtful = frozenset(of_alertmanager.keys() & rules.keys())
        if not rules:
            return
        lives = Lives(self._servers.prometheus_started(), alertmanager)
        lost = {id_: one for id_, one in rules.items() if max(lives) > _carried_since(one)}
        self.doubtful = frozenset(lost)
        if lives != self._lives:
            self._lives, self._whole_since, self._changed = lives, None, self._beats.now()
        if not lost:
            return
        groups = self._servers.rules()
        try:
            self._compare_with_rules(lost, groups, lives)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise QuestionError(f"the rules are not understood ({type(error).__name__})") from error

    def _end_events(self, lost: Sequence[Account]) -> None:
        """Of alerts of scripts the relay sends those that are open; the others have ended, whatever Prometheus does."""
        ended = [one for one in lost if not _is_open(self._store, one)]
        if ended:
            self._alertmanager.send([self._as_posted_alert(one, 0.0) for one in ended])
        self._mark_carried(lost)

    def _compare_with_rules(self, lost: Mapping[str, Account], groups: Groups, lives: Lives) -> None:
        is_settled = self._has_settled(groups)
        documents: list[dict[str, Any]] = []
        carried: list[Account] = []
        for id_, account in lost.items():
            state = state_in_prometheus(account, groups)
            if state == "unknown":
                carried.append(account)
            elif state == "firing":
                documents.append(self._as_posted_alert(account, LASTS_SECONDS))
                carried.append(account)
            elif is_settled and state == "absent" and self._is_evaluated_anew(account, groups):
                documents.append(self._as_posted_alert(account, 0.0))
                carried.append(account)
            elif lives.prometheus > _carried_since(account) and self._is_to_be_held(id_):
                documents.append(self._as_posted_alert(account, LASTS_SECONDS))
                self._held[id_] = self._monotonic()
        if documents:
            self._alertmanager.send(documents)
        self._mark_carried(carried)

    def _is_to_be_held(self, id_: str) -> bool:
        return self._monotonic() - self._held.get(id_, float("-inf")) >= RESENT_EVERY_SECONDS

    def _mark_carried(self, accounts: Sequence[Account]) -> None:
        """The servers of now have these, or have been sent their end."""
        if not accounts:
            return
        with self._store.transaction() as tx:
            for account in accounts:
                current = tx.get(ACCOUNTS, account.id)
                if current is not None:
                    tx.put(ACCOUNTS, account.id, msgspec.structs.replace(current, carried=tx.now))

    def _has_settled(self, groups: Groups) -> bool:
        """Whether a beat has come all the way since the servers were started, and long enough ago."""
        newest, now = self._beats.newest, self._beats.now()
        if newest is None or newest.given < self._changed or now - newest.arrived > BEAT_SECONDS:
            self._whole_since = None
            return False
        if self._whole_since is None:
            self._whole_since, self._before = self._monotonic(), evaluations(groups)
        return self._monotonic() - self._whole_since >= self._settle

    def _is_evaluated_anew(self, account: Account, groups: Groups) -> bool:
        """Whether each of its rules was, since the path is whole."""
        return all(
            self._before.get(key) != rule["lastEvaluation"]
            for key, rule in rules_of(groups)
            if rule["name"] == account.alertname
        )

    def _close_ended_alerts(self, owed: Sequence[Account], alertmanager: float) -> None:
        """See to ends that Alertmanager was sent, and not every channel."""
        now, again = self._clock(), []
        for account in owed:
            if alertmanager <= account.ended and not account.orphaned:
                if now - account.ended > self._announced_within(account):
                    with self._store.transaction() as tx:
                        mark_closed(tx, account)
            elif account.orphaned or self._has_had_its_time(account):
                with self._store.transaction() as tx:
                    close_directly(tx, account, self._channels, self._settings)
            elif account.id not in self._sent_ends:
                again.append(account)
        if again:
            self._alertmanager.send([self._as_posted_alert(account, account.ended - now) for account in again])
            self._sent_ends |= {account.id: self._monotonic() for account in again}

    def _find_unheard_alerts(self, ended: Sequence[Account], open_: Container[str], alertmanager: float) -> None:
        """Announce what fires anew and is taken for what people know."""
        last = {one.fingerprint: one for one in sorted(ended, key=lambda one: one.ended) if one.delivered_by}
        suspects = {
            name: one
            for name, one in last.items()
            if name not in open_ and 0 < alertmanager - one.ended <= UNSAVED_SECONDS
        }
        self._unheard = {name: since for name, since in self._unheard.items() if name in suspects}
        now = self._monotonic()
        if not suspects or now - self._listened < LISTENED_EVERY_SECONDS:
            return
        self._listened = now
        for alert in self._alertmanager.alerts():
            suspect = suspects.get(str(alert.get("fingerprint")))
            if suspect is None or not _is_active_since(alert, suspect.ended):
                continue
            if now - self._unheard.setdefault(suspect.fingerprint, now) >= UNHEARD_SECONDS:
                with self._store.transaction() as tx:
                    announce_beginning(tx, alert, suspect, self._channels, self._settings)

    def _has_had_its_time(self, account: Account) -> bool:
        sent = self._sent_ends.get(account.id)
        return sent is not None and self._monotonic() - sent >= self._settings.delivery_settle * AGAIN_SHARE

    def _announced_within(self, account: Account) -> float:
        share = 1.0 if account.severity == "warning" else COLLECTED_SHARE
        return self._settings.delivery_settle * share

    def _as_posted_alert(self, account: Account, ends: float) -> dict[str, Any]:
        """As Alertmanager takes it; it ends in so many seconds."""
        return {
            "labels": account.labels,
            "annotations": account.annotations,
            "startsAt": account.starts_at or isoformat(account.started),
            # Alertmanager refuses what ends before it begins.
            "endsAt": isoformat(max(self._clock() + ends, account.started + 1.0)),
            "generatorURL": self._settings.public_url,
        }


def _is_active_since(alert: Mapping[str, Any], ended: float) -> bool:
    return alert["status"]["state"] == "active" and moment(alert["startsAt"]) > ended


def _carried_since(account: Account) -> float:
    """When both servers of then had it."""
    return max(account.carried, account.fired)


def state_in_prometheus(account: Account, groups: Groups) -> str:
    """What Prometheus says of it: firing, pending or absent; unknown where it has no such rule."""
    rules = [rule for _, rule in rules_of(groups) if rule["name"] == account.alertname]
    states = {
        alert["state"]
        for rule in rules
        for alert in rule.get("alerts") or ()
        if is_same(alert["labels"], account.labels)
    }
    if not rules:
        return "unknown"
    return "firing" if "firing" in states else "pending" if "pending" in states else "absent"


def _is_open(store: Store, account: Account) -> bool:
    """Whether an alert of a script lasts."""
    alert = store.document(ALERTS, account.labels.get("alert_key", ""))
    return alert is not None and alert.occurrence_label == account.labels.get("occurrence", "")
