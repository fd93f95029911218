"""The client of Alertmanager's API v2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vv_exporter.alertmanager.server_client import ServerAnswer, ServerClient, ServerError

PATH = "/api/v2/alerts"
TIMEOUT = (2.0, 5.0)  # seconds to connect, and between bytes of the answer
REJECTIONS = (400, 413, 422)  # what Alertmanager, or a proxy before it, answers to what the request holds


class DeliveryError(Exception):
    """Alertmanager did not take the alerts, or did not show them."""


class RejectedError(DeliveryError):
    """It works, and does not take these alerts as they are. Others of the same request may have been taken."""


class Alertmanager:
    """Sends alerts to one Alertmanager at `url` (without a slash at the end)."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}{PATH}"
        self._client = ServerClient(url, TIMEOUT)

    def send(self, alerts: Sequence[dict[str, Any]]) -> None:
        """Send alerts. Raises `DeliveryError` unless the answer is 200; `RejectedError` if it is what they say."""
        try:
            answer = self._client.post(PATH, list(alerts))
        except ServerError as error:
            raise DeliveryError(f"{self._url}: {error}") from error
        self._check_accepted(answer)

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that fire now. Raises `DeliveryError` when there is no good answer."""
        try:
            answer = self._client.get(PATH)
            self._check_accepted(answer)
            found = answer.json()
        except (ServerError, ValueError) as error:
            raise DeliveryError(f"{self._url}: {error}") from error
        if not isinstance(found, list):
            raise DeliveryError(f"{self._url} answered with no list of alerts")
        return [alert for alert in found if isinstance(alert, dict)]

    def _check_accepted(self, answer: ServerAnswer) -> None:
        if answer.status != 200:
            error = RejectedError if answer.status in REJECTIONS else DeliveryError
            raise error(f"{self._url} answered {answer.status}: {answer.text[:200]!r}")
