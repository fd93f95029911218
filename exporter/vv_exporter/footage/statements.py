"""The statements of the days that are over: signed, and kept as a file each, as soon as no more footage may come.

A day without an exporter is made up for, as far as a week back. Footage that comes later still changes what
`vv footage statement --day …` says, and not the statement that is kept.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec

from vv_core.common import environment
from vv_core.signing import SigningError, sign_payload
from vv_exporter.common.smallfiles import read_small, write_small
from vv_exporter.common.times import EARLIEST
from vv_exporter.footage.ledger import DAY
from vv_exporter.footage.statement import Statement, day_between, statement
from vv_exporter.settings import Settings
from vv_exporter.state.store import Store

log = logging.getLogger(__name__)

INTERVAL = 600.0
DAYS_BACK = 7
KEEP = 400
"""Statements that are kept: as many days as the ledger has."""
MAX_BYTES = 4 << 20
COMPONENT = "vv-exporter"
_FIRST = EARLIEST + (DAYS_BACK + 2) * DAY / 1000
"""Unix seconds before which no clock is right, and no day is asked for."""


def statement_of(store: Store, settings: Settings, day: str, now: float) -> tuple[Statement, dict[str, Any]]:
    """The statement of a day, and the same as a document, signed where the exporter has a key (what cannot be signed is
    logged). Raises `ValueError` for what is no day."""
    zone, plans = settings.digest_timezone, settings.footage
    found = statement(store, plans, settings.device_id, day, zone, settings.state_dir, now)
    return found, _signed(msgspec.to_builtins(found))


class StatementKeeper:
    """Keeps them in `statements` of the exporter's folder."""

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._empty: set[str] = set()
        """Days of which there is nothing to say."""

    def round(self) -> None:
        """Keep what is final by now, and drop what is too old. Raises `StoreError`."""
        folder, now = statements_folder(self._settings), self._clock()
        if now < _FIRST:  # the clock is not set yet
            return
        yesterday = date.fromisoformat(day_between("yesterday", self._settings.digest_timezone, now)[0])
        days = [(yesterday - timedelta(days=back)).isoformat() for back in range(DAYS_BACK)]
        self._empty.intersection_update(days)
        for day in days:
            if day not in self._empty and not file_of(folder, day).exists():
                self._keep(folder, day, now)

    def _keep(self, folder: Path, day: str, now: float) -> None:
        found, document = statement_of(self._store, self._settings, day, now)
        if not any(camera.expected_seconds or camera.seconds for camera in found.cameras):
            self._empty.add(day)
        elif all(camera.final for camera in found.cameras):
            try:
                folder.mkdir(exist_ok=True)
                write_small(file_of(folder, day), msgspec.json.encode(document), lasting=True)
                for old in sorted(folder.glob("statement-*.json"))[:-KEEP]:
                    old.unlink()
            except OSError as error:
                log.error("the statement of %s cannot be kept, will try again: %s", day, error)


def statements_folder(settings: Settings) -> Path:
    """Where they are kept."""
    return settings.exporter_dir / "statements"


def file_of(folder: Path, day: str) -> Path:
    """The file of a day."""
    return folder / f"statement-{day}.json"


def kept_statements(settings: Settings, since: float, until: float) -> Iterator[tuple[str, bytes, Statement]]:
    """The statements of days that ended between two times, by their files' names, the oldest first; what cannot be read
    is left out."""
    zone, folder = settings.digest_timezone, statements_folder(settings)
    since = max(since, until - KEEP * DAY / 1000, _FIRST)
    if until <= since:
        return
    day = date.fromisoformat(day_between("yesterday", zone, since)[0])
    while (ended := day_between(day.isoformat(), zone, until)[2]) <= until:
        file = file_of(folder, day.isoformat())
        if ended > since:
            with contextlib.suppress(OSError, ValueError, RecursionError, msgspec.ValidationError):
                content = read_small(file, MAX_BYTES)
                yield file.name, content, msgspec.json.decode(content, type=Statement)
        day += timedelta(days=1)


def _signed(document: dict[str, Any]) -> dict[str, Any]:
    if not environment.path("VV_HMAC_KEY_FILE"):
        return document
    try:
        return sign_payload(document, component=COMPONENT)
    except SigningError:
        return document
