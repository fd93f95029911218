"""What a silence would do, before it is made."""

from __future__ import annotations

from collections.abc import Sequence

from vv_exporter.alertmanager.silences.client import Silences
from vv_exporter.common.matchers import WATCHDOG, Matcher, check, watchdog_silenced


def preview(silences: Silences, matchers: Sequence[Matcher], device: str) -> list[str]:
    """The titles of the alerts that fire now and would be silenced, as Alertmanager itself finds them.

    Raises `ValueError`, with the cure, for what no silence may match, and `SilenceError`.
    """
    check(matchers, device)
    found = silences.affected(matchers)
    if any(one.name == WATCHDOG for one in found):
        raise watchdog_silenced()
    return [one.title for one in found]
