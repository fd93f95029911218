"""How DVRs are doing: what the agent's events and the probe's answers change, and what is forgotten."""

from __future__ import annotations

import msgspec

from vv_exporter.common.times import UnixTime, is_later
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.dvr import DVR_ATTEMPTS, DVR_FRAMES, DVR_LAST_FRAME, DVR_LOST, DVR_UP
from vv_exporter.state.failures import MAX_ERROR, Failure, remember, shorten
from vv_exporter.state.store import Kind, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

RESULTS = ("ok", "dns", "refused", "timeout", "auth", "no_stream", "frozen", "error")
SOURCES = ("agent", "probe")
_TITLES = {
    "ok": sentence("DVR {dvr} gives a stream, says the {source}"),
    "dns": sentence("DVR {dvr} has a name that is not found, says the {source}"),
    "refused": sentence("DVR {dvr} refuses connections, says the {source}"),
    "timeout": sentence("DVR {dvr} does not answer, says the {source}"),
    "auth": sentence("DVR {dvr} refuses user or password, says the {source}"),
    "no_stream": sentence("DVR {dvr} has no stream, says the {source}"),
    "frozen": sentence("DVR {dvr} sends no new frames, says the {source}"),
    "error": sentence("DVR {dvr} failed, says the {source}"),
}
_HELD_BACK = sentence("DVR {dvr}: user and password are not sent any more, says the {source}")
_NAMES = {"agent": sentence("agent"), "probe": sentence("probe")}
MAX_LINKS = 500
AGENT_FORGOTTEN = 3600.0
"""Seconds after the end of an agent's process that its last failure counts: it may be one that cron starts."""


class Link(msgspec.Struct, frozen=True, omit_defaults=True):
    """A DVR as one source sees it: the latest attempt's result, and since when they fail in a row.

    Of an agent also its writer, when that was gone (0 while it lives), and whether it reports frames. Since `held_back`
    user and password are not sent, as the DVR refused them too often.
    """

    dvr: str
    source: str
    result: str
    time: UnixTime
    failures: int = 0
    since: UnixTime = 0.0
    writer: str = ""
    gone: UnixTime = 0.0
    frames: bool = False
    held_back: UnixTime = 0.0

    @property
    def connected(self) -> bool:
        """Whether there is a stream, to an agent that still lives."""
        return self.result == "ok" and not self.gone


LINKS: Kind[Link] = Kind(
    "dvr_link",
    Link,
    MAX_LINKS,
    DVR_UP,
    lambda link: link.dvr,
    lambda link: int(link.result != "ok" and not link.gone),  # one that fails is what somebody wants to know of
)


def link(tx: Transaction, dvr: str, source: str) -> Link | None:
    """What is known of a DVR from a source."""
    return tx.get(LINKS, f"{source}\n{dvr}")


def put(tx: Transaction, state: Link) -> None:
    """Keep it. Where there are too many DVRs the longest untouched gives way, one that fails last."""
    tx.put(LINKS, f"{state.source}\n{state.dvr}", state)


def forget(tx: Transaction, dvr: str, source: str) -> None:
    """Know nothing of it any more; what was counted stays."""
    tx.delete(LINKS, f"{source}\n{dvr}")


def attempted(
    tx: Transaction, dvr: str, source: str, result: str, time: float, *, component: str, error: str, writer: str = ""
) -> None:
    """Count an attempt. One of another writer that is older than the latest known changes nothing else.

    What one writer reports comes in order, whatever its clock shows.
    """
    if result not in RESULTS:
        result = "error"
    tx.ensure(DVR_ATTEMPTS, *((dvr, source, each) for each in RESULTS))
    tx.ensure(DVR_LOST, (dvr, source))
    tx.inc(DVR_ATTEMPTS, (dvr, source, result))
    if result != "ok":
        failure = Failure(component=component, kind=f"dvr:{dvr}", time=time, error=shorten(error or result, MAX_ERROR))
        remember(tx, failure)
    known = link(tx, dvr, source)
    if known is not None and writer != known.writer and not is_later(time, known.time, tx.now):
        return
    if result != (known.result if known is not None else "ok"):
        severity = "info" if result == "ok" else "warning"
        title = _TITLES.get(result, _TITLES["error"]).of(dvr=dvr, source=_NAMES.get(source, source))
        add_to_timeline(tx, time, Entry(f"dvr.{result}", title, severity, component, error))
    if result == "ok":
        put(tx, Link(dvr, source, result, time, writer=writer))
    else:
        if known is not None and known.connected:
            count_lost(tx, dvr, source)
        failures, since = (known.failures, known.since) if known is not None else (0, 0.0)
        put(tx, Link(dvr, source, result, time, failures + 1, since or time, writer))


def held_back(
    tx: Transaction, dvr: str, source: str, time: float, *, component: str, error: str, writer: str = ""
) -> None:
    """User and password are not sent any more: no attempt, and the DVR stays away until somebody does something."""
    remember(tx, Failure(component=component, kind=f"dvr:{dvr}", time=time, error=shorten(error, MAX_ERROR)))
    known = link(tx, dvr, source) or Link(dvr, source, "auth", time, 1, time)
    if not known.held_back:
        title = _HELD_BACK.of(dvr=dvr, source=_NAMES.get(source, source))
        add_to_timeline(tx, time, Entry("dvr.held_back", title, "warning", component, error))
    known = msgspec.structs.replace(
        known, held_back=known.held_back or time, result="auth", failures=max(known.failures, 1), gone=0.0,
        since=known.since or time, time=time, writer=writer or known.writer,
    )  # fmt: skip
    put(tx, known)


def count_lost(tx: Transaction, dvr: str, source: str) -> None:
    """There was a stream, and there is none any more."""
    tx.inc(DVR_LOST, (dvr, source))


def saw_frames(tx: Transaction, dvr: str, frames: int, last: float) -> None:
    """Count frames, the latest of which came at `last`."""
    tx.inc(DVR_FRAMES, (dvr,), max(frames, 0))
    if is_later(last, tx.value(DVR_LAST_FRAME, (dvr,)) or 0.0, tx.now):
        tx.set(DVR_LAST_FRAME, (dvr,), last)


def probed(
    tx: Transaction, dvr: str, result: str, time: float, *, error: str, frames: int, is_held_back: bool = False
) -> None:
    """Count a probe. Its frames do not count beside those of an agent, which they would hide if it were stuck."""
    before = link(tx, dvr, "probe")
    attempted(tx, dvr, "probe", result, time, component="dvr_probe", error=error)
    if is_held_back:
        if before is not None and before.held_back:
            put(tx, msgspec.structs.replace(link(tx, dvr, "probe") or before, held_back=before.held_back))
        held_back(tx, dvr, "probe", time, component="dvr_probe", error=error)
    agent = link(tx, dvr, "agent")
    if frames and not (agent is not None and agent.connected and agent.frames):
        saw_frames(tx, dvr, frames, time)
    if result == "ok" and agent is not None and agent.gone and agent.failures:
        forget(tx, dvr, "agent")


def forget_ended_agents(tx: Transaction, now: float) -> None:
    """Drop the failures of agents that have been gone for long."""
    for known in tx.docs(LINKS).values():
        if known.gone and now - known.gone > AGENT_FORGOTTEN:
            forget(tx, known.dvr, known.source)
