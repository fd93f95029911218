"""Asking the agent what it sends, and Prometheus when that was last taken."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request

from vv_exporter.fleet.status import Sending, parse
from vv_exporter.settings import Settings

_SECONDS = 5.0
_MOST_BYTES = 2_000_000
_TAKEN = 'vmagent_remotewrite_requests_total{status_code="2XX"}'
_LAST_TAKEN = f"max(max_over_time(timestamp(increase({_TAKEN}[1m]) > 0)[1d:1m]))"
"""Of the last day, to the minute: Prometheus scrapes the agent as well."""


class AgentError(Exception):
    """The agent does not answer as it should; the message is for people."""


def sending(settings: Settings) -> Sending:
    """What the agent says. Raises `AgentError`."""
    address = f"{settings.fleet_agent}/metrics"
    try:
        return parse(_get_text(address))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise AgentError(f"the agent does not answer at {address}: {reason}") from error


def last_taken(settings: Settings) -> float | None:
    """When the centre last took something, in Unix seconds; None where nobody knows, or not within a day."""
    query = urllib.parse.urlencode({"query": _LAST_TAKEN})
    try:
        result = json.loads(_get_text(f"{settings.prometheus}/api/v1/query?{query}"))["data"]["result"]
        return float(result[0]["value"][1])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _get_text(address: str) -> str:
    with urllib.request.urlopen(address, timeout=_SECONDS) as answer:  # noqa: S310 - the settings take http only
        text: str = answer.read(_MOST_BYTES).decode(errors="replace")
        return text
