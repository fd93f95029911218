"""Which hop of the alert path is broken, as a pure function of what the servers answered.

The beat goes exporter → Prometheus' storage → rule → Alertmanager → exporter. Each server is asked which beat it has:
the first that has none, or only an old one, is where it stops. How old it may be follows from the intervals that the
servers themselves answer, so that neither a slow scrape nor a server that was just started is taken for a broken one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import NamedTuple

from vv_exporter.language import translatable
from vv_exporter.render.intervals import delivery_interval

SLACK_SECONDS = 5.0  # that a hop may take beyond its interval
LEAST_PATIENCE_SECONDS = 30.0  # for which a finding that is not certain is looked at again before it is announced


class Hop(enum.StrEnum):
    """A hop of the path, in its order."""

    SCRAPE = translatable("not scraped")
    STORE = translatable("not stored")
    EVALUATE = translatable("not evaluated")
    SEND = translatable("not sent on")
    DELIVER = translatable("not delivered")


class PrometheusState(NamedTuple):
    """What Prometheus says. Seconds; an age is of the newest beat that it has there, None where it has none.

    `stored_error` is set when it could not answer what it has stored.
    """

    uptime: float
    scrape_interval: float
    evaluation_interval: float
    resend_delay: float
    is_target: bool
    scrape_error: str
    stored_age: float | None
    stored_error: str
    has_rule: bool
    rule_error: str
    fired_age: float | None
    alertmanagers: int
    sending_fails: bool


class AlertmanagerState(NamedTuple):
    """What Alertmanager says: since when it runs, how old the beat of the Watchdog is that it holds, in seconds."""

    uptime: float
    held_age: float | None
    delivering_fails: bool


class Observation(NamedTuple):
    """What is known when no beat comes. A server that does not answer is shown by what was said instead.

    `uptime` of the exporter. `scraped_age`: seconds since a Prometheus asked it last; None: never since its start.
    `unanswered`: seconds since Prometheus last answered a question, 0 while it does.
    """

    after: float
    scrape_interval: float
    uptime: float
    scraped_age: float | None
    prometheus: PrometheusState | str
    alertmanager: AlertmanagerState | str
    unanswered: float = 0.0

    @property
    def unscraped(self) -> float:
        """Seconds without a scrape."""
        return self.uptime if self.scraped_age is None else self.scraped_age


class Finding(NamedTuple):
    """The hop, and why it is taken for broken: a clause. What is not `certain` may only need more time.

    `patience`: how many seconds beyond the limit it is given.
    """

    hop: Hop
    reason: str
    certain: bool
    patience: float = LEAST_PATIENCE_SECONDS


def find_broken_hop(seen: Observation) -> Finding:
    """The first hop that the beat does not get over; the last one when it gets over all others."""
    if isinstance(seen.prometheus, str):
        return _behind_a_silent_prometheus(seen, seen.prometheus)
    prometheus = seen.prometheus
    checks: tuple[Callable[[Observation, PrometheusState], Finding | None], ...] = (
        _check_scraping, _check_storing, _check_evaluating, _check_sending, _check_delivering,
    )  # fmt: skip
    found = next(filter(None, (check(seen, prometheus) for check in checks)))
    return found._replace(patience=_patience_seconds(seen, prometheus))


def is_blind(seen: Observation, finding: Finding) -> bool:
    """Whether Prometheus judges nothing, or by old samples only: it is silent, or stores nothing.

    It must have been so for a quarter of the limit: a machine that is busy is slow to scrape, and to answer.
    """
    if not finding.certain:
        return False
    if isinstance(seen.prometheus, str):
        return finding.hop == Hop.SCRAPE and seen.unscraped >= seen.after / 4
    return finding.hop == Hop.STORE and (seen.prometheus.stored_age or 0.0) >= seen.after / 4


def _patience_seconds(seen: Observation, prometheus: PrometheusState) -> float:
    """A beat may take a scrape, an evaluation, a resend and Alertmanager's interval; after a start, once more."""
    resend = max(prometheus.resend_delay, prometheus.evaluation_interval)
    round_trip = (
        prometheus.scrape_interval + prometheus.evaluation_interval + resend + 2 * delivery_interval(seen.after)
    )
    if _is_young(seen, prometheus):
        round_trip += prometheus.scrape_interval + prometheus.evaluation_interval
    return max(LEAST_PATIENCE_SECONDS, round_trip + SLACK_SECONDS - seen.after)


