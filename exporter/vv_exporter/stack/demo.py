"""`vv up --demo`: the stack, and beside it the example pipeline, in a world of their own."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.settings import load
from vv_exporter.stack.processes import Child
from vv_exporter.stack.up import StackError, run

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "pipeline"
SCAN_LIMIT = "10s"
_MARKER = ".vv-demo"


def run_demo(environ: Mapping[str, str], mode: str) -> None:
    """Run the stack and the example pipeline, with ``faults`` or ``healthy``, until Ctrl-C.

    Everything goes to the folder ``demo`` in ``VV_STATE_DIR``, which is emptied before: alerts of an earlier demo
    would hide those of this one. Raises `StackError` and `SettingsError`.
    """
    if not EXAMPLES.is_dir():
        raise StackError(_("--demo needs a checkout of the repository: the example pipeline is not installed"))
    if importlib.util.find_spec("av") is None:
        raise StackError(_("--demo needs PyAV: {cure}").format(cure="pip install 'vv-exporter[demo]'"))
    folder = Path(environ["VV_STATE_DIR"]) / "demo"
    environment = {**environ, **own_environment(folder)}
    settings = load(environment)
    demo = Child(translatable("the demo"), [sys.executable, EXAMPLES / "demo.py", mode], None, environment)
    with emptied(folder):
        make_key(Path(environment["VV_HMAC_KEY_FILE"]))
        run(settings, environment, demo)


def own_environment(folder: Path) -> dict[str, str]:
    """What the demo must have for itself. Channels and ports stay those of the user."""
    return {
        "VV_STATE_DIR": str(folder),
        "VV_LOG_DIR": str(folder / "logs"),
        "VV_CONFIG": str(EXAMPLES / "vv.yml"),
        "VIDEO_STORAGE_ROOT": str(folder / "videos"),
        "VV_HMAC_KEY_FILE": str(folder / "keys" / "demo.key"),
        "MAX_PROCESSING_TIME_SCAN_VIDEO": SCAN_LIMIT,
    }


def emptied(folder: Path) -> TextIO:
    """Empty a folder that a demo made, or make it; it is ours until what is returned is closed."""
    marker = folder / _MARKER
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(folder.iterdir()) and not marker.exists():
            odd = _("{folder} is not a demo's folder: name another state folder, with --state-dir")
            raise StackError(odd.format(folder=folder))
        lock = marker.open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.set_inheritable(lock.fileno(), True)  # `vv up` becomes another program (`keeper`), and it is still ours
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        (folder / "videos").mkdir()
    except BlockingIOError:
        busy = _("another demo runs in {folder}: stop it first, or name another --state-dir")
        raise StackError(busy.format(folder=folder)) from None
    except OSError as error:
        unfit = _("{folder} cannot be used ({error}): name another --state-dir")
        raise StackError(unfit.format(folder=folder, error=error.strerror)) from error
    return lock


def make_key(path: Path) -> None:
    """Write a new key for signatures, which only its owner can read."""
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
