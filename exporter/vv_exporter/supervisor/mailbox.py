"""How `vv containers` and the self-monitor talk: files in `$VV_STATE_DIR/self-monitor`.

`view.json` is what the self-monitor sees. A file in `requests/` is what an operator wants; it vanishes when it is done,
which may be when the self-monitor is next started. Members of the group may write there: what is no request is taken
away, and keeps nothing else from being done.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from vv_core.common import shared, texts
from vv_core.common.ids import uuid7_hex
from vv_exporter.common.smallfiles import read_small, write_small
from vv_exporter.common.untrusted import decode_untrusted
from vv_exporter.installation.rights import PRIVATE_FOLDER

log = logging.getLogger(__name__)

CONTAINER_NAME = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}\Z"
"""Docker's rule (moby, daemon/names), with the longest name that a file may have."""
MAX_LISTED = 10_000  # entries of the mailbox that a round looks at
MAX_TAKEN = 1_000  # …and opens, the oldest requests first
MAX_REQUEST_BYTES = 4096
MAX_VIEW_BYTES = 1 << 20
_UNFINISHED_SECONDS = 60.0  # after which a file that is still being written never will be
_FILE_NAME = re.compile(r"[0-9a-f]{32}\.json")


class Seen(msgspec.Struct, frozen=True):
    """One container in the self-monitor's view. `verdict` says in words how they stand to each other.

    `due` is when it will be restarted or given up (Unix seconds), 0 if it will not.
    """

    name: str
    state: str
    health: str
    in_window: int
    max: int
    gave_up: bool
    verdict: str
    due: float = 0.0


class View(msgspec.Struct, frozen=True):
    """What the self-monitor saw at `checked` (Unix seconds): `boottime` seconds after the device's start `boot`."""

    checked: float
    containers: tuple[Seen, ...]
    boot: str = ""
    boottime: float = 0.0

    def age(self, now: float, boot: str, boottime: float) -> float:
        """Seconds since it looked, however the clock was set meanwhile; one of a time to come is infinitely old."""
        if self.boot and self.boot == boot:
            return max(boottime - self.boottime, 0.0)
        return now - self.checked if self.checked <= now else math.inf


class Request(msgspec.Struct, frozen=True):
    """What an operator wants of the self-monitor."""

    action: Literal["resume", "forget"]
    name: Annotated[str, msgspec.Meta(pattern=CONTAINER_NAME)]


_VIEW = msgspec.json.Decoder(View)
_REQUEST = msgspec.json.Decoder(Request)


class Mailbox:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        self._view = folder / "view.json"
        self._requests = folder / "requests"
        self._problem = ""
        self._passed_over: set[str] = set()
        """What was read once and cannot be deleted: it must not be done again and again."""

    def show(self, view: View) -> None:
        """Replace the view. Raises `OSError`."""
        write_small(self._view, msgspec.json.encode(view))

    def view(self) -> View | None:
        """The latest view, None if there is none that can be understood. Raises `PermissionError`."""
        try:
            return decode_untrusted(_VIEW, read_small(self._view, MAX_VIEW_BYTES))
        except PermissionError:
            raise
        except (OSError, msgspec.MsgspecError):
            return None

    def ask(self, request: Request) -> Path:
        """Leave a request; its file is gone when it is done. A power cut does not take it back.

        For root and the self-monitor's own user.

        Raises `OSError`.
        """
        shared.make_folder(str(self._requests), PRIVATE_FOLDER)
        path = self._requests / f"{uuid7_hex()}.json"
        write_small(path, msgspec.json.encode(request), lasting=True)
        return path

    def requests(self) -> Iterator[tuple[Path, Request]]:
        """What is wanted, the oldest first; the caller says what is `done`. Raises nothing."""
        strangers: dict[str, str] = {}
        for name in self._waiting_requests():
            path = self._requests / name
            try:
                request = decode_untrusted(_REQUEST, read_small(path, MAX_REQUEST_BYTES))
            except FileNotFoundError:
                continue
            except (OSError, msgspec.MsgspecError) as error:
                strangers[name] = texts.line(getattr(error, "strerror", None) or error, 200)
                self._take_away(path)
            else:
                yield path, request
        self._log_problem_once(_strangers_text(strangers))

    def done(self, path: Path) -> None:
        """The request in this file is done: delete it. Raises nothing."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._passed_over.add(path.name)
            log.error("%s is done, and cannot be deleted: %s", path, error.strerror)

    def _waiting_requests(self) -> list[str]:
        """The names of what is to be taken now: requests before all else, the oldest first."""
        try:
            with os.scandir(self._requests) as found:
                names = {entry.name for entry in islice(found, MAX_LISTED) if _is_due(entry)}
        except FileNotFoundError:
            return []
        except OSError as error:
            self._log_problem_once(f"{self._requests} cannot be read: {error.strerror}")
            return []
        self._passed_over &= names
        due = names - self._passed_over
        return sorted(due, key=lambda name: (not _FILE_NAME.fullmatch(name), name))[:MAX_TAKEN]

    def _take_away(self, path: Path) -> None:
        """Delete it, or pass over it from now on."""
        try:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        except OSError:
            self._passed_over.add(path.name)

    def _log_problem_once(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.error("%s", problem)
        self._problem = problem


def _is_due(entry: os.DirEntry[str]) -> bool:
    """Hidden files are being written, and become requests, unless their writer was killed."""
    if not entry.name.startswith("."):
        return True
    try:
        return abs(time.time() - entry.stat(follow_symlinks=False).st_mtime) > _UNFINISHED_SECONDS
    except OSError:
        return False


def _strangers_text(strangers: dict[str, str]) -> str:
    """One line, however many there are: others decide how many."""
    if not strangers:
        return ""
    name, why = next(iter(strangers.items()))
    more = f", nor are {len(strangers) - 1} more" if len(strangers) > 1 else ""
    return f"in requests/ {texts.path(name, 200)} is no request{more}: {why}"
