"""Which channels a drill is for: those that the routes of its severity reach, or the one that was named."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from vv_exporter.channels import REACHED, configured, names_of
from vv_exporter.settings import Settings

SEVERITIES = tuple(REACHED)
"""That people are told of, the gravest first."""

LEAST_PATIENCE_SECONDS = 120.0
"""What Alertmanager may take: it collects warnings for half a minute, and tries a provider for a minute."""
PATIENCE_INTERVALS = 4  # scrapes and evaluations beside that


class Step(msgspec.Struct, frozen=True):
    """One alert of a drill: its severity, the channels that must take it, and which of them it is for alone, if any."""

    severity: str
    channels: tuple[str, ...]
    only: str = ""


def drill_channels(settings: Settings) -> list[str]:
    """The channels that can be drilled. The dead man's switch is not among them: it hears the Watchdog all the time."""
    return [name for name in configured(settings) if name not in names_of("beat")]


def patience(settings: Settings) -> float:
    """How many seconds the channels have to take a drill."""
    return LEAST_PATIENCE_SECONDS + PATIENCE_INTERVALS * settings.scrape_interval


def plan(severity: str, channel: str, available: Iterable[str]) -> tuple[Step, ...]:
    """The alerts of a drill. Without a severity, and a channel, every channel gets one: by the critical route, if that
    reaches it."""
    if channel:
        return (Step(severity or _gravest_severity(channel), (channel,), channel),) if channel in available else ()
    names = list(available)
    first = severity or SEVERITIES[0]
    reached = tuple(name for name in names if name in names_of(*REACHED[first]))
    steps = [Step(first, reached)] if reached else []
    if not severity:
        steps += [Step(_gravest_severity(name), (name,), name) for name in names if name not in reached]
    return tuple(steps)


def _gravest_severity(channel: str) -> str:
    """The gravest severity that a channel takes."""
    return next((severity for severity in SEVERITIES if channel in names_of(*REACHED[severity])), SEVERITIES[-1])
