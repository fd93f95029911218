"""Who may ask what. A rule allows one kind of request; what no rule allows is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vv_exporter.docker_proxy import filters
from vv_exporter.docker_proxy.request import Request

ID = r"(?P<container>[0-9a-f]{64})"
"""The whole id: no name, which another container may have by now."""
QUICK = 10.0
SLOW = 25.0  # seconds; a container is being stopped
PS = "-eo pid,args"
_FLAG = "[01]"
_TIME = r"[0-9]{0,12}(\.[0-9]{0,9})?"
_FILTERS = r"\{[ -~]{0,1000}\}"


def _as_it_is(answer: bytes) -> bytes:
    return answer


def _no_body(body: bytes) -> bool:
    return not body


@dataclass(frozen=True)
class Rule:
    """What is allowed. `path` is a regular expression, `query` has one for each parameter there may be."""

    method: str
    path: str
    filter: Callable[[bytes], bytes] = _as_it_is
    query: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[bytes], bool] = _no_body
    """Whether a body is allowed."""
    given: bool = False
    """Whether the container must be one that was given to the self-monitor."""
    timeout: float = QUICK
    """Seconds that the Engine has for its answer."""
    streams: bool = False
    """Whether the answer may go on for ever; it is filtered line by line."""

    def allows(self, request: Request) -> re.Match[str] | None:
        """The match of the path, None if the request is another, or its query has what is not allowed."""
        if request.method != self.method:
            return None
        if any(not re.fullmatch(self.query.get(name, "(?!)"), value) for name, value in request.query.items()):
            return None
        return re.fullmatch(self.path, request.path)


def policy_only(body: bytes) -> bool:
    """Whether this changes the restart policy and nothing else."""
    try:
        document = json.loads(body)
    except ValueError:
        return False
    if not isinstance(document, dict) or document.keys() != {"RestartPolicy"}:
        return False
    policy = document["RestartPolicy"]
    return (
        isinstance(policy, dict)
        and policy.keys() == {"Name", "MaximumRetryCount"}
        and policy["Name"] in ("", "no", "always", "unless-stopped", "on-failure")
        and type(policy["MaximumRetryCount"]) is int
        and 0 <= policy["MaximumRetryCount"] < 1_000_000
    )


READ = (
    Rule("GET", "/_ping"),
    Rule("GET", "/version"),
    Rule("GET", "/info", filters.body(filters.INFO)),
    Rule("GET", "/events", filters.event, {"since": _TIME, "until": _TIME, "filters": _FILTERS}, streams=True),
    Rule("GET", "/containers/json", filters.body(filters.LISTED), {"all": _FLAG, "filters": _FILTERS}),
    Rule("GET", f"/containers/{ID}/json", filters.body(filters.INSPECTION)),
    Rule(
        "GET",
        f"/containers/{ID}/stats",
        filters.body(filters.STATS),
        {"stream": "false", "one-shot": "true"},
        timeout=SLOW,
    ),
    Rule("GET", "/networks/bridge", filters.body(filters.NETWORK)),
)
"""For who looks: the exporter."""

_LOGS = {"stdout": _FLAG, "stderr": _FLAG, "timestamps": "0", "follow": "0", "tail": "[0-9]{1,4}"}
ACT = (
    *READ,
    Rule("GET", f"/containers/{ID}/logs", query=_LOGS, given=True),
    Rule("GET", f"/containers/{ID}/top", query={"ps_args": re.escape(PS)}, given=True),
    Rule("POST", f"/containers/{ID}/start", given=True, timeout=SLOW),
    Rule("POST", f"/containers/{ID}/stop", given=True, timeout=SLOW),
    Rule("POST", f"/containers/{ID}/restart", given=True, timeout=SLOW),
    Rule("POST", f"/containers/{ID}/update", body=policy_only, given=True),
)
"""For who acts: the self-monitor, and on nothing but what was given to it."""
