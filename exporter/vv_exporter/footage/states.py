"""What was wrong when: of a DVR and its agent, of the device and its storage. Causes of missing footage are made of it.

A state begins, lasts, and ends; one that lasts still is kept apart. Their times do not follow a clock that is set, as
those of the ledger, to which they belong. Of more than `MAX_A_DAY` that ended on a day the shortest go, and are
counted: their holes are unknown then.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

import msgspec

from vv_core.common.texts import line
from vv_exporter.footage.causes import CONNECTED, Known
from vv_exporter.footage.ledger import CAMERAS, DAY, DAYS, KEEP_DAYS, MAX_CAMERAS, latest_of, milliseconds
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.metrics.footage import FOOTAGE_MISSING
from vv_exporter.state.store import Kind, Transaction

DEVICE = ""
"""Whose states those are that hold for all DVRs."""
MAX_A_DAY = 300
MAX_DETAIL = 100
MAX_DAYS = 20_000

PROBED_DOWN, PROBED_UP = "probed_down", "probed_up"
"""The exporter's own probe got no stream, or frames of one."""
_CAUSE_OF = {PROBED_DOWN: "dvr_down"}
_OF_AGENTS = frozenset({"dvr_down", "dvr_frozen", "agent_crashed", "agent_stopped", CONNECTED})


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


def begin(tx: Transaction, subject: str, state: str, time: float, detail: str = "") -> None:
    """A state begins, unless it lasts already; with another `detail` it ends, and begins anew."""
    states = _lasting_states(tx, subject)
    detail = line(detail, MAX_DETAIL)
    known = states.get(state)
    if known is None or known.detail != detail:
        if known is not None:
            _keep_ended(tx, subject, Ended(state, known.since, milliseconds(time), known.detail))
        tx.put(LASTING, subject, Now({**states, state: Lasting(milliseconds(time), detail)}))


def end(tx: Transaction, subject: str, time: float, *states: str) -> None:
    """These states end, as far as they last. One that began later is not ended by what comes late: it lasts."""
    lasting, until, now = _lasting_states(tx, subject), milliseconds(time), milliseconds(tx.now)
    left = dict(lasting)
    for state in states:
        known = lasting.get(state)
        if known is not None and not until < known.since <= now:
            _keep_ended(tx, subject, Ended(state, known.since, until, known.detail))
            del left[state]
    if left != lasting:
        tx.put(LASTING, subject, Now(left))


def lasted(tx: Transaction, subject: str, state: str, start: float, end: float, detail: str = "") -> None:
    """A state lasted from `start` until `end`: it was noticed afterwards."""
    _keep_ended(tx, subject, Ended(state, milliseconds(start), milliseconds(end), line(detail, MAX_DETAIL)))


def dvr_failed(tx: Transaction, dvr: str, result: str, time: float) -> None:
    """An agent got no stream, or lost it: from when the latest frame came, if it had one."""
    connected = _lasting_states(tx, dvr).get(CONNECTED)
    if connected is not None:
        frame = latest_of(lambda key: tx.get(DAYS, key), tx.get(CAMERAS, dvr), "received")
        time = min(frame / 1000, time) if frame is not None and frame >= connected.since else time
    state = "dvr_frozen" if result == "frozen" else "dvr_down"
    _now_only(tx, dvr, state, time, "" if state == "dvr_frozen" else result)


def dvr_connected(tx: Transaction, dvr: str, time: float) -> None:
    """An agent has a stream."""
    _now_only(tx, dvr, CONNECTED, time)


def agent_stopped(tx: Transaction, dvr: str, time: float) -> None:
    """An agent ended on purpose."""
    _now_only(tx, dvr, "agent_stopped", time)


def agent_crashed(tx: Transaction, dvr: str, time: float) -> None:
    """An agent was killed."""
    _now_only(tx, dvr, "agent_crashed", time)


def dvr_probed(tx: Transaction, dvr: str, result: str) -> None:
    """The exporter's own probe got an answer: that holds until the next one."""
    if result == "ok":
        end(tx, dvr, tx.now, PROBED_DOWN)
        begin(tx, dvr, PROBED_UP, tx.now)
    else:
        end(tx, dvr, tx.now, PROBED_UP)
        begin(tx, dvr, PROBED_DOWN, tx.now, result)


def no_longer_probed(tx: Transaction, dvr: str) -> None:
    """The exporter does not probe it any more."""
    end(tx, dvr, tx.now, PROBED_DOWN, PROBED_UP)


def nobody_probed(tx: Transaction, since: float) -> None:
    """There was no exporter since then: that a DVR gave a stream is known until then only."""
    for dvr, known in tx.docs(LASTING).items():
        if PROBED_UP in known.states:
            end(tx, dvr, max(since, known.states[PROBED_UP].since / 1000), PROBED_UP)


def is_missed(tx: Transaction, dvr: str) -> bool:
    """Whether the DVR's agent was killed, and none is at work since."""
    return "agent_crashed" in _lasting_states(tx, dvr)


def known_of(
    lasting: Callable[[str], Now | None], ended: Callable[[str], EndedThatDay | None], dvr: str, start: int, now: int
) -> Iterator[Known]:
    """What is known of a DVR and the device from `start` until now: what would explain a hole."""
    for subject in (DEVICE, dvr):
        found = lasting(subject)
        for state, one in found.states.items() if found is not None else ():
            yield Known(one.since, now + 1, _CAUSE_OF.get(state, state), one.detail)
        for day in range(start // DAY, now // DAY + 1):
            kept = ended(_ended_key(subject, day))
            for past in kept.ended if kept is not None else ():
                yield Known(past.start, past.end, _CAUSE_OF.get(past.state, past.state), past.detail)


def forget_old(tx: Transaction, now: float) -> None:
    """Drop days that are too old, and the oldest beyond what may be kept."""
    today = milliseconds(now) // DAY
    keys = sorted(tx.docs(ENDED), key=_day_of)
    for place, key in enumerate(keys):
        if _day_of(key) < today - KEEP_DAYS or place < len(keys) - MAX_DAYS:
            tx.delete(ENDED, key)


def _lasting_states(tx: Transaction, subject: str) -> dict[str, Lasting]:
    known = tx.get(LASTING, subject)
    return known.states if known is not None else {}


def _now_only(tx: Transaction, dvr: str, state: str, time: float, detail: str = "") -> None:
    """Of what an agent can say of its DVR this holds from now on, and nothing else."""
    known = _lasting_states(tx, dvr)
    if any(other != state and other in _OF_AGENTS for other in known):
        end(tx, dvr, time, *(_OF_AGENTS - {state}))
    begin(tx, dvr, state, time, detail)


def _keep_ended(tx: Transaction, subject: str, past: Ended) -> None:
    if past.end <= past.start:  # the clock was set back meanwhile, or it was over at once
        return
    key = _ended_key(subject, past.end // DAY)
    known = tx.get(ENDED, key)
    ended = (*(known.ended if known is not None else ()), past)
    if len(ended) > MAX_A_DAY:
        ended = tuple(heapq.nlargest(MAX_A_DAY, ended, key=lambda one: one.end - one.start))
        tx.inc(SERIES_LIMITED, (FOOTAGE_MISSING.name,))
    tx.put(ENDED, key, EndedThatDay(ended))


def _ended_key(subject: str, day: int) -> str:
    return f"{day}\n{subject}"


def _day_of(key: str) -> int:
    return int(key.partition("\n")[0])
