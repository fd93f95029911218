"""The rounds over all containers that are supervised, once a second.

1. What operators want is done first (`mailbox`), also while the Engine does not answer.
2. Only while the records are current containers are looked at, one after another (`restarts`), each as it is by then.
3. When any could be looked at, how all stand is shown and reported (`publish`).

A request, a container or a file that makes trouble costs itself only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from vv_core.common.texts import line
from vv_exporter.containers.engine import EngineError, NoAnswerError
from vv_exporter.containers.expectation import listed
from vv_exporter.containers.records import CONTAINERS, GONE
from vv_exporter.containers.unanswered import Unanswered
from vv_exporter.settings import Settings
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store
from vv_exporter.supervisor.histories import Histories
from vv_exporter.supervisor.mailbox import Mailbox, Request
from vv_exporter.supervisor.policy import Limits
from vv_exporter.supervisor.publish import Journal, Publisher, report_resumed
from vv_exporter.supervisor.restarts import Engine, Restarts
from vv_exporter.supervisor.selection import supervised

log = logging.getLogger(__name__)

ROUND_INTERVAL_SECONDS = 1.0
INITIAL_PAUSE_SECONDS = 5.0  # before a container is looked at again about which the Engine did not answer
LONGEST_PAUSE_SECONDS = 60.0
MAX_WATCHED_CONTAINERS = 300  # what a line of the journal holds
TIDY_INTERVAL_SECONDS = 3600.0
EXPECTED_ERRORS = (EngineError, StoreError, OSError)


class Watch(Protocol):
    """Who keeps the records of containers."""

    @property
    def current(self) -> bool: ...


class Supervisor:
    """See the module. `own_id` is the id of the container that this process runs in, "" outside one."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        watch: Watch,
        engine: Engine,
        journal: Journal,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        own_id: str = "",
    ) -> None:
        self._settings = settings
        self._store = store
        self._watch = watch
        self._journal = journal
        self._clock = clock
        self._monotonic = monotonic
        self._own_id = own_id
        self._mailbox = Mailbox(settings.self_monitor_dir)
        self._histories = Histories(store, journal, Limits.of(settings), clock, monotonic)
        self._restarts = Restarts(settings, self._histories, engine, journal, clock, monotonic)
        self._publisher = Publisher(self._mailbox, journal, clock, monotonic)
        self._unanswered = Unanswered(monotonic, INITIAL_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        """Containers about which the Engine did not answer: others are not kept waiting for them in each round."""
        self._left_out = 0  # containers beyond `MAX_WATCHED_CONTAINERS`
        self._tidy_at = 0.0

    def round(self) -> None:
        """Look once at everything.

        Raises what was last in the way: `EngineError`, `StoreError`, `OSError`, or what nobody expected.
        """
        trouble = [_try_action(self._store.follow_clock)]
        trouble += [_try_action(self._do_request, path, request) for path, request in self._mailbox.requests()]
        if self._watch.current:
            trouble += self._check_containers()
        for error in filter(None, reversed(trouble)):
            raise error

    def _do_request(self, path: Path, request: Request) -> None:
        log.info("an operator asked to %s container %s", request.action, line(request.name, 200))
        if self._histories.do_request(request):
            report_resumed(self._journal, request.name, "an operator asked for it")
        self._mailbox.done(path)

    def _check_containers(self) -> list[Exception | None]:
        """Look at all containers, and publish how they stand; what went wrong."""
        watched = self._list_watched()
        trouble = [_try_action(self._drop_unwatched, set(watched)), _try_action(self._tidy_history)]
        checks = [_try_action(self._check_container, name) for name in watched]
        self._histories.end_round()
        if self._watch.current and (None in checks or not checks):
            publish = self._publisher
            trouble += [_try_action(publish.show_view), _try_action(publish.report_checks, self._left_out)]
        return trouble + checks

    def _list_watched(self) -> list[str]:
        """The names of our containers, also of those that are missing though they should be there."""
        known = self._store.docs(CONTAINERS)
        own_image = next((one.image for one in known.values() if self._own_id and one.id == self._own_id), "")
        found = [
            name
            for name, one in known.items()
            if supervised(one, self._settings, self._own_id, own_image) and (one.state != GONE or one.wanted)
        ]
        configured = listed(self._settings.containers)
        found.sort(key=lambda name: (name not in self._settings.containers.essential, name not in configured, name))
        self._left_out = max(len(found) - MAX_WATCHED_CONTAINERS, 0)
        return sorted(found[:MAX_WATCHED_CONTAINERS])

    def _drop_unwatched(self, watched: Collection[str]) -> None:
        """Forget containers that are no business of ours any more."""
        self._histories.drop_unwatched(watched)
        self._unanswered.keep(watched)
        self._restarts.keep_only(watched)
        self._publisher.keep_only(watched)

    def _check_container(self, name: str) -> None:
        record = self._store.document(CONTAINERS, name)  # as it is by now: restarting others takes time
        if record is None or not self._watch.current or not self._unanswered.is_due(name):
            return
        try:
            self._publisher.note_seen(self._restarts.check_container(record))
            self._unanswered.answered(name)
        except EXPECTED_ERRORS as error:
            if isinstance(error, NoAnswerError):
                self._unanswered.failed(name, str(error))
            raise type(error)(f"container {name}: {error}") from error
        except Exception as error:
            raise RuntimeError(f"container {name}: {error!r}") from error
        finally:
            self._histories.note_checked(name)

    def _tidy_history(self) -> None:
        """The timeline is the exporter's; here nobody reads it."""
        if self._monotonic() >= self._tidy_at:
            self._store.forget_history(self._clock() - TIDY_INTERVAL_SECONDS)
            self._tidy_at = self._monotonic() + TIDY_INTERVAL_SECONDS


def _try_action(act: Callable[..., None], *arguments: object) -> Exception | None:
    try:
        act(*arguments)
    except Exception as error:
        return error
    return None
