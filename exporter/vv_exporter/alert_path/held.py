"""What Alertmanager holds stays as it is while Prometheus cannot judge it.

An alert that Prometheus does not send again times out after a few minutes, and people are told that it has ended, which
nobody has seen. A Prometheus that stores nothing new does worse: five minutes after the last sample, its lookback
(https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness), it says itself that all has ended, and that
everything is down. So, for as long as the alert path is broken before Alertmanager:

1. What Alertmanager holds of this device is sent to it again. Neither the Watchdog, which a dead man's
   switch must miss, nor a drill, which must end.
2. While Prometheus is blind (silent, without new samples, or just awake after nothing ran: `standstill.py`), AlertsHeld
   inhibits what it says of this device.
3. When the path is whole again each rule says what became of its alerts: what fires is Prometheus' again, what is
   pending is held on, what has ended is announced as ended. What only lasts because it was thought to fire meanwhile
   (`keep_firing_for`), or is about the outage itself, is told to nobody.

Nothing is written down: after a restart of the exporter Alertmanager still has it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from vv_core.common.texts import many
from vv_exporter.alert_path.questions import QuestionError
from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.common.clock import isoformat
from vv_exporter.drills.state import DRILL
from vv_exporter.language import gettext as _
from vv_exporter.settings import Settings

log = logging.getLogger(__name__)

ALERTS_HELD = "AlertsHeld"
NOT_HELD = ("Watchdog", DRILL, "VVEvent", ALERTS_HELD)
"""The first must be missed, a drill must end; the others are the exporter's own, which sends them itself."""
TO_NOBODY = {"told": "nobody"}  # routed nowhere, and inhibits
OF_THE_OUTAGE = "RuleEvaluationFailing"
"""What could not be stored was no evaluation: it is the same trouble, which people know of."""
OUTAGE_SHOWS_SECONDS = 420.0  # after the path was whole: its window and `keep_firing_for`
LASTS_SECONDS = 300.0  # for which Alertmanager holds one that is not sent again
MISTAKEN_LASTS_SECONDS = 60.0  # likewise, what inhibits one that is mistaken
GIVE_UP_SECONDS = 120.0
"""After the path was whole: what Prometheus says reaches people again, whether its rules can be asked and each was
evaluated anew (some may be once an hour) or not."""
Identity = tuple[tuple[str, str], ...]
Alert = Mapping[str, Any]
Groups = Sequence[Mapping[str, Any]]
Evaluations = dict[tuple[str, str, int], str]


class Alertmanager(Protocol):
    """As `relay.alertmanager.Alertmanager`."""

    def alerts(self) -> list[dict[str, Any]]:
        """What fires. Raises `DeliveryError`."""
        ...

    def send(self, alerts: Sequence[dict[str, Any]]) -> None:
        """Send alerts. Raises `DeliveryError`."""
        ...


