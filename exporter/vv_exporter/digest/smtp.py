"""Sends a mail as Alertmanager would with the same settings: port 465 is TLS from the start, others get STARTTLS."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import getaddresses

from vv_exporter.settings import Settings
from vv_exporter.timeline import shortened

TIMEOUT = 30.0  # seconds to connect, and for each answer
IMPLICIT_TLS = 465
_LOCAL = ("localhost", "127.0.0.1", "::1")


class MailError(Exception):
    """The mail was not taken; the text is one line and holds no secret."""


def send(message: EmailMessage, settings: Settings) -> list[str]:
    """Send it to all receivers; gives those that the server refused. Raises `MailError` if it took it for nobody."""
    host, _, port = settings.smtp_smarthost.rpartition(":")
    try:
        with _connected(host.strip("[]"), int(port), settings) as server:
            if settings.smtp_username:
                server.login(settings.smtp_username, settings.smtp_password.value)
            receivers = [address for _, address in getaddresses([settings.alert_email_to]) if address]
            refused = server.send_message(message, to_addrs=receivers)
    except MailError:
        raise
    except smtplib.SMTPAuthenticationError as error:
        raise MailError(f"{settings.smtp_smarthost} refused user and password ({error.smtp_code})") from None
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise MailError(f"{settings.smtp_smarthost} answered {error.smtp_code} {_line(str(text))}") from None
    except smtplib.SMTPRecipientsRefused as error:
        raise MailError(f"{settings.smtp_smarthost} refused {', '.join(map(_line, error.recipients))}") from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise MailError(f"{settings.smtp_smarthost}: {type(error).__name__}") from None
    return [_line(address) for address in refused]


def _connected(host: str, port: int, settings: Settings) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if port == IMPLICIT_TLS:
        return smtplib.SMTP_SSL(host, port, local_hostname="localhost", timeout=TIMEOUT, context=context)
    server = smtplib.SMTP(host, port, local_hostname="localhost", timeout=TIMEOUT)
    try:
        if settings.smtp_require_tls == "true":
            server.starttls(context=context)
        elif settings.smtp_username and host not in _LOCAL:
            raise MailError("SMTP_REQUIRE_TLS: is false, and no password is sent without TLS; set it to true")
    except BaseException:
        server.close()
        raise
    return server


def _line(text: str) -> str:
    return " ".join(shortened(text, 200).split())
