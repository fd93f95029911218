"""A fleet's key, and an HTTPS server that has its signed configuration, or whatever else is to be tried."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.certificates import Certificates
from vv_exporter.fleet import ed25519
from vv_exporter.fleet.config_document import Document, Release, Signed, join_signed, write_document


class FleetKey:
    """A key of `vv fleet keygen` in a folder."""

    def __init__(self, file: Path) -> None:
        self.file = file
        ed25519.make_private_key(file)
        self.public = ed25519.public_key(file)

    def sign(self, document: bytes) -> bytes:
        return join_signed(Signed(ed25519.sign(self.file, document), document))

    def signed(self, *releases: Release) -> bytes:
        return self.sign(write_document(Document(1, releases)))


class Centre:
    """What the server has: `file`, answered with `status`, these headers, or by what `answer` does instead."""

    def __init__(self) -> None:
        self.file = b""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.answer: Any = None
        self.asked: list[dict[str, str]] = []
        self.released = threading.Event()  # set at the end: whoever hangs may go on
        self.url = ""


@contextmanager
def serving(certificates: Certificates | None) -> Iterator[Centre]:
    """A centre on loopback: HTTPS by these certificates, or plain HTTP."""
    centre = Centre()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            centre.asked.append(dict(self.headers))
            if centre.answer is not None:
                centre.answer(self)
                return
            etag = centre.headers.get("ETag")
            unchanged = etag is not None and self.headers.get("If-None-Match") == etag
            self.send_response(304 if unchanged else centre.status)
            for name, value in centre.headers.items():
                self.send_header(name, value)
            if not unchanged:
                self.send_header("Content-Length", str(len(centre.file)))
            self.end_headers()
            if not unchanged:
                self.wfile.write(centre.file)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign, assignment]
    server.daemon_threads = True
    if certificates is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates.certificate("server"), certificates.key("server"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    centre.url = f"{'https' if certificates else 'http'}://127.0.0.1:{server.server_address[1]}/vv.signed"
    try:
        yield centre
    finally:
        centre.released.set()
        server.shutdown()
        server.server_close()
