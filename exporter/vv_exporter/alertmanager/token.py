"""The token with which Alertmanager shows the exporter who it is."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from pathlib import Path

from vv_core.common import shared
from vv_exporter.common.smallfiles import make_way, read_small, set_aside
from vv_exporter.installation.rights import PRIVATE_FILE, PRIVATE_FOLDER
from vv_exporter.settings import Settings

NAME = "alertmanager-token"
MAX_BYTES = 4096
_TOKEN = re.compile(r"[!-~]+")


def read_token(settings: Settings) -> str:
    """The token: `render` and the exporter find the same, whoever is first. Raises `OSError` as `ensure_token` does."""
    return _token_in(ensure_token(settings))


def ensure_token(settings: Settings) -> Path:
    """The file (mode 0600) that holds the token, made once.

    What is no token (an empty file would let in everybody) is set aside and made anew; Alertmanager knows the new one
    when its configuration was rendered again. Raises `OSError` where it can be neither read nor made.
    """
    path = settings.exporter_dir / NAME
    shared.make_folder(str(path.parent), PRIVATE_FOLDER)
    for _ in range(2):
        make_way(path)
        if not path.exists():
            _create_token_file(path, secrets.token_urlsafe(32))
        if _token_in(path):
            return path
        set_aside(path, "holds no token")
    raise OSError(f"{path} holds no token")


def _token_in(path: Path) -> str:
    """Nothing if that is no token. Raises `OSError` if the file cannot be read."""
    try:
        text = read_small(path, MAX_BYTES).decode("ascii", "replace").strip()
    except OSError as error:
        if error.errno == errno.EFBIG:
            return ""
        raise
    return text if _TOKEN.fullmatch(text) else ""


def _create_token_file(path: Path, token: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = shared.open_file(str(temporary), os.O_WRONLY | os.O_EXCL, PRIVATE_FILE)
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
