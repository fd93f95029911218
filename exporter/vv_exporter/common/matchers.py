"""Which alerts a silence is for: `alertname=DiskSpaceLow`, or, in links, `{alertname="DiskSpaceLow",…}`.

The operators are Alertmanager's: https://prometheus.io/docs/alerting/latest/configuration/#matcher
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from vv_core.common.texts import UNSAFE
from vv_exporter.language import gettext as _

MAX_MATCHERS = 30
MAX_VALUE = 1000  # characters
MAX_FILTER = 20_000
PASSING = (
    "severity",
    "occurrence",
    "repeats",
    "told",
)  # labels that the same alert may not have when it comes up again
MAX_LINKED_VALUE = 120  # characters of a label's value in a link
MAX_LINKED = 500  # characters of the whole in a link
_ONE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(=~|!=|!~|=)(.*)", re.DOTALL)
_QUOTED = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!=|!~|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_NAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_QUOTES = {code: f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}" for code in UNSAFE} | {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}
WATCHDOG = "Watchdog"


class Matcher(NamedTuple):
    """A label, one of `=`, `!=`, `=~`, `!~`, and what it is compared with."""

    name: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.value}"

    @property
    def quoted(self) -> str:
        """As a link, a form and Alertmanager have it: quoted as Go does, whatever the value holds."""
        return f'{self.name}{self.operator}"{self.value.translate(_QUOTES)}"'

    def surely_matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it holds for an alert, so far as that is known here; a label that is missing is empty.

        Of expressions only Alertmanager knows: they are RE2's, and Python's could take for ever (`(a+)+$`).
        """
        return "~" not in self.operator and (labels.get(self.name, "") == self.value) == (self.operator == "=")


def parse_matcher(text: str) -> Matcher:
    """`alertname=X`, `component!=y`, `name=~agent.*`; a mere word is an alert's name. Raises `ValueError`."""
    if re.fullmatch(r"[A-Za-z_]\w*", text):
        return Matcher("alertname", "=", text)
    found = _ONE.fullmatch(text)
    if found is None:
        raise ValueError(
            _("{text} is no matcher; write e.g. alertname=DiskSpaceLow or name=~agent.*").format(text=repr(text[:100]))
        )
    return Matcher(found[1], found[2], found[3])


def parse_filter(text: str) -> list[Matcher]:
    """`{alertname="X",device="y"}`, quoted as Go, or JSON, quotes. Raises `ValueError`."""
    if len(text) > MAX_FILTER:
        raise ValueError(_("the filter is longer than {count} characters").format(count=MAX_FILTER))
    inner, matchers, position = text.strip().removeprefix("{").removesuffix("}").rstrip(), [], 0
    while position < len(inner):
        found = _QUOTED.match(inner, position)
        if found is None:
            raise ValueError(
                _("the filter is not understood; write e.g. {example}").format(
                    example='{alertname="DiskSpaceLow",device="edge-1"}'
                )
            )
        matchers.append(Matcher(found[1], found[2], _ESCAPE.sub(_unescape_code, found[3])))
        position = found.end()
    return matchers


def to_filter(matchers: Sequence[Matcher]) -> str:
    """What `parse_filter` reads."""
    return f"{{{','.join(one.quoted for one in matchers)}}}" if matchers else ""


def link_filter(labels: Mapping[str, str]) -> str:
    """What a link to the form asks for: the alert with these labels, encoded. As "vv.url.silence" of the templates."""
    named = sorted((name, value) for name, value in labels.items() if name not in PASSING)
    of_alert = [(name, value) for name, value in named if len(value) <= MAX_LINKED_VALUE]
    by_name = [(name, value) for name, value in named if name in ("alertname", "device")]
    for chosen in (of_alert, by_name):
        query = quote(to_filter([Matcher(name, "=", value) for name, value in chosen]), safe="")
        if len(query) <= MAX_LINKED:
            return query
    return ""


def _unescape_code(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    if code is None:
        return _NAMED.get(found[4], found[4])
    number = int(code, 16)
    return chr(number) if number < 0xD800 or 0xDFFF < number <= 0x10FFFF else "\N{REPLACEMENT CHARACTER}"


def check(matchers: Iterable[Matcher], device: str) -> None:
    """Raises `ValueError`, with the cure, for matchers that no silence must have."""
    matchers = list(matchers)
    if not any(one.value and not one.operator.startswith("!") for one in matchers):
        raise ValueError(_("that would silence everything; name an alert, e.g. alertname=DiskSpaceLow"))
    if len(matchers) > MAX_MATCHERS or any(len(one.value) > MAX_VALUE for one in matchers):
        raise ValueError(
            _("more than {count} matchers, or one longer than {length} characters").format(
                count=MAX_MATCHERS, length=MAX_VALUE
            )
        )
    watchdog = {"alertname": WATCHDOG, "severity": "none", "component": "prometheus", "device": device}
    if all(one.surely_matches(watchdog) for one in matchers):
        raise watchdog_silenced()


def watchdog_silenced() -> ValueError:
    """What is raised for a silence that the Watchdog would have."""
    return ValueError(
        _("that would silence the Watchdog too, and with it the proof that alerts get out; add alertname!=Watchdog")
    )