def _behind_a_silent_prometheus(seen: Observation, said: str) -> Finding:
    """Only what lies before and behind it is known."""
    limit = 2 * seen.scrape_interval + SLACK_SECONDS
    if seen.unscraped >= min(seen.unanswered, limit):
        return Finding(Hop.SCRAPE, said, certain=seen.unscraped > limit)
    # It scrapes, and only the exporter cannot ask it.
    if not isinstance(seen.alertmanager, str) and _is_fresh(seen.alertmanager.held_age, seen.after):
        return _undelivered_finding(seen.alertmanager)
    why = seen.alertmanager if isinstance(seen.alertmanager, str) else "the Watchdog does not get to Alertmanager"
    return Finding(Hop.SEND, f"{why}; Prometheus scrapes, but cannot be asked: {said}", certain=False)


def _check_scraping(seen: Observation, prometheus: PrometheusState) -> Finding | None:
    failed = bool(prometheus.scrape_error) and seen.unscraped > prometheus.scrape_interval + 1
    late = seen.unscraped > 2 * prometheus.scrape_interval + SLACK_SECONDS
    if seen.scraped_age is not None and not failed and not late:
        return None
    if not prometheus.is_target:
        reason = "Prometheus has no target vv-exporter for this device"
    else:
        reason = prometheus.scrape_error or "Prometheus does not ask for /metrics"
    return Finding(Hop.SCRAPE, reason, certain=not _is_young(seen, prometheus))


def _check_storing(seen: Observation, prometheus: PrometheusState) -> Finding | None:
    if prometheus.stored_error or _is_fresh(prometheus.stored_age, 2 * prometheus.scrape_interval + SLACK_SECONDS):
        return None
    reason = prometheus.scrape_error or "Prometheus scrapes the exporter, and has no new samples"
    return Finding(Hop.STORE, reason, certain=not _is_young(seen, prometheus))


def _check_evaluating(seen: Observation, prometheus: PrometheusState) -> Finding | None:
    limit = 2 * prometheus.scrape_interval + 2 * prometheus.evaluation_interval + SLACK_SECONDS
    if not prometheus.has_rule:
        return Finding(Hop.EVALUATE, "Prometheus has no rule Watchdog", certain=True)
    if prometheus.rule_error:
        return Finding(Hop.EVALUATE, prometheus.rule_error, certain=True)
    if _is_fresh(prometheus.fired_age, limit):
        return None
    if prometheus.stored_error:
        return Finding(Hop.EVALUATE, prometheus.stored_error, certain=not _is_young(seen, prometheus))
    return Finding(
        Hop.EVALUATE, "the rule Watchdog does not follow what is stored", certain=not _is_young(seen, prometheus)
    )


def _check_sending(seen: Observation, prometheus: PrometheusState) -> Finding | None:
    if isinstance(seen.alertmanager, str):
        return Finding(Hop.SEND, seen.alertmanager, certain=True)
    if prometheus.alertmanagers == 0:
        # One that was just started has found none yet.
        why = "Prometheus is configured with no Alertmanager"
        return Finding(Hop.SEND, why, certain=not _is_young(seen, prometheus))
    alertmanager = seen.alertmanager
    resend = max(prometheus.resend_delay, prometheus.evaluation_interval)
    limit = 2 * prometheus.scrape_interval + 2 * prometheus.evaluation_interval + resend + SLACK_SECONDS
    if _is_fresh(alertmanager.held_age, limit) and not prometheus.sending_fails:
        return None
    said = "fails to send" if prometheus.sending_fails else "does not get the Watchdog"
    return Finding(
        Hop.SEND,
        f"Prometheus {said} to Alertmanager",
        certain=prometheus.sending_fails
        or (alertmanager.uptime > 2 * resend + SLACK_SECONDS and not _is_young(seen, prometheus)),
    )


def _check_delivering(seen: Observation, _: PrometheusState) -> Finding:
    if isinstance(seen.alertmanager, str):
        return Finding(Hop.DELIVER, seen.alertmanager, certain=True)
    return _undelivered_finding(seen.alertmanager)


def _undelivered_finding(alertmanager: AlertmanagerState) -> Finding:
    said = "fails to deliver" if alertmanager.delivering_fails else "holds the Watchdog and does not deliver it"
    return Finding(Hop.DELIVER, f"Alertmanager {said} to the exporter", certain=alertmanager.delivering_fails)


def _is_young(seen: Observation, prometheus: PrometheusState) -> bool:
    """Whether there may not have been the time for a scrape and an evaluation since either of the two was started."""
    needed = 2 * (prometheus.scrape_interval + prometheus.evaluation_interval) + SLACK_SECONDS
    return min(prometheus.uptime, seen.uptime) < needed


def _is_fresh(age: float | None, limit: float) -> bool:
    return age is not None and age <= limit
