"""Who may ask what. A rule allows one kind of request; what no rule allows is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vv_exporter.docker_proxy import filters
from vv_exporter.docker_proxy.request import Request

ID = r"(?P<container>[0-9a-f]{64})"
"""The whole id: no name, which another container may have by now."""
QUICK = 10.0
SLOW = 25.0  # seconds; a container is being stopped
PS = "-eo pid,args"
_FLAG = "[01]"
_TIME = r"[0-9]{0,12}(\.[0-9]{0,9})?"
MAX_FILTERS_CHARACTERS = 2000
_WORD = "[a-z_]{1,40}"
_LABEL = "|".join(map(re.escape, filters.LABELS))

Allowed = str | Callable[[str], bool]
"""What a parameter may be: a regular expression for all of it, or a function."""


def _as_it_is(answer: bytes) -> bytes:
    return answer


def _no_body(body: bytes) -> bool:
    return not body


@dataclass(frozen=True)
class Rule:
    """What is allowed. `path` is a regular expression; `query` has each parameter there may be."""

    method: str
    path: str
    filter: Callable[[bytes], bytes] = _as_it_is
    query: Mapping[str, Allowed] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    """The parameters that must be there."""
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
        if request.method != self.method or not self.required <= request.query.keys():
            return None
        if not all(_may_be(self.query.get(name, "(?!)"), value) for name, value in request.query.items()):
            return None
        return re.fullmatch(self.path, request.path)


def _may_be(allowed: Allowed, value: str) -> bool:
    return bool(re.fullmatch(allowed, value)) if isinstance(allowed, str) else allowed(value)


def only_filters(**allowed: str) -> Callable[[str], bool]:
    """Whether the parameter `filters` asks for nothing but these, each with values of this form.

    A filter answers yes or no for each container. So only those are allowed that ask for what the answer shows anyhow:
    others would reveal, guess by guess, a label, a mount, a network, or a command that was run.
    """

    def check(text: str) -> bool:
        if len(text) > MAX_FILTERS_CHARACTERS:
            return False
        try:
            document = json.loads(text, object_pairs_hook=_unique_keys)
        except (ValueError, RecursionError):
            return False
        return isinstance(document, dict) and all(
            name in allowed and _is_wanted(wanted, allowed[name]) for name, wanted in document.items()
        )

    return check


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("duplicate key: who reads the first, and who the last?")
    return document


def _is_wanted(wanted: Any, form: str) -> bool:
    """Either form that the API has: a list, or an object whose values are true."""
    if isinstance(wanted, dict):
        return all(re.fullmatch(form, value) and flag is True for value, flag in wanted.items())
    return isinstance(wanted, list) and all(isinstance(value, str) and re.fullmatch(form, value) for value in wanted)


def policy_only(body: bytes) -> bool:
    """Whether this changes the restart policy and nothing else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
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
    Rule(
        "GET",
        "/events",
        filters.event,
        {
            "since": _TIME,
            "until": _TIME,
            # Words alone: what follows the colon of an exec is the command, which the Engine compares by its beginning.
            "filters": only_filters(type=_WORD, event=rf"{_WORD}|health_status: [a-z]{{1,20}}"),
        },
        streams=True,
    ),
    Rule(
        "GET",
        "/containers/json",
        filters.body(filters.LISTED),
        {
            "all": _FLAG,
            "filters": only_filters(
                id="[0-9a-f]{1,64}",
                name=r"[/^]?[A-Za-z0-9_.-]{1,255}\$?",
                status=_WORD,
                label=f"({_LABEL})(=[ -~]{{0,255}})?",
            ),
        },
    ),
    Rule("GET", f"/containers/{ID}/json", filters.body(filters.INSPECTION)),
    Rule(
        "GET",
        f"/containers/{ID}/stats",
        filters.body(filters.STATS),
        {"stream": "false", "one-shot": "true"},
        frozenset({"stream"}),  # without it the answer has no end
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
