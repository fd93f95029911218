"""What is sent to people directly, and how it is cut and written for each kind of channel.

Texts may come from anywhere: a log, a file's name, an exception. Each one is cleaned of control characters, cut, and
escaped for its destination, cut before escaping. The budgets are those of `alertmanager/templates/`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from vv_exporter.common.clock import isoformat
from vv_exporter.common.times import UnixTime
from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.state.timeline import shortened

MAX_TITLE = 200
MAX_DETAILS = 2000
MAX_ACTIONS = 1200

SEVERITY = translatable("Severity")
DEVICE = translatable("Device")
COMPONENT = translatable("Component")
VIDEO = translatable("Video")
ERROR = translatable("Error")
SINCE = translatable("Since")
ALERT_ID = translatable("Alert id")
WHAT_TO_DO = translatable("What to do")


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message. `key` names its subject at pagers; `time` is in Unix seconds; `note` says why it comes this way."""

    key: str
    title: str
    severity: str
    device: str
    component: str
    time: UnixTime
    alert_id: str
    alertname: str = "VVEvent"
    details: str = ""
    suggested_actions: str = ""
    note: str = ""
    video: str = ""
    video_sha256: str = ""
    runbook_url: str = ""
    silence_url: str = ""
    status_url: str = ""
    resolved: bool = False

    @property
    def status(self) -> str:
        """The first word."""
        return _("RESOLVED") if self.resolved else self.severity.upper()

    @property
    def since(self) -> str:
        """When it began, RFC 3339."""
        return isoformat(self.time)

    def links(self) -> list[tuple[str, str]]:
        """(name, address) of each there is."""
        every = (
            (_("Runbook"), self.runbook_url),
            (_("Silence"), self.silence_url),
            (_("Status page"), self.status_url),
        )
        return [(name, url) for name, url in every if url]


def line(text: str, most: int) -> str:
    """At most so many characters, in one line."""
    return shortened(" ".join(text.split()), most)


def fitted(text: str, most: int, escape: Callable[[str], str], size: Callable[[str], int]) -> str:
    """The longest beginning of a text whose escaped form has at most the size `most`, escaped."""
    whole = escape(text)
    if size(whole) <= most:
        return whole
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if size(escape(text[:middle])) < most:
            low = middle
        else:
            high = middle - 1
    return escape(text[:low]) + "…"


def plain(message: Message) -> str:
    """The whole message as text of several lines."""
    lines = [
        f"{message.status}: {line(message.title, MAX_TITLE)}",
        "",
        f"{_(SEVERITY)}: {message.severity.upper()}",
        f"{_(DEVICE)}: {line(message.device, 100)}",
        f"{_(COMPONENT)}: {line(message.component, 100)}",
        "",
    ]
    lines += [text for text in (shortened(message.details, MAX_DETAILS), shortened(message.note, 300)) if text]
    lines += [f"{_(VIDEO)}: {line(message.video, 200)}"] if message.video else []
    lines += [f"SHA-256: {line(message.video_sha256, 64)}"] if message.video_sha256 else []
    lines += [f"{_(SINCE)}: {message.since}", f"{_(ALERT_ID)}: {line(message.alert_id, 64)}", ""]
    if message.suggested_actions and not message.resolved:
        lines += [f"{_(WHAT_TO_DO)}:", shortened(message.suggested_actions, MAX_ACTIONS), ""]
    lines += [f"{name}: {url}" for name, url in message.links()]
    return "\n".join(lines)
