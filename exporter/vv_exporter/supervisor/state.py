"""What the self-monitor remembers of a container, written before anything is done, so that a kill loses nothing."""

from __future__ import annotations

import msgspec

from vv_exporter.common.times import UnixTime
from vv_exporter.state.store import Kind


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """A restart that was counted, and of which it is not yet known what came of it. `at` is in Unix seconds.

    `before` is the container's `State.StartedAt` (nanoseconds): once that is another, it was started. `stops` says that
    it has to be stopped first. `asked`: the Engine has confirmed.
    """

    id: str
    at: UnixTime
    before: int
    reason: str = ""
    stops: bool = False
    asked: bool = False


class Supervised(msgspec.Struct, frozen=True, omit_defaults=True):
    """The history of the container with the id `container`. Times are Unix seconds, 0 for never."""

    container: str
    restarts: tuple[UnixTime, ...] = ()
    """When it was restarted, by the self-monitor or by Docker's policy; the newest last."""
    policy_seen: int = 0
    """How many restarts by policy are counted in `restarts`."""
    failing_since: UnixTime = 0.0
    attempt: Attempt | None = None
    owed: bool = False
    """It was stopped by the self-monitor, and has not run since."""
    gave_up: UnixTime = 0.0
    reason: str = ""
    """Why it was given up."""
    stop_due: bool = False
    """It was given up and is yet to be stopped."""
    policy_before: str = ""
    """Docker's restart policy, as name:retries, that was taken from it when it was stopped."""
    reported: bool = msgspec.field(default=False, name="told")
    """Whether the journal knows that it was given up."""


SUPERVISED: Kind[Supervised] = Kind("supervised_container", Supervised)
