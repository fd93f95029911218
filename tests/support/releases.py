"""A server with release archives at the addresses that GitHub has."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from vv_exporter.stack.releases import Release


class ReleaseServer:
    """A server with what is put there, and nothing else."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: int | None = None
        """After how many bytes it breaks off."""
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                content = server.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: server.cut])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/prometheus"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def put(self, release: Release, architecture: str, content: bytes) -> Release:
        """At its address; the release with this content's SHA-256."""
        path = f"{release.project}/releases/download/v{release.version}/{release.stem(architecture)}.tar.gz"
        self.files[f"/prometheus/{path}"] = content
        return replace(release, sha256=dict(release.sha256) | {architecture: hashlib.sha256(content).hexdigest()})


def packed(stem: str, programs: Mapping[str, bytes], level: int = 1) -> bytes:
    """As upstream packs them: a folder, with more in it than programs. Level 0 takes no time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=level) as tar:
        for name, content in {**programs, "LICENSE": b"words"}.items():
            entry = tarfile.TarInfo(f"{stem}/{name}")
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