class HeldAlerts:
    """Of one thread. `rules` gives the groups of Prometheus' alerting rules, or raises `QuestionError`."""

    def __init__(
        self,
        alertmanager: Alertmanager,
        rules: Callable[[], Groups],
        settings: Settings,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._alertmanager = alertmanager
        self._rules = rules
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._held: dict[Identity, Alert] = {}
        self._mistaken: dict[Identity, Alert] = {}
        self._blind_since = 0.0
        self._before: Evaluations | None = None
        self._whole_since: float | None = None

    def hold(self, blind: bool, known: Sequence[Alert] = ()) -> None:
        """Prometheus does not get through, or is `blind`: keep what Alertmanager has. Call it every few seconds.

        `known` fired before: one that has been blind for a moment may have said that it has ended.
        """
        self._before = self._whole_since = None
        try:
            if not self._blind_since:  # what one that is blind says is no news
                firing = [*known, *self._alertmanager.alerts()]
                self._held = {identity(one): one for one in firing if self._is_judged(one)}
                if blind:
                    self._blind_since = self._clock()
                    log.warning("Prometheus is blind: what fires is held as it is: %s", many(len(self._held), "alert"))
            self._send_held_alerts()
        except DeliveryError as error:
            log.debug("what fires cannot be held: %s", error)

    def release(self) -> None:
        """The path is whole: have the rules say what became of what is held. Call it every few seconds."""
        if not (self._held or self._mistaken or self._blind_since):
            return
        if self._whole_since is None:
            self._whole_since = self._monotonic()
        try:
            self._settle_doubtful_alerts(self._rules())
        except (QuestionError, DeliveryError, AttributeError, LookupError, TypeError, ValueError) as error:
            if self._whole_for() > GIVE_UP_SECONDS:
                log.error("what became of what was held (%s) is not known: %s", many(len(self._held), "alert"), error)
                with contextlib.suppress(DeliveryError):
                    self._see_again()
                self._held, self._mistaken, self._blind_since = {}, {}, 0.0

    def _settle_doubtful_alerts(self, groups: Groups) -> None:
        if self._before is None:
            self._before = evaluations(groups)
        active = {identity(one): one for one in self._alertmanager.alerts() if self._is_judged(one)}
        # What fires anew when Prometheus sees again is no mistake.
        doubtful = {key: one for key, one in active.items() if self._blind_since or key in self._mistaken}
        verdict = reach_verdict(self._held, doubtful, groups, self._before)
        ended = [self._as_posted_alert(one, ends=0.0) for key, one in self._held.items() if key in verdict.ended]
        self._held = {
            key: one for key, one in self._held.items() if key not in verdict.ended and key not in verdict.firing
        }
        self._mistaken = verdict.mistaken | self._of_the_outage(doubtful)
        self._send_held_alerts(ended)
        if self._blind_since and (verdict.certain or self._whole_for() > GIVE_UP_SECONDS):
            self._see_again()
            log.info("Prometheus sees again; held until they fire again or end: %s", many(len(self._held), "alert"))

    def _of_the_outage(self, doubtful: Mapping[Identity, Alert]) -> dict[Identity, Alert]:
        if self._whole_for() > OUTAGE_SHOWS_SECONDS:
            return {}
        return {
            key: one
            for key, one in doubtful.items()
            if one["labels"].get("alertname") == OF_THE_OUTAGE and key not in self._held
        }

    def _whole_for(self) -> float:
        return 0.0 if self._whole_since is None else self._monotonic() - self._whole_since

    def _see_again(self) -> None:
        """End AlertsHeld."""
        if self._blind_since:
            self._alertmanager.send([self._as_posted_alert(self._alerts_held(), ends=0.0)])
            self._blind_since = 0.0

    def _send_held_alerts(self, ended: Sequence[dict[str, Any]] = ()) -> None:
        """All that is held, behind what inhibits it."""
        shields = [self._as_posted_alert(self._alerts_held())] if self._blind_since else []
        shields += [
            self._as_posted_alert(_routed_to_nobody(one), MISTAKEN_LASTS_SECONDS) for one in self._mistaken.values()
        ]
        if alerts := [*shields, *map(self._as_posted_alert, self._held.values()), *ended]:
            self._alertmanager.send(alerts)

    def _as_posted_alert(self, alert: Alert, ends: float = LASTS_SECONDS) -> dict[str, Any]:
        """As Alertmanager takes it; it ends in so many seconds."""
        return {
            "labels": alert["labels"],
            "annotations": alert["annotations"],
            "startsAt": alert["startsAt"],
            "endsAt": isoformat(self._clock() + ends),
            "generatorURL": alert.get("generatorURL", ""),
        }

    def _alerts_held(self) -> Alert:
        return {
            "labels": {"alertname": ALERTS_HELD, "severity": "none", "device": self._settings.device_id, **TO_NOBODY},
            "annotations": {"summary": _("Prometheus cannot judge alerts now: what fires is held as it was")},
            "startsAt": isoformat(self._blind_since),
            "generatorURL": self._settings.public_url,
        }

    def _is_judged(self, alert: Alert) -> bool:
        """Whether it is for Prometheus to say what becomes of it, and about this device."""
        labels = alert["labels"]
        ours = labels.get("device", self._settings.device_id) == self._settings.device_id
        return ours and labels.get("alertname") not in NOT_HELD and "told" not in labels


class Verdict(NamedTuple):
    """What the rules say of alerts: those that are Prometheus' again (none is ours that has no rule), and have ended.

    `mistaken`: what was never held, and lasts only because it fired. `certain`: each rule has been evaluated anew.
    """

    firing: set[Identity]
    ended: set[Identity]
    mistaken: dict[Identity, Alert]
    certain: bool


def reach_verdict(
    held: Mapping[Identity, Alert], doubtful: Mapping[Identity, Alert], groups: Groups, before: Evaluations
) -> Verdict:
    """`doubtful` is what may be mistaken; `before`, when each rule was evaluated when it was first asked."""
    waiting = {rule["name"] for key, rule in rules_of(groups) if before.get(key) == rule["lastEvaluation"]}
    known: dict[str, list[Alert]] = {}
    for _position, rule in rules_of(groups):
        known.setdefault(rule["name"], []).extend(rule.get("alerts") or ())

    def same(alert: Alert) -> list[Alert]:
        labels = alert["labels"]
        return [one for one in known.get(labels.get("alertname"), ()) if is_same(one["labels"], labels)]

    judged = {key: one for key, one in held.items() if one["labels"].get("alertname") in known}
    firing = {key for key, one in judged.items() if any(alert["state"] == "firing" for alert in same(one))}
    ended = {key for key, one in judged.items() if one["labels"]["alertname"] not in waiting and not same(one)}
    mistaken = {key: one for key, one in doubtful.items() if key not in held and any(map(_only_lasts, same(one)))}
    return Verdict(firing | (held.keys() - judged.keys()), ended, mistaken, not waiting)


def evaluations(groups: Groups) -> Evaluations:
    """When each rule was last evaluated, as Prometheus writes it."""
    return {key: rule["lastEvaluation"] for key, rule in rules_of(groups)}


def identity(alert: Alert) -> Identity:
    """Its labels: what Alertmanager knows it by."""
    return tuple(sorted(alert["labels"].items()))


def rules_of(groups: Groups) -> Iterator[tuple[tuple[str, str, int], Mapping[str, Any]]]:
    """Each alerting rule of Prometheus' answer, by what no other has."""
    for group in groups:
        for number, rule in enumerate(group["rules"]):
            yield (group["file"], group["name"], number), rule


def is_same(of_rule: Mapping[str, str], of_alert: Mapping[str, str]) -> bool:
    """Whether they are the same alert: on its way Prometheus adds external labels, and relabels."""
    return all(of_alert[name] == text for name, text in of_rule.items() if name in of_alert)


def _only_lasts(alert: Alert) -> bool:
    return alert["state"] == "firing" and not alert.get("keepFiringSince", "0001").startswith("0001")


def _routed_to_nobody(alert: Alert) -> Alert:
    """What inhibits it."""
    return {**alert, "labels": {**alert["labels"], **TO_NOBODY}}
