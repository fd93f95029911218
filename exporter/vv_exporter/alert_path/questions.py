"""Asks Prometheus and Alertmanager how far the beat gets. Only while it does not come back: in health nobody is asked.

APIs: https://prometheus.io/docs/prometheus/latest/querying/api/ and Alertmanager's API v2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from vv_exporter.alert_path.beats import Beats
from vv_exporter.alert_path.hops import AlertmanagerState, Observation, PrometheusState
from vv_exporter.alert_path.standstill import Pause
from vv_exporter.alertmanager.server_client import ServerAnswer, ServerClient, ServerError
from vv_exporter.delivery.accounts import moment
from vv_exporter.metrics.alert_path import BEAT
from vv_exporter.render.alertmanager import ALERT_PATH_RECEIVER
from vv_exporter.settings import Settings
from vv_exporter.state.timeline import shortened

TIMEOUT_SECONDS = (2.0, 3.0)  # to connect, and between bytes of the answer
RULE = "Watchdog"
ANNOTATION = "beat"
JOB = "vv-exporter"
MAX_REASON = 200  # characters
DEFAULT_RESEND_SECONDS = 60.0  # Prometheus' own
T = TypeVar("T")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FAILED_SENDING = re.compile(r"^prometheus_notifications_errors_total\b.* (\S+)$", re.MULTILINE)
_FAILED_DELIVERING = re.compile(
    r"^alertmanager_notification(?:s|_requests)_failed_total\{(?=[^}]*integration=\"webhook\")"
    rf"(?=[^}}]*receiver_name=\"{ALERT_PATH_RECEIVER}\").*\}} (\S+)$",
    re.MULTILINE,
)


class QuestionError(Exception):
    """A server did not answer, or not what was asked; the message is a clause for people."""


class Server:
    """Asks the server `name` at `url` (without a slash at the end)."""

    def __init__(self, name: str, url: str) -> None:
        self._where = f"{name} at {url}"
        self._client = ServerClient(url, TIMEOUT_SECONDS)

    def text(self, path: str, parameters: Mapping[str, str] | None = None) -> str:
        """The answer's text. Raises `QuestionError`."""
        return self._answer_of(path, parameters).text

    def json(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """The answer's document. Raises `QuestionError`."""
        try:
            return self._answer_of(path, parameters).json()
        except ValueError as error:
            raise QuestionError(f"{self._where} does not answer with JSON") from error

    def _answer_of(self, path: str, parameters: Mapping[str, str] | None) -> ServerAnswer:
        try:
            answer = self._client.get(path, parameters)
        except ServerError as error:
            raise QuestionError(f"{self._where} does not answer") from error
        if answer.status != 200:
            raise QuestionError(f"{self._where} answers {answer.status}: {_shortened_reply(answer.text)}")
        return answer


class Questions:
    """Call it to have all asked; that takes some seconds at most. It raises nothing."""

    def __init__(
        self, settings: Settings, beats: Beats, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._beats = beats
        self._clock = clock
        self._monotonic = monotonic
        self._prometheus = Server("Prometheus", settings.prometheus)
        self._alertmanager = Server("Alertmanager", settings.alertmanager)
        self._answered: float | None = None
        self._failures: dict[str, float] = {}

    def __call__(self) -> Observation:
        """What there is to know now."""
        scraped, settings = self._beats.scraped_age(), self._settings
        prometheus = _or_reason("Prometheus", self.prometheus)
        now = self._monotonic()
        if not isinstance(prometheus, str) or self._answered is None:
            self._answered = now
        return Observation(
            after=settings.alert_path_after,
            scrape_interval=settings.scrape_interval,
            uptime=self._beats.now(),
            scraped_age=scraped,
            prometheus=prometheus,
            alertmanager=_or_reason("Alertmanager", self.alertmanager),
            unanswered=now - self._answered,
        )

    def prometheus(self) -> PrometheusState:
        """What Prometheus says. Raises `QuestionError`."""
        ask = self._prometheus.json
        info = ask("/api/v1/status/runtimeinfo")["data"]
        flags = ask("/api/v1/status/flags")["data"]
        targets = ask("/api/v1/targets", {"state": "active", "scrapePool": JOB})["data"]["activeTargets"]
        target: dict[str, Any] = next((one for one in targets if self._is_ours(one["labels"])), {})
        interval = seconds(target.get("scrapeInterval", ""), self._settings.scrape_interval)
        stored, stored_error = self._stored_beat_age()
        groups = ask("/api/v1/rules", {"type": "alert", "rule_name[]": RULE})["data"]["groups"]
        found = [(group, rule) for group in groups for rule in group["rules"] if rule["name"] == RULE]
        group, rule = found[0] if found else ({}, {})
        firing = [alert for alert in rule.get("alerts", ()) if self._is_ours(alert["labels"])]
        return PrometheusState(
            uptime=max(self._clock() - moment(info["startTime"]), 0.0),
            scrape_interval=interval,
            evaluation_interval=float(group.get("interval", interval)),
            resend_delay=seconds(flags.get("rules.alert.resend-delay", ""), DEFAULT_RESEND_SECONDS),
            is_target=bool(target),
            scrape_error=_shortened_reply(target.get("lastError", "")),
            stored_age=stored,
            stored_error=stored_error,
            has_rule=bool(rule),
            rule_error=_shortened_reply(rule.get("lastError", "")) if rule.get("health") == "err" else "",
            fired_age=self._newest_beat_age(firing),
            alertmanagers=len(ask("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]),
            sending_fails=self._has_more_failures("sending", _FAILED_SENDING, self._prometheus.text("/metrics")),
        )

    def rules(self) -> list[dict[str, Any]]:
        """The groups of alerting rules, with their alerts. Raises `QuestionError`, or anything for an odd answer."""
        return list(self._prometheus.json("/api/v1/rules", {"type": "alert"})["data"]["groups"])

    def evaluated_within(self, pause: Pause) -> bool:
        """Whether Prometheus evaluated rules in a time in which the exporter did not run; False where it is not known.

        Neither at its beginning, when the one was stopped before the other, nor at its end, when the other woke first.
        """
        query = f'count_over_time(ALERTS{{alertname="{RULE}"}}[{pause.seconds * 375:.0f}ms])'
        middle = f"{pause.since + pause.seconds / 2:.3f}"
        try:
            found = self._prometheus.json("/api/v1/query", {"query": query, "time": middle, "timeout": "2s"})
            return bool(found["data"]["result"])
        except (QuestionError, LookupError, TypeError):
            return False

    def prometheus_started(self) -> float:
        """When it was started, in Unix seconds of its clock. Raises `QuestionError`."""
        return self._start_time(
            "Prometheus", lambda: self._prometheus.json("/api/v1/status/runtimeinfo")["data"]["startTime"]
        )

    def alertmanager_started(self) -> float:
        """When it was started, likewise. Raises `QuestionError`."""
        return self._start_time("Alertmanager", lambda: self._alertmanager.json("/api/v2/status")["uptime"])

    def _start_time(self, name: str, ask: Callable[[], str]) -> float:
        started = _or_reason(name, lambda: moment(ask()))
        if isinstance(started, str):
            raise QuestionError(started)
        return started

    def alertmanager(self) -> AlertmanagerState:
        """What Alertmanager says. Raises `QuestionError`."""
        info = self._alertmanager.json("/api/v2/status")
        held = self._alertmanager.json("/api/v2/alerts", {"filter": f'alertname="{RULE}"'})
        return AlertmanagerState(
            uptime=max(self._clock() - moment(info["uptime"]), 0.0),
            held_age=self._newest_beat_age([alert for alert in held if self._is_ours(alert["labels"])]),
            delivering_fails=self._has_more_failures(
                "delivering", _FAILED_DELIVERING, self._alertmanager.text("/metrics")
            ),
        )

    def _stored_beat_age(self) -> tuple[float | None, str]:
        """The age of the newest beat that is stored, and why that is not known."""
        try:
            query = f'max({BEAT.name}{{device="{self._settings.device_id}"}})'
            result = self._prometheus.json("/api/v1/query", {"query": query, "timeout": "2s"})["data"]["result"]
        except QuestionError as error:
            return None, str(error)
        return (self._beats.age(float(result[0]["value"][1])) if result else None), ""

    def _newest_beat_age(self, alerts: Iterable[Mapping[str, Any]]) -> float | None:
        """The age of the newest beat that these alerts quote."""
        ages = [beat_of(alert["annotations"]) for alert in alerts]
        return min((self._beats.age(beat) for beat in ages if beat is not None), default=None)

    def _is_ours(self, labels: Mapping[str, str]) -> bool:
        return labels.get("device", self._settings.device_id) == self._settings.device_id

    def _has_more_failures(self, name: str, pattern: re.Pattern[str], text: str) -> bool:
        """Whether a count of failures is larger than when it was asked last."""
        count = sum(map(float, pattern.findall(text)))
        before = self._failures.get(name, count)
        self._failures[name] = count
        return count > before


def beat_of(annotations: Mapping[str, str]) -> float | None:
    """The beat that the Watchdog quotes; None where it quotes none."""
    try:
        beat = float(annotations.get(ANNOTATION, ""))
    except ValueError:
        return None
    return beat if math.isfinite(beat) else None


def seconds(duration: str, default: float) -> float:
    """A duration as Prometheus writes it (`1m30s`), in seconds; the default for what is none."""
    parts = re.findall(r"(\d+)(ms|s|m|h|d)", duration)
    return sum(float(count) * _UNITS[unit] for count, unit in parts) if parts else default


def _shortened_reply(text: str) -> str:
    """The words of a server, in one short line."""
    return shortened(" ".join(text.split()), MAX_REASON)


def _or_reason(name: str, ask: Callable[[], T]) -> T | str:
    try:
        return ask()
    except QuestionError as error:
        return str(error)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, OverflowError) as error:
        return f"an answer of {name} is not understood ({type(error).__name__})"
