"""Notices that no beat comes round, has the broken hop found, and tells people that it broke, and that it is mended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from vv_exporter.alert_path import message
from vv_exporter.alert_path.beats import Beats
from vv_exporter.alert_path.direct_alerts import DIRECT_ALERTS, DirectAlert, put_event
from vv_exporter.alert_path.hops import Finding, Hop, Observation, find_broken_hop, is_blind
from vv_exporter.alert_path.standstill import Pause, Standstill
from vv_exporter.alert_path.state import PATH, PathState
from vv_exporter.alert_path.unseen import GAPS, Gap
from vv_exporter.common.clock import isoformat, span
from vv_exporter.delivery.accounts import ACCOUNTS
from vv_exporter.delivery.direct import put
from vv_exporter.language.sentences import sentence
from vv_exporter.messages.message import Message
from vv_exporter.settings import Settings
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0  # between rounds, at most
SAVED_EVERY_SECONDS = 15.0  # of silence, so that restarts of the exporter do not make it begin anew
LONGEST_STEADY_SECONDS = 30.0
EARLIEST_LOOK_SECONDS = 90.0
"""Without a beat the servers are asked after this, or half of the limit. Alertmanager holds what Prometheus sent for
four times its resend delay: what fires must be held by then."""
ALERTMANAGER_DOWN = "AlertmanagerDown"
EXPORTER_DOWN = "ExporterDown"
RULES = {Hop.SCRAPE: EXPORTER_DOWN, Hop.STORE: EXPORTER_DOWN, Hop.SEND: ALERTMANAGER_DOWN}
"""The rule that fires, too, where the path is broken there, if Prometheus and Alertmanager still work: one incident, of
which people are told once, by whoever comes first."""


class Held(Protocol):
    """As `held.HeldAlerts`."""

    def hold(self, blind: bool, known: Sequence[Mapping[str, Any]] = ()) -> None:
        """Prometheus does not get through, or is blind; `known` fired before."""
        ...

    def release(self) -> None:
        """The path is whole."""
        ...


class AlertPath:
    """Call `round` every `interval` seconds. `ask` has the servers asked; `channels` are told directly.

    After `VV_ALERT_PATH_AFTER` without a new beat it is found which hop is broken; what is not certain is looked at
    again for as long as the finding says, and then announced all the same. The path is mended when beats given after
    that have come for a while (half of that time, at most 30 s): a server that keeps exiting is announced once.

    A device on which no Prometheus was ever seen, nor is configured (`VV_PROMETHEUS_URL`), has no path that could
    break: whether alerts get out is not known there. `hold` gets what cannot be written down, to be sent all the same.
    `held` keeps what fires as it is, from before anybody is told.

    After a time in which nothing ran (`standstill`) Prometheus has no samples that are new enough: until a beat of
    after it has come, what fired is held. `evaluated` says whether rules were evaluated in such a time: then it was
    the exporter alone that did not run, and Prometheus sees.
    """

    def __init__(
        self,
        store: Store,
        beats: Beats,
        ask: Callable[[], Observation],
        channels: Sequence[str],
        settings: Settings,
        clock: Callable[[], float],
        held: Held,
        hold: Callable[[Message], None] = lambda _: None,
        standstill: Standstill | None = None,
        evaluated: Callable[[Pause], bool] = lambda _: True,
    ) -> None:
        self._store = store
        self._beats = beats
        self._ask = ask
        self._channels = channels
        self._settings = settings
        self._clock = clock
        self._held = held
        self._hold = hold
        self._standstill = standstill
        self._evaluated = evaluated
        self._after = settings.alert_path_after
        self._set_state(store.document(PATH, "") or PathState())
        # A start needs time of its own; restarts that follow each other must not hide a path that is broken.
        self._carried = min(self._state.unheard, self._after / 2)
        self._saved = self._carried
        self._broken_at = beats.now()
        self._unannounced_since: float | None = None
        self._returning: float | None = None
        self._moving: tuple[str, float] | None = None
        self._returned = 0.0
        self._woke: float | None = None
        """When it was noticed that nothing had run (awake seconds), until a beat of after that has come."""
        self._known: Sequence[Mapping[str, Any]] = ()

    @property
    def interval(self) -> float:
        """Seconds between rounds."""
        return min(INTERVAL_SECONDS, self._after / 4)

    @property
    def _steady_seconds(self) -> float:
        """Seconds for which something must last before it counts."""
        return min(self._after / 2, LONGEST_STEADY_SECONDS)

    def unheard(self) -> float:
        """Seconds since a new beat came, as far as somebody listened."""
        newest = self._beats.newest
        unheard = self._beats.now() - newest.arrived if newest else self._carried + self._beats.now()
        return unheard if self._woke is None else min(unheard, self._beats.now() - self._woke)

    def round(self) -> None:
        """Look once."""
        self._beats.tick()
        self._notice_standstill()
        if self.unheard() >= self._after:
            self._returning = self._woke = None
            self._search_broken_hop()
        elif self._woke is not None:
            self._held.hold(blind=True, known=self._known)
        else:
            self._note_beats()
            if not self._state.is_broken:
                self._look_ahead()
        self._save_silence()

    def _notice_standstill(self) -> None:
        pause = self._standstill.take() if self._standstill is not None else None
        if pause is not None and not self._evaluated(pause):
            self._woke, self._known = self._beats.now(), self._open_alerts()
            log.warning("nothing ran for %s: what fires is held until Prometheus sees again", span(pause.seconds))
            with self._store.transaction() as tx:
                add_to_timeline(tx, tx.now, _stood_still(pause))
        newest = self._beats.newest
        if self._woke is not None and newest is not None and newest.given > self._woke:
            self._woke = None

    def _open_alerts(self) -> list[Mapping[str, Any]]:
        """What people know of, as Alertmanager would show it."""
        return [
            {
                "labels": one.labels,
                "annotations": one.annotations,
                "startsAt": one.starts_at or isoformat(one.started),
                "generatorURL": self._settings.public_url,
            }
            for one in self._store.docs(ACCOUNTS).values()
            if one.labels and not (one.ended or one.missed)
        ]

    def _note_beats(self) -> None:
        newest = self._beats.newest
        if newest is None:
            return
        if not self._state.is_broken:
            if not self._state.closed:
                self._save_state(PathState(closed=True))
        elif self._store.unwritable:
            self._returning = None
        elif newest.given > self._broken_at:
            if self._returning is None:
                self._returning, self._returned = newest.given, newest.time
            if newest.given - self._returning >= self._steady_seconds:
                self._declare_mended()

    def _look_ahead(self) -> None:
        """Have held what would time out before the limit. Announce as soon as it is certain that nothing is stored."""
        if self.unheard() < min(EARLIEST_LOOK_SECONDS, self._after / 2) and not self._store.unwritable:
            self._held.release()
            return
        finding, blind = self._find_hop()
        if finding is not None and finding.hop == Hop.STORE and finding.certain and blind:
            self._declare_broken(finding)

    def _search_broken_hop(self) -> None:
        finding, _ = self._find_hop()
        if finding is None:
            return
        if self._state.is_broken:
            if self._has_moved(finding):
                self._save_state(self._state_with_finding(finding), _moved_entry)
            if not self._state.announced or self._is_unannounced_again(finding.patience):
                self._announce_broken()
        elif finding.certain or self.unheard() >= self._after + finding.patience:
            self._declare_broken(finding)

    def _find_hop(self) -> tuple[Finding | None, bool]:
        """Which hop is broken, if there is a path, and whether Prometheus is blind."""
        observation = self._ask()
        if not self._is_expected(observation):
            return None, False
        finding = find_broken_hop(observation)
        is_late = self.unheard() >= self._after
        # After its lookback Prometheus has nothing at all, and no age is known.
        blind = is_blind(observation, finding) or (is_late and finding.certain and finding.hop == Hop.STORE)
        # Prometheus mostly has the disk that the exporter cannot write to either. One that was just started there has
        # no samples at all, and says within a minute that everything is down.
        blind = blind or (bool(self._store.unwritable) and finding.hop == Hop.STORE)
        if blind or (is_late and finding.hop in (Hop.EVALUATE, Hop.SEND)):
            self._held.hold(blind)
        return finding, blind

    def _has_moved(self, finding: Finding) -> bool:
        """Whether it has been another hop for a while: a path that comes back is whole hop by hop."""
        if not finding.certain or finding.hop == self._state.hop:
            self._moving = None
            return False
        hop, since = self._moving or ("", 0.0)
        if hop != finding.hop:
            self._moving = (finding.hop, self._beats.now())
            return False
        return self._beats.now() - since >= self._steady_seconds

    def _declare_broken(self, finding: Finding) -> None:
        self._broken_at = self._beats.now()
        self._save_state(self._state_with_finding(finding), _broken_entry)
        self._announce_broken()

    def _is_expected(self, observation: Observation) -> bool:
        """Whether there is a path at all."""
        seen = self._beats.scraped_age() is not None or not isinstance(observation.prometheus, str)
        return seen or self._state.closed or self._state.is_broken or bool(self._settings.prometheus_url)

    def _state_with_finding(self, finding: Finding) -> PathState:
        since = self._state.since or self._last_beat_time()
        return msgspec.structs.replace(self._state, since=since, hop=finding.hop.value, reason=finding.reason)

    def _last_beat_time(self) -> float:
        """When a beat last came, in Unix seconds."""
        newest = self._beats.newest
        return newest.time if newest else self._clock() - self.unheard()

    def _announce_broken(self) -> None:
        """Tell people, unless the hop's rule has told them."""
        state = self._state
        rule = self._announced_by_rule(Hop(state.hop))
        state = msgspec.structs.replace(state, announced=True, announced_by=rule)
        if rule:
            self._save_state(state)
            return
        broken = message.broken(state, self._settings)
        try:
            self._write_down(broken, state)
        except StoreError:
            self._set_state(state)
            self._hold(broken)
            raise

    def _is_unannounced_again(self, patience: float) -> bool:
        """Whether the rule that has told people of it no longer says so: it is broken elsewhere now, or the alert has
        ended, as it does when Prometheus is gone as well. What comes to work again does so hop by hop: not at once."""
        now = self._beats.now()
        if not self._state.announced_by or self._announced_by_rule(Hop(self._state.hop)):
            self._unannounced_since = None
            return False
        self._unannounced_since = now if self._unannounced_since is None else self._unannounced_since
        return now - self._unannounced_since >= patience

    def _announced_by_rule(self, hop: Hop) -> str:
        """The rule that fires for this hop, if some channel took its alert; "" if none did."""
        rule = RULES.get(hop, "")
        accounts = self._store.docs(ACCOUNTS).values() if rule else ()
        known = any(one.alertname == rule and one.delivered_by and not one.ended for one in accounts)
        return rule if known else ""

    def _write_down(self, broken: Message, state: PathState) -> None:
        rule = RULES.get(Hop(state.hop))
        twin = DirectAlert(rule, "", broken, _labels_of(rule, self._settings)) if rule else None
        with self._store.transaction() as tx:
            self._queue_message(tx, broken, twin)
            if twin is not None:  # the rule would announce it, too
                tx.put(DIRECT_ALERTS, twin.key, twin)
            tx.put(PATH, "", state)
        self._set_state(state)

    def _declare_mended(self) -> None:
        was, state = self._state, PathState(closed=True)
        with self._store.transaction() as tx:
            if was.announced and not was.announced_by:
                self._queue_message(tx, message.mended(was, self._settings, tx.now))
            title = sentence("The alert path works again")
            add_to_timeline(tx, tx.now, Entry("alert_path.mended", title, component="alert-path"))
            if was.hop == Hop.SEND:
                tx.put(GAPS, f"{was.since:.3f}", Gap(was.since, self._returned))
            for one in tx.docs(DIRECT_ALERTS).values():
                if one.alertname in RULES.values() and not one.ended:
                    tx.put(DIRECT_ALERTS, one.key, msgspec.structs.replace(one, ended=tx.now))
            tx.put(PATH, "", state)
        self._set_state(state)
        self._carried, self._saved, self._returning = 0.0, 0.0, None
        log.info("the alert path works again")

    def _queue_message(self, tx: Transaction, sent: Message, twin: DirectAlert | None = None) -> None:
        """Have people told, and the webhook; without channels there is nobody to be told."""
        put(tx, sent, self._channels)
        labels = {"alertname": sent.alertname, "severity": sent.severity, "device": sent.device}
        sent_as = twin.labels if twin else None
        put_event(tx, sent, {**labels, "component": "alert-path"}, self._settings, sent_as)

    def _set_state(self, state: PathState) -> None:
        self._state = self._beats.verdict = state

    def _save_state(self, state: PathState, entry: Callable[[PathState], Entry] | None = None) -> None:
        self._set_state(state)  # before it is written: on a disk that is full it is shown all the same
        if entry is not None:
            log.error("the alert path is broken: %s. %s", state.hop, message.explained(state))
        with self._store.transaction() as tx:
            tx.put(PATH, "", state)
            if entry is not None:
                add_to_timeline(tx, tx.now, entry(state))

    def _save_silence(self) -> None:
        """In health nothing is written."""
        unheard = self.unheard() if self.unheard() > self._after / 2 else 0.0
        if abs(unheard - self._saved) < SAVED_EVERY_SECONDS and (unheard or not self._saved):
            return
        if unheard and self._saved >= self._after:  # a start begins at the half anyway
            return
        self._saved = unheard
        self._save_state(msgspec.structs.replace(self._state, unheard=unheard))


def _stood_still(pause: Pause) -> Entry:
    return Entry(
        "device.stood_still",
        sentence(
            "Nothing ran for {time}: the device was suspended or stopped, or its clock was set ahead",
            time=span(pause.seconds),
        ),
        component="alert-path",
    )


def _broken_entry(state: PathState) -> Entry:
    return Entry(
        "alert_path.broken",
        sentence("The alert path is broken: {hop}", hop=sentence(state.hop)),
        "critical",
        message.component_of(state.hop),
        details=message.explained(state),
    )


def _moved_entry(state: PathState) -> Entry:
    return Entry(
        "alert_path.moved",
        sentence("The alert path is now broken elsewhere: {hop}", hop=sentence(state.hop)),
        "error",
        message.component_of(state.hop),
        details=message.explained(state),
    )


def _labels_of(rule: str, settings: Settings) -> dict[str, str]:
    """As the rule has them."""
    component, address = {
        ALERTMANAGER_DOWN: ("alertmanager", settings.alertmanager),
        EXPORTER_DOWN: ("exporter", settings.exporter_url),
    }[rule]
    return {
        "alertname": rule,
        "severity": "critical",
        "component": component,
        "device": settings.device_id,
        "instance": urlsplit(address).netloc,
    }
