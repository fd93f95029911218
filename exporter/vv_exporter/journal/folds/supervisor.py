"""What the self-monitor and `vv containers` say. Each event may come twice: the self-monitor repeats what it is not
sure to have said before it was killed."""

from __future__ import annotations

import msgspec

from vv_exporter.common.times import is_later
from vv_exporter.containers.records import CLAIMS, CONTAINERS, GONE, Claim
from vv_exporter.journal.events import (
    MAX_ENTRIES,
    ContainerForgotten,
    ContainerGaveUp,
    ContainerRestarted,
    ContainerRestarting,
    ContainerResumed,
    SupervisorChecked,
    SupervisorRetired,
)
from vv_exporter.journal.folds import Handler, Source, latest
from vv_exporter.language.sentences import nsentence, sentence
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.metrics.self_monitor import IN_WINDOW, LAST_CHECK, SUPERVISED_RESTARTS
from vv_exporter.settings import Settings
from vv_exporter.state.failures import Failure, remember, shorten
from vv_exporter.state.store import Kind, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

RESULTS = ("ok", "failed")
MAX_QUOTE = 600  # characters of the reason and the last log lines that become a label's value
FAILURE = "container_failed"  # the kind under which the alert finds them
replace = msgspec.structs.replace


class Supervised(msgspec.Struct, frozen=True, omit_defaults=True):
    """A container as the self-monitor last spoke of it; `attempt` is its last restart that was counted."""

    in_window: int = 0
    max: int = 0
    gave_up: bool = False
    attempt: str = ""


class Retired(msgspec.Struct, frozen=True):
    """Somebody said that this device is to have no self-monitor."""


RETIRED: Kind[Retired] = Kind("supervisor_retired", Retired)
SUPERVISED: Kind[Supervised] = Kind("supervised", Supervised, MAX_ENTRIES, IN_WINDOW)


def restarting(tx: Transaction, event: ContainerRestarting, source: Source, settings: Settings) -> None:
    """A start of this container that follows is the self-monitor's doing."""
    tx.put(SUPERVISED, event.name, tx.get(SUPERVISED, event.name) or Supervised())
    tx.ensure(SUPERVISED_RESTARTS, *((event.name, result) for result in RESULTS))
    tx.put(CLAIMS, event.attempt, Claim(container=event.container, at=event.ts, noted=tx.now))


def restarted(tx: Transaction, event: ContainerRestarted, source: Source, settings: Settings) -> None:
    """It was restarted, or could not be."""
    known = tx.get(SUPERVISED, event.name) or Supervised()
    if known.attempt == event.attempt:
        return
    tx.put(SUPERVISED, event.name, replace(known, attempt=event.attempt))
    result = "ok" if event.result == "ok" else "failed"
    tx.inc(SUPERVISED_RESTARTS, (event.name, result))
    if result == "failed":
        title = sentence("Container {name} could not be restarted", name=event.name)
        add_to_timeline(
            tx, event.ts, Entry("container.restart_failed", title, "error", event.name, details=event.error)
        )


def gave_up(tx: Transaction, event: ContainerGaveUp, source: Source, settings: Settings) -> None:
    """It will not be restarted any more; the alert quotes what it said last."""
    known = tx.get(SUPERVISED, event.name) or Supervised()
    tx.put(SUPERVISED, event.name, replace(known, gave_up=True, in_window=event.restarts))
    remember(tx, Failure(component=event.name, kind=FAILURE, time=event.ts, error=_quote_reason(event)))
    if not known.gave_up:
        title = nsentence(
            "The self-monitor gave up on container {name} after {count} restart",
            "The self-monitor gave up on container {name} after {count} restarts",
            name=event.name, count=event.restarts,
        )  # fmt: skip
        details = "\n".join(part for part in (event.reason, event.log_tail) if part)
        add_to_timeline(tx, event.ts, Entry("container.gave_up", title, "critical", event.name, details=details))


def _quote_reason(event: ContainerGaveUp) -> str:
    """The reason, and of the last log lines the end."""
    reason = shorten(event.reason, MAX_QUOTE // 2)
    lines = [" ".join(line.split()) for line in event.log_tail.splitlines()]
    tail = " | ".join(line for line in lines if line)
    if not tail:
        return reason
    head = f"{reason}; it said last: "
    room = MAX_QUOTE - len(head)
    return head + (tail if len(tail) <= room else "…" + tail[len(tail) - room + 1 :])


def resumed(tx: Transaction, event: ContainerResumed, source: Source, settings: Settings) -> None:
    """It is taken up again, with no restarts on its account."""
    known = tx.get(SUPERVISED, event.name)
    if known is None:
        return
    tx.put(SUPERVISED, event.name, replace(known, gave_up=False, in_window=0))
    if known.gave_up:
        title = sentence("The self-monitor has taken up container {name} again", name=event.name)
        add_to_timeline(tx, event.ts, Entry("container.resumed", title, "info", event.name, details=event.reason))


def forgotten(tx: Transaction, event: ContainerForgotten, source: Source, settings: Settings) -> None:
    """Nobody expects it any more, until it is started again. One that is gone loses its series."""
    _drop_container(tx, event.name)
    record = tx.get(CONTAINERS, event.name)
    if record is not None:
        gone_at = 0.0 if record.state == GONE else record.gone_at
        tx.put(CONTAINERS, event.name, replace(record, wanted=False, gone_at=gone_at))


def checked(tx: Transaction, event: SupervisorChecked, source: Source, settings: Settings) -> None:
    """It looked at its containers; those that it does not name are not its any more."""
    if not is_later(event.ts, tx.value(LAST_CHECK) or 0.0, tx.now):
        return
    latest(tx, LAST_CHECK, (), event.ts)
    tx.delete(RETIRED, "")
    if event.left_out:
        tx.inc(SERIES_LIMITED, (IN_WINDOW.name,), event.left_out)
    known = tx.docs(SUPERVISED)
    for name in known.keys() - event.containers.keys():
        _drop_container(tx, name)
    for name, one in event.containers.items():
        before = known.get(name, Supervised())
        now = replace(before, in_window=one.in_window, max=one.max, gave_up=one.gave_up)
        if now != known.get(name):
            tx.put(SUPERVISED, name, now)
            tx.ensure(SUPERVISED_RESTARTS, *((name, result) for result in RESULTS))


def retired(tx: Transaction, event: SupervisorRetired, source: Source, settings: Settings) -> None:
    """This device has no self-monitor any more."""
    tx.remove(LAST_CHECK, ())
    tx.put(RETIRED, "", Retired())
    for name in tx.docs(SUPERVISED):
        _drop_container(tx, name)


def _drop_container(tx: Transaction, name: str) -> None:
    tx.delete(SUPERVISED, name)
    for result in RESULTS:
        tx.remove(SUPERVISED_RESTARTS, (name, result))


HANDLERS: dict[type, Handler] = {
    ContainerRestarting: restarting,
    ContainerRestarted: restarted,
    ContainerGaveUp: gave_up,
    ContainerResumed: resumed,
    ContainerForgotten: forgotten,
    SupervisorChecked: checked,
    SupervisorRetired: retired,
}
