"""What was wrong when: of a DVR and its agent, of the device and its storage. Causes of missing footage are made of it.

A state begins, lasts, and ends; one that lasts still is kept apart. Their times do not follow a clock that is set, as
those of the ledger, to which they belong. Of more than `MAX_A_DAY` that ended on a day the shortest go, and are
counted: their holes are unknown then.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

import msgspec

from vv_core.common.texts import encodable
from vv_exporter.footage.causes import CONNECTED, Known
from vv_exporter.footage.ledger import DAY, KEEP_DAYS, MAX_CAMERAS, milliseconds
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.metrics.footage import FOOTAGE_MISSING
from vv_exporter.state.store import Kind, Transaction

DEVICE = ""
"""Whose states those are that hold for all DVRs."""
MAX_A_DAY = 300
MAX_DETAIL = 100
MAX_DAYS = 20_000

PROBED_DOWN = "probed_down"
"""The exporter's own probe got no stream."""
_CAUSE_OF = {PROBED_DOWN: "dvr_down"}
_OF_DVRS = frozenset({"dvr_down", "dvr_frozen", "agent_crashed", "agent_stopped", CONNECTED})


class Lasting(msgspec.Struct, frozen=True, omit_defaults=True):
    """A state that lasts: since when, and more of it for people."""

    since: int
    detail: str = ""


class Now(msgspec.Struct, frozen=True):
    """The states of a DVR, or of the device, that last."""

    states: dict[str, Lasting]


class Ended(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True):
    """A state that ended."""

    state: str
    start: int
    end: int
    detail: str = ""


class EndedThatDay(msgspec.Struct, frozen=True):
    """Those of a DVR, or of the device, that ended on a day (UTC)."""

    ended: tuple[Ended, ...]


LASTING: Kind[Now] = Kind("footage_lasting", Now, MAX_CAMERAS)
ENDED: Kind[EndedThatDay] = Kind("footage_ended", EndedThatDay)


def begin(tx: Transaction, dvr: str, state: str, time: float, detail: str = "") -> None:
    """A state begins, unless it lasts already; with another `detail` it ends, and begins anew."""
    known = tx.get(LASTING, dvr)
    states = known.states if known is not None else {}
    detail = encodable(detail[:MAX_DETAIL])
    lasting = states.get(state)
    if lasting is not None and lasting.detail == detail:
        return
    if lasting is not None:
        _keep(tx, dvr, Ended(state, lasting.since, milliseconds(time), lasting.detail))
    tx.put(LASTING, dvr, Now({**states, state: Lasting(milliseconds(time), detail)}))


def end(tx: Transaction, dvr: str, time: float, *ended: str) -> None:
    """These states end, as far as they last."""
    known = tx.get(LASTING, dvr)
    found = [state for state in ended if known is not None and state in known.states]
    if known is None or not found:
        return
    for state in found:
        lasting = known.states[state]
        _keep(tx, dvr, Ended(state, lasting.since, milliseconds(time), lasting.detail))
    tx.put(LASTING, dvr, Now({state: one for state, one in known.states.items() if state not in found}))


def lasted(tx: Transaction, dvr: str, state: str, start: float, end: float, detail: str = "") -> None:
    """A state lasted from `start` until `end`: it was noticed afterwards."""
    _keep(tx, dvr, Ended(state, milliseconds(start), milliseconds(end), encodable(detail[:MAX_DETAIL])))


def dvr_failed(tx: Transaction, dvr: str, result: str, time: float) -> None:
    """An agent got no stream, or lost it."""
    state = "dvr_frozen" if result == "frozen" else "dvr_down"
    end(tx, dvr, time, *(_OF_DVRS - {state}))
    begin(tx, dvr, state, time, "" if state == "dvr_frozen" else result)


def dvr_connected(tx: Transaction, dvr: str, time: float) -> None:
    """An agent has a stream."""
    end(tx, dvr, time, *(_OF_DVRS - {CONNECTED}))
    begin(tx, dvr, CONNECTED, time)


def agent_stopped(tx: Transaction, dvr: str, time: float) -> None:
    """An agent ended on purpose."""
    end(tx, dvr, time, *(_OF_DVRS - {"agent_stopped"}))
    begin(tx, dvr, "agent_stopped", time)


def agent_crashed(tx: Transaction, dvr: str, time: float) -> None:
    """An agent was killed."""
    end(tx, dvr, time, *(_OF_DVRS - {"agent_crashed"}))
    begin(tx, dvr, "agent_crashed", time)


def known_of(
    lasting: Callable[[str], Now | None], ended: Callable[[str], EndedThatDay | None], dvr: str, start: int, now: int
) -> Iterator[Known]:
    """What is known of a DVR and the device from `start` until now: what would explain a hole."""
    for subject in (DEVICE, dvr):
        found = lasting(subject)
        for state, one in found.states.items() if found is not None else ():
            yield Known(one.since, now + 1, _CAUSE_OF.get(state, state), one.detail)
        for day in range(start // DAY, now // DAY + 1):
            kept = ended(_key(subject, day))
            for past in kept.ended if kept is not None else ():
                yield Known(past.start, past.end, _CAUSE_OF.get(past.state, past.state), past.detail)


def forget_old(tx: Transaction, now: float) -> None:
    """Drop days that are too old, and the oldest beyond what may be kept."""
    today = milliseconds(now) // DAY
    keys = sorted(tx.docs(ENDED), key=_day_of)
    for place, key in enumerate(keys):
        if _day_of(key) < today - KEEP_DAYS or place < len(keys) - MAX_DAYS:
            tx.delete(ENDED, key)


def _keep(tx: Transaction, dvr: str, past: Ended) -> None:
    if past.end <= past.start:  # the clock was set back meanwhile, or it was over at once
        return
    key = _key(dvr, past.end // DAY)
    known = tx.get(ENDED, key)
    ended = (*(known.ended if known is not None else ()), past)
    if len(ended) > MAX_A_DAY:
        ended = tuple(heapq.nlargest(MAX_A_DAY, ended, key=lambda one: one.end - one.start))
        tx.inc(SERIES_LIMITED, (FOOTAGE_MISSING.name,))
    tx.put(ENDED, key, EndedThatDay(ended))


def _key(dvr: str, day: int) -> str:
    return f"{day}\n{dvr}"


def _day_of(key: str) -> int:
    return int(key.partition("\n")[0])
