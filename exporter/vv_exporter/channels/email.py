"""E-mail, by SMTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vv_exporter.channels import Answer, ProviderError
from vv_exporter.messages.message import Message, line, plain
from vv_exporter.settings import Settings

if TYPE_CHECKING:
    from email.message import EmailMessage

ADDRESSED_BY = ("smtp_smarthost", "smtp_from", "smtp_username", "smtp_password", "smtp_require_tls", "alert_email_to")


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
            refused = smtp.send(self._mail(message), self._settings)
        except smtp.MailError as error:
            raise ProviderError(str(error), error.status, refused=error.refused) from None
        return Answer(250, f"taken, but not for {', '.join(refused)}" if refused else "taken")

    test = send

    def _mail(self, message: Message) -> EmailMessage:
        from email.message import EmailMessage
        from email.utils import formatdate, make_msgid

        mail = EmailMessage()
        mail["From"] = self._settings.smtp_from
        mail["To"] = self._settings.alert_email_to
        mail["Subject"] = line(f"[{message.status}] {message.title} on {message.device}", 150)
        mail["Date"] = formatdate(usegmt=True)
        mail["Message-Id"] = make_msgid(domain="vv-exporter.invalid")
        mail.set_content(plain(message))
        return mail


def build(settings: Settings) -> Email | None:
    """The channel, if it is configured."""
    return Email(settings) if settings.smtp_smarthost and settings.alert_email_to else None
