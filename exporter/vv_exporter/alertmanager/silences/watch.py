"""Puts silences on the timeline, whoever made them: the page, `vv silence`, amtool, another Alertmanager's page.

Who silences FootageMissing, or all of a camera, announces maintenance: the ledger of footage gets that, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from vv_exporter.alertmanager.silences.client import Silence, SilenceError, Silences
from vv_exporter.common.clock import isoformat, span
from vv_exporter.common.times import UnixTime
from vv_exporter.footage import states
from vv_exporter.footage.states import DEVICE
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.state.store import Kind, Store, Transaction
from vv_exporter.state.timeline import MAX_TITLE, Entry, add_to_timeline, shortened

INTERVAL_SECONDS = 15.0
MAX_KNOWN = 1000
ANNOUNCED_BY, MAINTENANCE = "FootageMissing", "maintenance"
"""The alert whose silence announces maintenance, and the cause of what is missing meanwhile."""
SILENCES = "silences"
"""What `vv_series_limited_total` has of them: no metric shows them."""


class Known(msgspec.Struct, frozen=True, omit_defaults=True):
    """A silence that stands on the timeline, while it holds."""

    what: str
    component: str
    ends: UnixTime
    camera: str | None = None
    """Whose footage it announces maintenance of: "" of all, None of none."""


KNOWN: Kind[Known] = Kind("silence", Known)


class SilenceWatch:
    """Asks Alertmanager from time to time."""

    def __init__(self, store: Store, silences: Silences, clock: Callable[[], float]) -> None:
        self._store = store
        self._silences = silences
        self._clock = clock
        self._left_out = 0  # silences of which the timeline has nothing, since there are so many

    def check(self) -> None:
        """Compare what holds with what was recorded. An Alertmanager that does not answer is reported elsewhere."""
        try:
            found = self._silences.list()
        except SilenceError:
            return
        known = self._store.docs(KNOWN)
        left_out = len({one.id for one in found if one.holds} - known.keys()) if len(known) >= MAX_KNOWN else 0
        if differs(known, found) or left_out > self._left_out:
            with self._store.transaction() as tx:
                record(tx, found, self._clock())
                if left_out > self._left_out:
                    tx.inc(SERIES_LIMITED, (SILENCES,), left_out - self._left_out)
        self._left_out = left_out


def differs(known: Mapping[str, Known], found: Sequence[Silence]) -> bool:
    """Whether there is something to record."""
    holding = {one.id for one in found if one.holds}
    return bool(known.keys() - holding) or (len(known) < MAX_KNOWN and bool(holding - known.keys()))


def record(tx: Transaction, found: Sequence[Silence], now: float) -> None:
    """Record silences that are new, and those that no longer hold; `found` is all that Alertmanager has."""
    known, by_id = tx.docs(KNOWN), {one.id: one for one in found}
    over = [id_ for id_ in known if id_ not in by_id or not by_id[id_].holds]
    for id_ in over:
        tx.delete(KNOWN, id_)
        ended, time = by_id.get(id_), _end_of(known[id_], by_id.get(id_), now)
        _record_end(tx, known[id_], ended, time, now)
        _end_maintenance(tx, known[id_].camera, time)
    new = [one for one in found if one.holds and one.id not in known]
    for one in new[: max(0, MAX_KNOWN - len(known) + len(over))]:
        tx.put(
            KNOWN, one.id, Known(shortened(one.what, MAX_TITLE), one.matcher("component"), one.ends, _camera_of(one))
        )
        _record_begin(tx, one)
        _begin_maintenance(tx, one)


def _record_begin(tx: Transaction, one: Silence) -> None:
    details = sentence(
        "{reason}\nBy {author}, until {end}. Silence {id}",
        reason=one.reason, author=one.author or sentence("nobody who gave a name"), end=isoformat(one.ends), id=one.id,
    )  # fmt: skip
    # Alertmanager has it begin when it takes it, a moment later than was asked for.
    title = sentence("Silenced for {time}: {what}", time=span(round(one.ends - one.starts, -1)), what=one.what)
    add_to_timeline(
        tx, one.updated or one.starts, Entry("silence.added", title, "warning", one.matcher("component"), details)
    )


def _end_of(known: Known, ended: Silence | None, now: float) -> float:
    return min(ended.ends if ended else known.ends, now)


def _record_end(tx: Transaction, known: Known, ended: Silence | None, time: float, now: float) -> None:
    why = "" if ended or known.ends <= now else sentence("Alertmanager no longer holds it.")
    title = sentence("No longer silenced: {what}", what=known.what)
    add_to_timeline(tx, time, Entry("silence.ended", title, "info", known.component, why))


def _camera_of(one: Silence) -> str | None:
    """One that also names a severity, say, was made of a message that came: it hushes, and announces nothing."""
    labels = {matcher.name: matcher.value for matcher in one.matchers if matcher.operator == "="}
    says_only_where = len(labels) == len(one.matchers) and labels.keys() <= {"alertname", "device", "dvr"}
    is_of_footage = labels.get("alertname", ANNOUNCED_BY if "dvr" in labels else "") == ANNOUNCED_BY
    return labels.get("dvr", "") if says_only_where and is_of_footage else None


def _begin_maintenance(tx: Transaction, one: Silence) -> None:
    camera = _camera_of(one)
    if camera is not None:
        states.begin(tx, camera or DEVICE, MAINTENANCE, one.starts, one.reason)


def _end_maintenance(tx: Transaction, camera: str | None, time: float) -> None:
    """Unless another silence announces it still."""
    if camera is not None and all(one.camera != camera for one in tx.docs(KNOWN).values()):
        states.end(tx, camera or DEVICE, time, MAINTENANCE)
