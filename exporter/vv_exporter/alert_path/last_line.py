"""The last line: while the alert path is broken the worst that the exporter itself sees is announced directly.

1. While the path is broken, and that is announced, or was never whole, the conditions are evaluated each few seconds
   (`conditions`).
2. One that holds for as long as its rule wants (half a minute at most) is announced in the rule's own words, once,
   unless people know of it already; message and mark are one transaction.
3. When it has ended that is announced, once, whether the path is whole again by then or not.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec
from prometheus_client.core import Metric as Family

from vv_exporter.alert_path.beats import Beats
from vv_exporter.alert_path.conditions import HMAC_WINDOW_SECONDS, Fired, Now, Observed, find_conditions, fire, rule_of
from vv_exporter.alert_path.direct_alerts import DIRECT_ALERTS, DirectAlert, drop_direct_alert, make_room, put_event
from vv_exporter.alert_path.words import WordsError
from vv_exporter.delivery.accounts import ACCOUNTS
from vv_exporter.delivery.direct import put
from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.messages.message import ERROR, Message
from vv_exporter.metrics.exporter import COLLECTOR_SUCCESS
from vv_exporter.metrics.pipeline import LAST_FAILURE
from vv_exporter.metrics.security import HMAC_OPERATIONS
from vv_exporter.render.prometheus import here
from vv_exporter.settings import Settings
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store, Transaction

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0  # between rounds
LONGEST_HOLD_SECONDS = 30.0
BROKEN_NOTE = translatable("The alert path is broken: sent directly.")
UNPROVEN_NOTE = translatable("No Watchdog alert has come back through Prometheus and Alertmanager yet: sent directly.")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
Key = tuple[str, str]


class LastLine:
    """Call `round` every `INTERVAL_SECONDS`. `gather` gives the exporter's series, `channels` are told directly.

    `hold` gets what cannot be written down, to be sent all the same: perhaps that the disk is full.
    """

    def __init__(
        self,
        store: Store,
        beats: Beats,
        gather: Callable[[], Iterable[Family]],
        channels: Sequence[str],
        settings: Settings,
        clock: Callable[[], float],
        hold: Callable[[Message], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._beats = beats
        self._gather = gather
        self._channels = channels
        self._settings = settings
        self._clock = clock
        self._hold = hold
        self._unsaved: dict[str, DirectAlert] = {}
        self._holding: dict[Key, float] = {}
        self._dropped: set[Key] = set()  # those for which there was no room, as long as they hold
        self._ending: dict[Key, float] = {}
        self._failures: deque[tuple[float, dict[tuple[str, str], float]]] = deque()

    def round(self) -> bool:
        """Announce the conditions that hold, and those that have ended. Gives whether there are any."""
        self._save_unsaved()
        known = {**self._store.docs(DIRECT_ALERTS), **self._unsaved}
        is_open = self._is_open()
        if not is_open:
            self._holding.clear()  # what nobody looks at may come and go
            if not known:
                return False
        families = list(self._gather())
        now = Now(families, self._settings.device_id, self._clock(), self._new_failures(families))
        found = {(alert, observed.subject): (alert, observed) for alert, observed in find_conditions(now)}
        if is_open:
            self._announce_conditions(found, now, known)
        self._announce_ended(found, known, _answering_collectors(families))
        return True

    def _is_open(self) -> bool:
        verdict = self._beats.verdict
        if verdict is None or not (self._channels or self._settings.webhook_url):
            return False
        if verdict.is_broken:
            return verdict.announced  # first that the path is broken, then what it does not bring
        return not verdict.closed and self._beats.now() > self._settings.alert_path_after

    def _path_note(self) -> str:
        """Why it is not Alertmanager that notifies of it; nothing is broken where there never was a path."""
        verdict = self._beats.verdict
        return _(BROKEN_NOTE if verdict is not None and verdict.is_broken else UNPROVEN_NOTE)

    def _announce_conditions(
        self, found: dict[Key, tuple[str, Observed]], now: Now, known: dict[str, DirectAlert]
    ) -> None:
        awake = self._beats.now()
        self._holding = {key: self._holding.get(key, awake) for key in found}
        self._dropped &= found.keys()
        lasting = {one.key for one in known.values() if not one.ended}
        for key, since in self._holding.items():
            alert, observed = found[key]
            held_long_enough = awake - since >= min(_duration_of_rule(alert, "for"), LONGEST_HOLD_SECONDS)
            if "\n".join(key) in lasting or not held_long_enough:
                continue
            try:
                fired = fire(alert, observed, now)
            except (WordsError, LookupError, TypeError, ValueError) as error:
                log.error("%s cannot be rendered from its rule: %s", alert, error)
                continue
            if not self._is_known(fired):
                self._announce_condition(key, fired, now.time)

    def _is_known(self, fired: Fired) -> bool:
        """Whether Alertmanager has told people of it before."""
        of = (fired.alert, fired.labels.get("component", ""), fired.annotations.get("summary", ""))
        return any(
            account.delivered_by and not account.ended and (account.alertname, account.component, account.title) == of
            for account in self._store.docs(ACCOUNTS).values()
        )

    def _announce_condition(self, key: Key, fired: Fired, time: float) -> None:
        one = DirectAlert(*key, message_of(fired, self._settings, time, self._path_note()), dict(fired.labels))
        try:
            with self._store.transaction() as tx:
                if make_room(tx, one):
                    self._queue_message(tx, one.message, one)
                    tx.put(DIRECT_ALERTS, one.key, one)
                elif key not in self._dropped:
                    self._dropped.add(key)
                    drop_direct_alert(tx, one)
        except StoreError as error:
            log.error("%s is sent, and cannot be recorded yet: %s", one.alertname, error)
            self._unsaved[one.key] = one
            self._hold(one.message)

    def _save_unsaved(self) -> None:
        """Write down what could not be when it was announced."""
        if self._unsaved:
            with contextlib.suppress(StoreError), self._store.transaction() as tx:
                for one in self._unsaved.values():
                    tx.put(DIRECT_ALERTS, one.key, one)
            if self._unsaved.keys() <= self._store.docs(DIRECT_ALERTS).keys():
                self._unsaved.clear()

    def _queue_message(self, tx: Transaction, message: Message, one: DirectAlert) -> None:
        """Have people told, and the webhook."""
        put(tx, message, self._channels)
        put_event(tx, message, one.labels, self._settings)

    def _announce_ended(
        self, found: dict[Key, tuple[str, Observed]], known: dict[str, DirectAlert], answering: set[str]
    ) -> None:
        """Announce those that hold no more."""
        awake = self._beats.now()
        for one in known.values():
            key = (one.alertname, one.subject)
            if one.ended or one.alertname not in _COLLECTORS:
                continue  # what is no condition of the last line is ended by whoever announced it
            if key in found or not _COLLECTORS[one.alertname] <= answering:
                self._ending.pop(key, None)  # it lasts, or nobody knows
            elif awake - self._ending.setdefault(key, awake) >= _duration_of_rule(one.alertname, "keep_firing_for"):
                self._ending.pop(key)
                with self._store.transaction() as tx:
                    self._announce_end(tx, one)

    def _announce_end(self, tx: Transaction, one: DirectAlert) -> None:
        ended = msgspec.structs.replace(one.message, resolved=True, note="")
        self._queue_message(tx, ended, one)
        tx.put(DIRECT_ALERTS, one.key, msgspec.structs.replace(one, ended=tx.now))

    def _new_failures(self, families: Iterable[Family]) -> dict[tuple[str, str], float]:
        """Failed signatures of the last 15 minutes, as far as they were seen, by operation and component."""
        awake = self._beats.now()
        samples = [sample for family in families for sample in family.samples]
        counts = {
            (sample.labels["operation"], sample.labels["component"]): float(sample.value)
            for sample in samples
            if sample.name == HMAC_OPERATIONS.name and sample.labels["result"] == "failed"
        }
        while self._failures and awake - self._failures[0][0] > HMAC_WINDOW_SECONDS:
            self._failures.popleft()
        before = self._failures[0][1] if self._failures else counts
        if not self._failures or awake - self._failures[-1][0] >= HMAC_WINDOW_SECONDS / 15:
            self._failures.append((awake, counts))
        found = {of: count - before.get(of, 0.0) for of, count in counts.items()}
        for sample in samples:  # those before anybody looked: that there was one is known, not how many
            if sample.name == LAST_FAILURE.name and self._clock() - sample.value < HMAC_WINDOW_SECONDS:
                kind, _, operation = sample.labels["kind"].partition(":")
                if kind == "hmac":
                    of = (operation, sample.labels["component"])
                    found[of] = max(found.get(of, 0.0), 1.0)
        return found


_COLLECTORS = {
    "StorageUnavailable": {"storage"},
    "StorageMissing": {"storage"},
    "FilesystemReadOnly": {"storage"},
    "DiskSpaceCritical": {"storage"},
    "ContainerFailedPersistently": {"self_monitor"},
    "DvrUnreachableProlonged": {"dvr"},
    "HmacSigningFailed": {"security"},
    "HmacVerificationFailed": {"security"},
    "PipelineStalled": {"pipeline", "videos"},
    "DockerUnreachable": {"containers"},
}
"""The collectors that must have answered before what they no longer show counts as ended."""


def _answering_collectors(families: Iterable[Family]) -> set[str]:
    """The collectors that answered."""
    return {
        sample.labels["collector"]
        for family in families
        for sample in family.samples
        if sample.name == COLLECTOR_SUCCESS.name and sample.value == 1
    }


def _duration_of_rule(alert: str, key: str) -> float:
    """A duration of its rule."""
    return sum(float(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([smh])", rule_of(alert).get(key, "")))


def message_of(fired: Fired, settings: Settings, time: float, note: str) -> Message:
    """What is sent, in the words and fields of the rule."""
    texts = {name: here(text, settings).strip() for name, text in fired.annotations.items()}
    description, error = texts.get("description", ""), texts.get("error", "")
    return Message(
        key=f"{settings.device_id}-{fired.alert}-{fired.subject}",
        title=texts.get("summary", fired.alert),
        severity=fired.labels["severity"],
        device=settings.device_id,
        component=fired.labels.get("component", ""),
        time=time,
        alert_id=texts.get("alert_id") or f"{fired.alert}-{time:.0f}",
        alertname=fired.alert,
        details=description if error in description else f"{description}\n{_(ERROR)}: {error}",
        suggested_actions=texts.get("suggested_actions", ""),
        note=note,
        video=texts.get("video", ""),
        video_sha256=texts.get("video_sha256", ""),
        runbook_url=texts.get("runbook_url", ""),
        silence_url=settings.silence_url(fired.labels),
        status_url=f"{settings.public_url}/",
    )
