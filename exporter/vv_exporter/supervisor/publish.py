"""What the self-monitor makes known: the view for `vv containers` and the page, and the events of docs/journal.md."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from vv_core.common import journals
from vv_core.common.texts import line, lines
from vv_exporter.common.clock import boot_id, boottime
from vv_exporter.containers.records import ContainerRecord
from vv_exporter.supervisor.actions import MAX_TAIL
from vv_exporter.supervisor.mailbox import Mailbox, Seen, View
from vv_exporter.supervisor.state import Attempt, Supervised

COMPONENT = "self-monitor"
HEARTBEAT_SECONDS = 10.0  # between views, and between `supervisor.checked` events, when nothing changes


class Journal(Protocol):
    """Where events go; see `vv_core.common.journals.Journal`."""

    def emit(self, kind: str, component: str, fields: Mapping[str, object], worth: float = ...) -> bool: ...


class Publisher:
    """Shows how all containers stand: when that has changed, and from time to time."""

    def __init__(
        self, mailbox: Mailbox, journal: Journal, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._mailbox = mailbox
        self._journal = journal
        self._clock = clock
        self._monotonic = monotonic
        self._seen: dict[str, Seen] = {}
        self._shown: tuple[Seen, ...] = ()
        self._show_at = 0.0
        self._reported: dict[str, dict[str, int]] = {}
        self._report_at = 0.0

    def note_seen(self, seen: Seen) -> None:
        """A container stands like this from now on."""
        self._seen[seen.name] = seen

    def keep_only(self, names: Collection[str]) -> None:
        """Forget all other containers."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}

    def show_view(self) -> None:
        """Show operators how everything stands. Raises `OSError`."""
        seen = tuple(one for _, one in sorted(self._seen.items()))
        if seen != self._shown or self._monotonic() >= self._show_at:
            self._mailbox.show(View(self._clock(), seen, boot_id(), boottime()))
            self._shown, self._show_at = seen, self._monotonic() + HEARTBEAT_SECONDS

    def report_checks(self, left_out: int) -> None:
        """Report the same to the journal; so many containers were not looked at, for there are too many."""
        checks = {
            name: {"in_window": one.in_window, "max": one.max, "gave_up": one.gave_up}
            for name, one in sorted(self._seen.items())
        }
        if checks != self._reported or self._monotonic() >= self._report_at:
            content: dict[str, object] = {"containers": checks}
            if left_out:
                content["left_out"] = left_out
            self._journal.emit("supervisor.checked", COMPONENT, content, journals.ROUTINE)
            self._reported, self._report_at = checks, self._monotonic() + HEARTBEAT_SECONDS


def report_restarting(journal: Journal, record: ContainerRecord, attempt: Attempt) -> None:
    """A restart is about to be asked for."""
    fields = {"name": record.name, "container": record.id, "attempt": attempt.id, "reason": line(attempt.reason, 300)}
    journal.emit("container.restarting", COMPONENT, fields, journals.NEEDED)


def report_restarted(journal: Journal, name: str, attempt: Attempt, error: str | None = None) -> None:
    """What came of it: it was restarted, or the Engine could not, for this `error`, which may be ""."""
    fields = {"name": name, "attempt": attempt.id, "result": "ok" if error is None else "failed"}
    details = {"error": line(error, 500)} if error else {}
    journal.emit("container.restarted", COMPONENT, fields | details, journals.NEEDED)


def report_gave_up(journal: Journal, name: str, history: Supervised, log_tail: str) -> None:
    """It was given up; that is on the disk when this returns."""
    fields = {"name": name, "restarts": len(history.restarts), "reason": line(history.reason, 300)}
    quoted = {"log_tail": lines(log_tail, MAX_TAIL)} if log_tail else {}
    journal.emit("container.gave_up", COMPONENT, fields | quoted, journals.LASTING)


def report_resumed(journal: Journal, name: str, reason: str) -> None:
    """What was given up is restarted again where it must be."""
    journal.emit("container.resumed", COMPONENT, {"name": name, "reason": reason}, journals.NEEDED)
