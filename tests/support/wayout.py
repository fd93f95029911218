"""A way out of a network that has none: an HTTP proxy that listens there and connects from here."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from tests.support.engine import Engine

_TIMEOUT_SECONDS = 120


@contextlib.contextmanager
def proxy_for(engine: Engine) -> Iterator[dict[str, str]]:
    """Run the proxy where containers with the Engine's network reach it; yields the variables that lead to it."""
    server = engine.inside(lambda: ThreadingHTTPServer(("127.0.0.1", 0), _Proxy))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield {"HTTP_PROXY": url, "HTTPS_PROXY": url}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Proxy(BaseHTTPRequestHandler):
    """RFC 9110, 9.3.6 (CONNECT) and RFC 9112, 3.2.2 (absolute addresses)."""

    def do_CONNECT(self) -> None:
        self.close_connection = True
        host, _, port = self.path.rpartition(":")
        try:
            there = socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT_SECONDS)
        except OSError as error:
            self.send_error(502, str(error))
            return
        with there:
            self.send_response(200)
            self.end_headers()
            _join(self.connection, there)

    def do_GET(self) -> None:
        kept = {name: self.headers[name] for name in ("Accept", "User-Agent") if name in self.headers}
        answer = requests.get(self.path, headers=kept, timeout=_TIMEOUT_SECONDS)
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/octet-stream"))
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either says until one of them has ended."""
    beyond = {one: other, other: one}
    while ready := select.select([one, other], [], [], _TIMEOUT_SECONDS)[0]:
        for side in ready:
            data = side.recv(65536)
            if not data:
                return
            beyond[side].sendall(data)
