"""DVRs, as the agents that pull their streams see them."""

from __future__ import annotations

import msgspec

from vv_exporter.common.times import is_later
from vv_exporter.footage import states
from vv_exporter.footage.ledger import add_footage, milliseconds
from vv_exporter.journal.events import DvrAttempt, DvrEnded, DvrFrames, DvrHeldBack, DvrLogin
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.language.sentences import sentence
from vv_exporter.probes.dvr_logins import allow_again
from vv_exporter.settings import Settings
from vv_exporter.state.dvr_agents import AGENTS, end_agent, miss_agents, saw_agent
from vv_exporter.state.dvrs import LINKS, Link, attempted, held_back, link, put, saw_frames
from vv_exporter.state.runs import writer_of
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

AGENT = "agent"
FRAMES_JOIN = 3000
"""Milliseconds between two reports of frames, which come once a second, that are no hole in the footage."""


def attempt(tx: Transaction, event: DvrAttempt, source: Source, settings: Settings) -> None:
    """An attempt to get a stream ended, or a stream was lost."""
    component = event.component or source.component
    if _is_current(tx, event, source):
        if event.result == "ok":
            states.dvr_connected(tx, event.dvr, event.ts)
        else:
            states.dvr_failed(tx, event.dvr, event.result, event.ts)
    attempted(
        tx, event.dvr, AGENT, event.result, event.ts, component=component, error=event.error, writer=source.writer
    )
    _note_agent(tx, event, source)


def held(tx: Transaction, event: DvrHeldBack, source: Source, settings: Settings) -> None:
    """User and password were refused too often: the agent does not send them any more."""
    component = event.component or source.component
    if _is_current(tx, event, source):
        states.dvr_failed(tx, event.dvr, "auth", event.ts)
    held_back(tx, event.dvr, AGENT, event.ts, component=component, error=event.error, writer=source.writer)
    _note_agent(tx, event, source)


def frames(tx: Transaction, event: DvrFrames, source: Source, settings: Settings) -> None:
    """Frames came: so there is a stream, also if the event that said so was lost."""
    last = min(event.last, event.ts)
    saw_frames(tx, event.dvr, event.frames, last)
    add_footage(tx, event.dvr, "received", milliseconds(last) - 1, milliseconds(last), FRAMES_JOIN)
    states.dvr_connected(tx, event.dvr, last)
    known = link(tx, event.dvr, AGENT)
    same = known is not None and known.writer == source.writer and known.connected
    if known is None or (is_later(last, known.time, tx.now) and not (same and known.frames)):
        put(tx, Link(event.dvr, AGENT, "ok", last, writer=source.writer, frames=True))
    elif same and not known.frames:
        put(tx, msgspec.structs.replace(known, frames=True))
    _note_agent(tx, event, source)


def ended(tx: Transaction, event: DvrEnded, source: Source, settings: Settings) -> None:
    """The agent has ended the link, on purpose; or there is to be no agent any more."""
    end_agent(tx, event.dvr, source.writer)
    known = link(tx, event.dvr, AGENT)
    if states.is_missed(tx, event.dvr) or (known is not None and known.writer == source.writer):
        states.agent_stopped(tx, event.dvr, event.ts)
    if known is not None and known.writer == source.writer and not known.gone:
        put(tx, msgspec.structs.replace(known, gone=max(event.ts, known.time)))


def login(tx: Transaction, event: DvrLogin, source: Source, settings: Settings) -> None:
    """An operator says that the DVR takes user and password by now."""
    allow_again(tx, event.dvr)
    title = sentence("DVR {dvr}: user and password are sent again", dvr=event.dvr)
    add_to_timeline(tx, event.ts, Entry("dvr.login", title, component=event.component or source.component))


def writer_gone(tx: Transaction, writer: str, last_seen: float) -> None:
    """The agent's process ended, and its streams with it."""
    for agent in tx.having(AGENTS, writer_of, writer).values():
        if not agent.replaced:
            states.agent_crashed(tx, agent.dvr, last_seen)
    miss_agents(tx, writer, last_seen)
    for key, known in tx.having(LINKS, writer_of, writer).items():
        if known.source == AGENT and not known.gone:
            tx.put(LINKS, key, msgspec.structs.replace(known, gone=max(last_seen, known.time)))


def _is_current(tx: Transaction, event: DvrAttempt | DvrHeldBack, source: Source) -> bool:
    """Whether it is the latest that is known of the DVR, and no late word of an agent that was replaced."""
    known = link(tx, event.dvr, AGENT)
    return known is None or known.writer == source.writer or is_later(event.ts, known.time, tx.now)


def _note_agent(tx: Transaction, event: DvrAttempt | DvrHeldBack | DvrFrames, source: Source) -> None:
    if source.locks:  # or nobody would know when it is gone
        saw_agent(tx, event.dvr, source.writer, event.component or source.component)


HANDLERS: dict[type, Handler] = {
    DvrAttempt: attempt,
    DvrHeldBack: held,
    DvrFrames: frames,
    DvrEnded: ended,
    DvrLogin: login,
}
