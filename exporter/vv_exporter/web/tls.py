"""TLS for cheroot: the handshake is left to a worker thread, and renewed certificates are taken up."""

from __future__ import annotations

import logging
import os
import socket
import ssl
from pathlib import Path
from typing import Any

from cheroot.errors import FatalSSLAlert
from cheroot.makefile import MakeFile

from vv_exporter.web.config import TLSConfig

log = logging.getLogger(__name__)

_PLAIN_HTTP = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nThis server speaks HTTPS only.\n"


class Adapter:
    """Wraps accepted sockets. cheroot's own adapter shakes hands in the accepting thread, where one client that says
    nothing keeps all the others waiting.
    """

    makefile = staticmethod(MakeFile)

    def __init__(self, config: TLSConfig) -> None:
        self._config = config
        self._stamps = _stamps(config)
        self._context = config.context()

    def bind(self, sock: socket.socket) -> socket.socket:
        """The listening socket stays as it is."""
        return sock

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, Any]]:
        """The socket of a new connection, its handshake still to be done, and nothing for the WSGI environment."""
        try:
            return self._current_context().wrap_socket(sock, server_side=True, do_handshake_on_connect=False), {}
        except OSError as error:  # the client is gone already
            raise FatalSSLAlert(*error.args) from error

    def _current_context(self) -> ssl.SSLContext:
        stamps = _stamps(self._config)
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._context = self._config.context()
                log.info("the TLS certificate was read again")
            except ValueError as error:
                log.error("the changed TLS certificate cannot be used, the old one stays: %s", error)
        return self._context


def shake_hands(sock: ssl.SSLSocket) -> None:
    """Do the handshake. Raises `OSError` when it fails; who speaks plain HTTP gets that answer."""
    try:
        sock.do_handshake()
    except ssl.SSLError as error:
        if error.reason == "HTTP_REQUEST":
            socket.socket.send(sock, _PLAIN_HTTP)
        raise


def _stamps(config: TLSConfig) -> list[tuple[int, int, int] | None]:
    return [_file_stamp(path) for path in config.files().values()]


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
