"""E-mail, by SMTP."""

import re
from collections.abc import Iterator

from vv_exporter.render.channels import Channel, Entry
from vv_exporter.settings import Settings

_SMARTHOST = re.compile(r"([^\s/:]+|\[[0-9A-Fa-f:]+\]):\d{1,5}")
_LOGIN = ("auth_username", "auth_password_file")


def _adapt(entry: Entry, settings: Settings) -> Entry:
    adapted = entry | {
        "to": settings.alert_email_to,
        "from": settings.smtp_from,
        "smarthost": settings.smtp_smarthost,
        "require_tls": settings.mail_needs_tls,
    }
    if settings.smtp_username:
        return adapted | {"auth_username": settings.smtp_username}
    return {key: value for key, value in adapted.items() if key not in _LOGIN}


def _problems(settings: Settings) -> Iterator[str]:
    if settings.smtp_smarthost and not _SMARTHOST.fullmatch(settings.smtp_smarthost):
        yield f"SMTP_SMARTHOST: {settings.smtp_smarthost!r} is not host:port; e.g. mail.example.org:587"
    if settings.smtp_username and not settings.smtp_password:
        yield "SMTP_PASSWORD: is not set, but SMTP_USERNAME is; set both or neither"
    if settings.smtp_password and not settings.smtp_username:
        yield "SMTP_USERNAME: is not set, but SMTP_PASSWORD is; set both or neither"


CHANNEL = Channel(
    title="e-mail",
    needs="SMTP_SMARTHOST, SMTP_FROM, ALERT_EMAIL_TO",
    secrets={"smtp-password": lambda settings: settings.smtp_password},
    configured=lambda settings: bool(settings.smtp_smarthost),
    adapt=_adapt,
    problems=_problems,
)
