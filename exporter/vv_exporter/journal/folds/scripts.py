"""Scripts that their last resort watches over: they begin, end, or are left behind by a writer that is gone."""

from __future__ import annotations

from typing import Any

from vv_exporter.journal.events import ScriptEnded, ScriptStarted
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.journal.folds.stages import CRASH
from vv_exporter.language import gettext as _
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.exceptions import SCRIPT_CRASHES
from vv_exporter.settings import Settings
from vv_exporter.state.dvr_agents import AGENTS
from vv_exporter.state.failures import MAX_ERROR, MAX_NAME, Failure, remember, shorten
from vv_exporter.state.runs import OPEN_RUNS, SCRIPTS, Script, writer_of
from vv_exporter.state.store import Kind, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

WITH_OWN_CRASH: tuple[Kind[Any], ...] = (*OPEN_RUNS, AGENTS)
BEFORE_OTHERS = True
"""They close what the writer had open, which is asked for here."""


def started(tx: Transaction, event: ScriptStarted, source: Source, settings: Settings) -> None:
    """A script begins. A process is one script at a time."""
    component = event.component or source.component
    tx.ensure(SCRIPT_CRASHES, (component,))
    tx.put(SCRIPTS, source.writer, Script(source.writer, component, event.video, event.video_sha256))


def ended(tx: Transaction, event: ScriptEnded, source: Source, settings: Settings) -> None:
    """It ended by itself, however it fared."""
    tx.delete(SCRIPTS, source.writer)


def writer_gone(tx: Transaction, writer: str, last_seen: float) -> None:
    """A script that did not end has crashed. One cause is told once: by the stage, job or agent that it was, if any."""
    script = tx.get(SCRIPTS, writer)
    if script is None:
        return
    tx.delete(SCRIPTS, writer)
    if any(tx.having(kind, writer_of, writer) for kind in WITH_OWN_CRASH):
        return
    tx.inc(SCRIPT_CRASHES, (script.component,))
    title, who = sentence("{component} crashed", component=script.component), script.component
    add_to_timeline(
        tx, last_seen, Entry("script.crashed", title, "error", who, sentence(CRASH), script.video, script.video_sha256)
    )
    remember(
        tx,
        Failure(
            component=script.component,
            kind="crash",
            time=last_seen,
            video=shorten(script.video, MAX_NAME),
            video_sha256=shorten(script.video_sha256, 64),
            error=shorten(_(CRASH), MAX_ERROR),
        ),
    )


HANDLERS: dict[type, Handler] = {ScriptStarted: started, ScriptEnded: ended}
