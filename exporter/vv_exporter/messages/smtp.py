"""The one client for mail, of alerts that are sent directly and of the digest.

As Alertmanager does with the same settings, port 465 is TLS from the start and others get STARTTLS. Two things hold
whatever the settings say: a certificate is checked wherever there is TLS, and no password is sent without TLS.
"""

from __future__ import annotations

import base64
import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import getaddresses

from vv_core.common import texts
from vv_exporter.settings import Settings

TIMEOUT_SECONDS = 20.0
"""To connect, and for each answer."""
IMPLICIT_TLS_PORT = 465
MAX_ANSWER_BYTES = 200
"""Of what a server says; more is cut off."""

_PERMANENT = 500


class MailError(Exception):
    """The mail was not taken; the text is one line and holds no secret. `status` is SMTP's, 0 where there was none.

    `refused` says that it is this very text that is not taken for good: it is too long, or taken for spam.
    """

    def __init__(self, text: str, status: int = 0, *, refused: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.refused = refused


def send(message: EmailMessage, settings: Settings) -> list[str]:
    """Send it to all receivers; gives those that the server refused. Raises `MailError` if it took it for nobody."""
    receivers = [address for _, address in getaddresses([settings.alert_email_to]) if address]
    with _translated_errors(settings), _connected_server(settings) as server:
        if settings.smtp_username:
            server.login(settings.smtp_username, settings.smtp_password.value)
        refused = server.send_message(message, to_addrs=receivers)
    return [_one_line(address, settings) for address in refused]


@contextlib.contextmanager
def _connected_server(settings: Settings) -> Iterator[smtplib.SMTP]:
    host, _, port = settings.smtp_smarthost.rpartition(":")
    server = _connect_server(host.strip("[]"), int(port), settings)
    try:
        yield server
        # The mail is taken. A server that now says no, or nothing, must not have it sent again.
        with contextlib.suppress(smtplib.SMTPException, OSError):
            server.quit()
    finally:
        server.close()


def _connect_server(host: str, port: int, settings: Settings) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if port == IMPLICIT_TLS_PORT:
        return smtplib.SMTP_SSL(host, port, local_hostname="localhost", timeout=TIMEOUT_SECONDS, context=context)
    server = smtplib.SMTP(host, port, local_hostname="localhost", timeout=TIMEOUT_SECONDS)
    try:
        if settings.mail_needs_tls:
            server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


@contextlib.contextmanager
def _translated_errors(settings: Settings) -> Iterator[None]:
    """Turn what can go wrong into a `MailError`; the causes are left out, they may hold the password."""
    try:
        yield
    except smtplib.SMTPNotSupportedError as error:
        raise MailError(_unsupported_text(error, settings)) from None
    except smtplib.SMTPAuthenticationError as error:
        raise MailError(f"refused user and password ({error.smtp_code})", error.smtp_code) from None
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        names = _one_line(", ".join(error.recipients), settings)
        raise MailError(f"refused {names}: {code} {_one_line(text, settings)}", code) from None
    except smtplib.SMTPResponseException as error:
        answer = _one_line(error.smtp_error, settings)
        refused = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= _PERMANENT
        raise MailError(f"answered {error.smtp_code}: {answer}", error.smtp_code, refused=refused) from None
    except smtplib.SMTPServerDisconnected:
        raise MailError("closed the connection") from None
    except smtplib.SMTPException as error:
        raise MailError(_one_line(str(error), settings)) from None
    except ssl.SSLCertVerificationError as error:
        raise MailError(f"its certificate is not trusted ({error.verify_message}); nothing was sent") from None
    except OSError as error:
        raise MailError(f"no connection ({error.strerror or type(error).__name__})") from None
    except ValueError as error:  # an address or a password with characters that mail does not know
        raise MailError(f"SMTP_*: a value cannot be sent ({type(error).__name__})") from None


def _unsupported_text(error: Exception, settings: Settings) -> str:
    if "STARTTLS" not in str(error):
        return _one_line(str(error), settings)
    reason = "no password is sent without TLS" if settings.smtp_username else "SMTP_REQUIRE_TLS"
    return f"offers no STARTTLS, and nothing was sent without it ({reason}); use its port with TLS, 465"


def _one_line(text: bytes | str, settings: Settings) -> str:
    """What a server said, without the password, which it may repeat in any form that it was sent in."""
    shown = text.decode(errors="replace") if isinstance(text, bytes) else text
    user, password = settings.smtp_username, settings.smtp_password.value
    for secret in (password, *(_encode_base64(form) for form in (password, f"\0{user}\0{password}") if password)):
        if secret:
            shown = shown.replace(secret, "(hidden)")
    return " ".join(texts.line(shown, MAX_ANSWER_BYTES).split())


def _encode_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
