"""What is kept of the alert path across restarts of the exporter."""

from __future__ import annotations

import msgspec

from vv_exporter.common.times import UnixTime
from vv_exporter.state.store import Kind


class PathState(msgspec.Struct, frozen=True, omit_defaults=True):
    """`closed`: a beat has come round before. `since` (Unix seconds) is when it was last known to while it does not, 0
    otherwise; then `hop` and `reason` say where it stops, and `announced` that people were told:
    by the exporter, or by the rule `announced_by`, which says the same of this hop.

    `unheard`: seconds without a beat, as last saved.
    """

    closed: bool = False
    since: UnixTime = 0.0
    hop: str = ""
    reason: str = ""
    announced: bool = False
    announced_by: str = ""
    unheard: float = 0.0

    @property
    def is_broken(self) -> bool:
        """Whether beats do not come back."""
        return self.since > 0

    @property
    def up(self) -> bool | None:
        """Whether alerts get out; None while nobody knows."""
        return False if self.is_broken else True if self.closed else None


PATH: Kind[PathState] = Kind("alert_path", PathState)
