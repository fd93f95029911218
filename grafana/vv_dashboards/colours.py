"""Colours that people with any kind of colour vision tell apart, and what they mean here.

The palette is Okabe and Ito's, https://jfly.uni-koeln.de/color/. Colour is never alone: states have words, limits are
dashed.
"""

from grafana_foundation_sdk.models.dashboard import Threshold

GOOD = "#009E73"
WARNING = "#E69F00"
BAD = "#D55E00"
NEUTRAL = "#56B4E9"
OTHER = "#CC79A7"
QUIET = "#999999"

Steps = tuple[Threshold, ...]
"""Which colour a value has, from which value on; the first begins at minus infinity."""


def plain(colour: str = NEUTRAL) -> Steps:
    """One colour for all values."""
    return (Threshold(value=None, color=colour),)


def bad_from(value: float, colour: str = BAD) -> Steps:
    """Good below `value`."""
    return (Threshold(value=None, color=GOOD), Threshold(value=value, color=colour))


def bad_below(value: float, colour: str = BAD) -> Steps:
    """Good from `value` on."""
    return (Threshold(value=None, color=colour), Threshold(value=value, color=GOOD))


def rising(warning: float, bad: float) -> Steps:
    """Good, then worth a look, then bad."""
    return (*bad_from(warning, WARNING), Threshold(value=bad, color=BAD))


def falling(bad: float, warning: float) -> Steps:
    """Bad, then worth a look, then good."""
    return (
        Threshold(value=None, color=BAD),
        Threshold(value=bad, color=WARNING),
        Threshold(value=warning, color=GOOD),
    )
