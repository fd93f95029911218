"""E-mail, by SMTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vv_exporter.channels import Answer, Channel, Entry, ProviderError
from vv_exporter.language import gettext as _
from vv_exporter.messages.message import Message, line, plain
from vv_exporter.settings import Settings

if TYPE_CHECKING:
    from email.message import EmailMessage

_SMARTHOST = re.compile(r"([^\s/:]+|\[[0-9A-Fa-f:]+\]):\d{1,5}")
_NEEDED = ("smtp_smarthost", "smtp_from", "alert_email_to")
_LOGIN = ("auth_username", "auth_password_file")


class Email:
    """Sends mails as the settings say."""

    name = "email"
    title = "e-mail"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def send(self, message: Message) -> Answer:
        """Send one mail to all receivers."""
        from vv_exporter.messages import smtp

        try:
            refused = smtp.send(self._build_mail(message), self._settings)
        except smtp.MailError as error:
            raise ProviderError(str(error), error.status, refused=error.refused) from None
        return Answer(250, f"taken, but not for {', '.join(refused)}" if refused else "taken")

    test = send

    def _build_mail(self, message: Message) -> EmailMessage:
        from email.message import EmailMessage
        from email.utils import formatdate, make_msgid

        mail = EmailMessage()
        mail["From"] = self._settings.smtp_from
        mail["To"] = self._settings.alert_email_to
        mail["Subject"] = line(
            _("{title} on {device}").format(title=f"[{message.status}] {message.title}", device=message.device), 150
        )
        mail["Date"] = formatdate(usegmt=True)
        mail["Message-Id"] = make_msgid(domain="vv-exporter.invalid")
        mail.set_content(plain(message))
        return mail


def _adapt_entry(entry: Entry, settings: Settings) -> Entry:
    adapted = entry | {
        "to": settings.alert_email_to,
        "from": settings.smtp_from,
        "smarthost": settings.smtp_smarthost,
        "require_tls": settings.mail_needs_tls,
    }
    if settings.smtp_username:
        return adapted | {"auth_username": settings.smtp_username}
    return {key: value for key, value in adapted.items() if key not in _LOGIN}


def _find_problems(settings: Settings) -> Iterator[str]:
    if settings.smtp_smarthost and not _SMARTHOST.fullmatch(settings.smtp_smarthost):
        yield f"SMTP_SMARTHOST: {settings.smtp_smarthost!r} is not host:port; e.g. mail.example.org:587"
    if settings.smtp_username and not settings.smtp_password:
        yield "SMTP_PASSWORD: is not set, but SMTP_USERNAME is; set both or neither"
    if settings.smtp_password and not settings.smtp_username:
        yield "SMTP_USERNAME: is not set, but SMTP_PASSWORD is; set both or neither"


CHANNEL = Channel(
    name=Email.name,
    title=Email.title,
    kind="mail",
    needs=_NEEDED,
    build=Email,
    addressed_by=(*_NEEDED, "smtp_username", "smtp_password", "smtp_require_tls"),
    secrets={"smtp-password": lambda settings: settings.smtp_password},
    adapt=_adapt_entry,
    problems=_find_problems,
)
