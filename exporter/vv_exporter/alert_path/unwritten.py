"""The exporter cannot write what it knows: the disk of its state is full, read-only, or broken.

People are told directly. No rule could say so: Prometheus and Alertmanager mostly have their data on the same disk, and
the exporter cannot write down that there is something to announce. So the message goes out of memory (`unsaved`). What
is over within `LASTS_SECONDS` is not announced, and a disk on which now and then a write succeeds only once; after a
restart of the exporter meanwhile it is announced again, for nothing is remembered.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from vv_exporter.alert_path.direct_alerts import put_event
from vv_exporter.common.clock import span
from vv_exporter.common.times import UnixTime
from vv_exporter.delivery.direct import put
from vv_exporter.language import gettext as _
from vv_exporter.language.sentences import sentence
from vv_exporter.messages.message import Message
from vv_exporter.render.commands import Commands
from vv_exporter.settings import Settings
from vv_exporter.state.database import StoreError, has_room
from vv_exporter.state.store import Kind, Store
from vv_exporter.state.timeline import Entry, add_to_timeline

log = logging.getLogger(__name__)

STATE_NOT_WRITABLE = "StateNotWritable"
INTERVAL_SECONDS = 5.0  # between rounds
LASTS_SECONDS = 30.0


class Tried(msgspec.Struct, frozen=True):
    """When it was last tried to write, after a failure, in Unix seconds."""

    at: UnixTime


TRIED: Kind[Tried] = Kind("write_tried", Tried)


class UnwrittenState:
    """Call `round` every `INTERVAL_SECONDS`. `hold` gets what is to be sent although it cannot be written down."""

    def __init__(
        self,
        store: Store,
        channels: Sequence[str],
        settings: Settings,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        hold: Callable[[Message], None],
    ) -> None:
        self._store = store
        self._channels = channels
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._hold = hold
        self._since: float | None = None
        self._well_since: float | None = None
        self._announced: Message | None = None

    def round(self) -> None:
        """Announce that nothing can be written, or can again. In health nothing is written."""
        error = self._store.unwritable
        if error or self._announced is not None:
            self._try_to_write()
        if self._store.unwritable:
            self._well_since = None
            self._note_failure(self._store.unwritable)
        else:
            self._since = None
            self._note_success()

    def _try_to_write(self) -> None:
        try:
            with self._store.transaction() as tx:
                tx.put(TRIED, "", Tried(tx.now))
        except StoreError as error:
            log.debug("nothing can be written yet: %s", error)

    def _note_failure(self, error: str) -> None:
        now = self._monotonic()
        if self._since is None:
            self._since = now
        if self._announced is None and now - self._since >= LASTS_SECONDS:
            self._announced = message_of(error, self._settings, self._clock())
            log.critical("%s: %s", self._announced.title, error)
            self._hold(self._announced)

    def _note_success(self) -> None:
        now = self._monotonic()
        if self._well_since is None:
            self._well_since = now
        if self._announced is None or now - self._well_since < LASTS_SECONDS:
            return
        over = msgspec.structs.replace(
            self._announced,
            title=_("The exporter's state can be written again"),
            details=_("What could not be written down meanwhile is counted now, or was counted as dropped."),
            suggested_actions="",
            time=self._clock(),
            resolved=True,
        )
        labels = {name: getattr(over, name) for name in ("alertname", "severity", "device", "component")}
        lasted = span(over.time - self._announced.time)
        entry = Entry(
            "state.unwritable",
            sentence("The exporter could write nothing down for {time}", time=lasted),
            "critical",
            over.component,
            details=self._announced.details,
        )
        with self._store.transaction() as tx:
            put(tx, over, self._channels)
            for message in (self._announced, over):  # the webhook has got nothing yet
                put_event(tx, message, labels, self._settings)
            add_to_timeline(tx, tx.now, entry)
        self._announced = None


def message_of(error: str, settings: Settings, time: float) -> Message:
    """What people are told; `error` is what the database said."""
    folder, typed = settings.state_dir, shlex.quote(str(settings.state_dir))
    is_full = not _has_room(settings.exporter_dir / "state.db")
    title = (_("The disk of {folder} is full") if is_full else _("The exporter cannot write to {folder}")).format(
        folder=folder
    )
    lines = (
        _("See how full it is: {command}").format(command=f"`df -h {typed}; df -i {typed}`"),
        _("Find what is large: {command}").format(command=f"`du -xh --max-depth=2 {typed} | sort -rh | head -n 20`"),
        _("See how it is mounted: {command}").format(command=f"`findmnt --target {typed}`"),
        _("See what the kernel says of the disk: {command}").format(command="`dmesg --level=err,warn | tail -n 30`"),
    )
    return Message(
        key=f"{settings.device_id}-{STATE_NOT_WRITABLE}",
        title=title,
        severity="critical",
        device=settings.device_id,
        component="exporter",
        time=time,
        alert_id=f"{STATE_NOT_WRITABLE}-{time:.0f}",
        alertname=STATE_NOT_WRITABLE,
        details=_(
            "The exporter has not been able to write down anything for half a minute: {error}. Until it can, nothing "
            "new is counted and alerts of scripts wait; where Prometheus and Alertmanager are on the same disk, rules "
            "tell nobody anything either."
        ).format(error=error),
        suggested_actions=Commands(settings).here("\n".join(f"{n}. {text}" for n, text in enumerate(lines, 1))),
        runbook_url=settings.runbook(STATE_NOT_WRITABLE),
        silence_url=settings.silence_url({"alertname": STATE_NOT_WRITABLE, "device": settings.device_id}),
        status_url=f"{settings.public_url}/",
    )


def _has_room(database: Path) -> bool:
    try:
        return has_room(database)
    except OSError:
        return True
