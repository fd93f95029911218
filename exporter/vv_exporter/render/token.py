"""The token with which Alertmanager shows the exporter who it is."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from vv_core import _shared
from vv_exporter.rights import PRIVATE_FILE, PRIVATE_FOLDER
from vv_exporter.settings import Settings

NAME = "alertmanager-token"


def ensure_token(settings: Settings) -> Path:
    """The file (mode 0600) that holds the token, made once: `render` and the exporter find the same, whoever is first.

    Raises `OSError` where it can be neither read nor made.
    """
    path = settings.exporter_dir / NAME
    if path.exists() and not path.stat().st_size:  # a full disk, or a power cut: it would let everybody in
        path.unlink()
    if not path.exists():
        _shared.make_folder(str(path.parent), PRIVATE_FOLDER)
        _create(path, secrets.token_urlsafe(32))
    return path


def _create(path: Path, token: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = _shared.open_file(str(temporary), os.O_WRONLY | os.O_EXCL, PRIVATE_FILE)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link never replaces the token of somebody who was faster.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
