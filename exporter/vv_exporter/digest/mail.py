"""The digest for people: as text, as HTML, and as a mail that has both.

What stands in it comes from anywhere. In the HTML everything is escaped and nothing is fetched; in the text every name
is one line without control characters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from vv_exporter.common.clock import isoformat, utc
from vv_exporter.digest import Digest
from vv_exporter.digest.uptime import Uptime
from vv_exporter.footage.words import words
from vv_exporter.language import current, decimal, ngettext
from vv_exporter.language import gettext as _
from vv_exporter.state.timeline import shortened
from vv_exporter.status.table import size

TEMPLATES = Path(__file__).with_name("templates")
ROWS = 20  # of each section; the worst come first
MAX_NAME = 160  # characters of a name or error that are shown
MAX_ATTACHED = 4 << 20
"""Bytes of attachments; base64 makes them a third more, and servers take 10 MB at least."""


def subject(found: Digest) -> str:
    """What one learns without opening it."""
    return _("[DIGEST] {device}: {verdict}").format(device=found.device, verdict=verdict(found))


def verdict(found: Digest) -> str:
    """The whole in a line."""
    alerts = found.alerts
    parts = []
    if alerts.began or alerts.still_open:
        severe = ", ".join(f"{count} {severity}" for severity, count in alerts.severities.items())
        began = ngettext("{count} alert", "{count} alerts", alerts.began).format(count=alerts.began)
        parts.append(began + (f" ({severe})" if severe else ""))
    if alerts.still_open:
        parts.append(_("{count} still open").format(count=alerts.still_open))
    missed = sum(job.missed for job in found.jobs)
    if missed:
        parts.append(ngettext("{count} job missed", "{count} jobs missed", missed).format(count=missed))
    given_up = sum(one.given_up for one in found.deliveries)
    if given_up:
        text = ngettext("{count} notification given up", "{count} notifications given up", given_up)
        parts.append(text.format(count=given_up))
    return ", ".join(parts) or _("all quiet")


def text(found: Digest, status_url: str) -> str:
    """For terminals and mail programs without HTML."""
    return _render_template("digest.txt", found, status_url)


def html(found: Digest, status_url: str) -> str:
    """For mail programs, on telephones too."""
    return _render_template("digest.html", found, status_url)


def message(found: Digest, sender: str, to: str, now: float, status_url: str) -> EmailMessage:
    """The mail. Its id follows from the device and the time it is about: sent twice, it is still one mail."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, to, subject(found)
    made["Date"] = format_datetime(utc(now))
    made["Message-ID"] = _message_id(found, sender)
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    made.set_content(text(found, status_url), cte="quoted-printable")
    made.add_alternative(html(found, status_url), subtype="html", cte="quoted-printable")
    return made


def attach(made: EmailMessage, files: Mapping[str, bytes]) -> None:
    """Put JSON documents into the mail, the latest first, as far as mail servers take them."""
    left = MAX_ATTACHED
    for name in sorted(files, reverse=True):
        if len(files[name]) <= left:
            left -= len(files[name])
            made.add_attachment(files[name], maintype="application", subtype="json", filename=name)


def _message_id(found: Digest, sender: str) -> str:
    about = f"{found.device} {found.since:.0f} {found.until:.0f}"
    domain = parseaddr(sender)[1].rpartition("@")[2] or "vv-exporter.invalid"
    return f"<digest-{hashlib.sha256(about.encode()).hexdigest()[:24]}@{domain}>"


def _render_template(name: str, found: Digest, status_url: str) -> str:
    return (
        _template_environment()
        .get_template(name)
        .render(d=found, verdict=verdict(found), status_url=status_url, language=current())
    )


@cache
def _template_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(_, ngettext, newstyle=True)  # type: ignore[attr-defined] # of the extension
    environment.filters |= {
        "utc": lambda time: f"{isoformat(time)[:16].replace('T', ' ')} UTC",
        "span": _duration_text,
        "size": size,
        "subject": _uptime_subject,
        "bold": lambda text: Markup("<b>{}</b>").format(text),
        "isolated": lambda text: Markup("<bdi>{}</bdi>").format(text),
        "percent": _percent_text,
        "cause": words,
        "line": line,
    }
    environment.globals["ROWS"] = ROWS
    return environment


def line(name: str) -> str:
    """A name as one line that cannot reorder what stands beside it."""
    return " ".join(shortened(name, MAX_NAME).split())


def _uptime_subject(one: Uptime) -> str:
    """What was up."""
    return f"{_(one.kind)} {line(one.name)}" if one.name else _(one.kind)


def _duration_text(seconds: float) -> str:
    """A duration in its two largest units: `1h 4m`."""
    rest = round(max(seconds, 0.0))
    parts: list[str] = []
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if part[0] != "0") or "0s"


def _percent_text(ratio: float) -> str:
    """Never 100 % of what was down once."""
    return "100 %" if ratio >= 1 else decimal(f"{min(ratio * 100, 99.9):.1f} %")
