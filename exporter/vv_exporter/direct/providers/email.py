"""E-mail, by SMTP: STARTTLS, or TLS from the beginning on port 465, as Alertmanager does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vv_exporter.direct.message import Message, line, plain
from vv_exporter.direct.providers import Answer, ProviderError
from vv_exporter.direct.providers._http import hidden
from vv_exporter.settings import Settings

if TYPE_CHECKING:
    from email.message import EmailMessage

TIMEOUT = 10.0  # seconds for each step


class Email:
    """Sends mails as the settings say."""

    name = "email"
    title = "e-mail"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._password = settings.smtp_password.value

    def send(self, message: Message) -> Answer:
        """Send one mail to all receivers."""
        import smtplib

        try:
            return self._sent(message)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise ProviderError(f"answered {code}: {self._hidden(text)}", code) from None
        except smtplib.SMTPResponseException as error:
            said = f"answered {error.smtp_code}: {self._hidden(error.smtp_error)}"
            # A permanent answer to the text itself: too long, or taken for spam.
            refused = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
            raise ProviderError(said, error.smtp_code, refused=refused) from None
        except smtplib.SMTPException as error:
            raise ProviderError(self._hidden(str(error))) from None
        except OSError as error:
            raise ProviderError(f"no connection ({error.strerror or type(error).__name__})") from None

    test = send

    def _sent(self, message: Message) -> Answer:
        import smtplib
        import ssl

        settings = self._settings
        host, _, port = settings.smtp_smarthost.rpartition(":")
        if port == "465":
            client: smtplib.SMTP = smtplib.SMTP_SSL(host.strip("[]"), 465, timeout=TIMEOUT)
        else:
            client = smtplib.SMTP(host.strip("[]"), int(port), timeout=TIMEOUT)
        with client:
            client.ehlo()
            if port != "465" and (settings.smtp_require_tls == "true" or client.has_extn("starttls")):
                client.starttls(context=ssl.create_default_context())
                client.ehlo()
            if settings.smtp_username:
                client.login(settings.smtp_username, self._password)
            client.send_message(self._mail(message))
        return Answer(250, "taken")

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

    def _hidden(self, text: bytes | str) -> str:
        return hidden(text.decode(errors="replace") if isinstance(text, bytes) else text, (self._password,))


def build(settings: Settings) -> Email | None:
    """The channel, if it is configured."""
    return Email(settings) if settings.smtp_smarthost and settings.alert_email_to else None
