"""Real mail servers with TLS, users and passwords."""

from __future__ import annotations

import re
import ssl
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.support.certificates import Certificates
from tests.support.ports import free_port

USER, PASSWORD = "vv", "s3cret-of-the-mail"


class StrictMailServer:
    """A mail server on loopback that takes one password, and knows those whose addresses match `addresses`.

    With a `certificate` of `certificates` it has TLS: from the start if `implicit`, else by STARTTLS. `logins` has what
    it was sent of passwords, in clear or not; `quits` are its answers to QUIT.
    """

    def __init__(
        self,
        certificates: Certificates | None = None,
        certificate: str = "server",
        *,
        implicit: bool = False,
        addresses: str = r".*",
        farewell: str = "221 Bye",
    ) -> None:
        self.received: list[bytes] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.secure: list[bool] = []
        """Of each message, whether it came by TLS."""
        self._addresses = re.compile(addresses)
        self._farewell = farewell
        context = None
        if certificates:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificates.certificate(certificate), certificates.key(certificate))
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=free_port(),
            ready_timeout=30,
            ssl_context=context if implicit else None,
            tls_context=None if implicit else context,
            authenticator=self._authenticate,
            auth_require_tls=False,  # it would take a password in clear, and tell
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._controller.port)

    @property
    def smarthost(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

    async def handle_RCPT(  # noqa: N802 - its name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        """Called with each receiver."""
        if not self._addresses.fullmatch(address):
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - its name
        """Called with each message."""
        self.received.append(envelope.content)
        self.secure.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 OK"

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - its name
        """Called at the end."""
        return self._farewell
