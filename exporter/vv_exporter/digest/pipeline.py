"""Stages, videos and jobs of a digest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from vv_exporter.state.timeline import Moment

TOP = 5
_FAILURES = ("stage.failed", "stage.crashed")


class Stage(msgspec.Struct, frozen=True):
    """A stage's runs."""

    name: str
    runs: int
    failed: int
    crashed: int
    overran: int

    @property
    def bad(self) -> int:
        """What went wrong."""
        return self.failed + self.crashed + self.overran


class Video(msgspec.Struct, frozen=True):
    """A video on which stages failed, and the last error."""

    name: str
    failures: int
    error: str


class Job(msgspec.Struct, frozen=True):
    """A job's runs, and how often it did not come."""

    name: str
    runs: int
    failed: int
    missed: int


def stages(grown: Mapping[str, float]) -> list[Stage]:
    """All that ran, those that went wrong most often first. `grown` is by name and outcome."""
    counts = _by_name(grown)
    found = [
        Stage(
            name,
            runs=sum(one.get(outcome, 0) for outcome in ("success", "failure", "crashed")),
            failed=one.get("failure", 0),
            crashed=one.get("crashed", 0),
            overran=one.get("overrun", 0),
        )
        for name, one in counts.items()
    ]
    return sorted((one for one in found if one.runs or one.bad), key=lambda one: (-one.bad, one.name))


def videos(moments: Iterable[Moment]) -> list[Video]:
    """The videos on which stages failed most often."""
    failures: Counter[str] = Counter()
    errors: dict[str, str] = {}
    for one in moments:
        if one.kind in _FAILURES and one.video:
            failures[one.video] += 1
            errors[one.video] = one.details or one.title
    worst = sorted(failures.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    return [Video(name, count, _first_line(errors[name])) for name, count in worst]


def jobs(grown: Mapping[str, float], missed: Mapping[str, int]) -> list[Job]:
    """All that ran or were missed, those that were missed or failed first."""
    counts = _by_name(grown)
    found = [
        Job(
            name,
            runs=sum(counts.get(name, {}).values()),
            failed=counts.get(name, {}).get("failure", 0) + counts.get(name, {}).get("crashed", 0),
            missed=missed.get(name, 0),
        )
        for name in {*counts, *missed}
    ]
    shown = [one for one in found if one.runs or one.missed]
    return sorted(shown, key=lambda one: (-one.missed, -one.failed, one.name))


def _by_name(grown: Mapping[str, float]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for key, count in grown.items():
        name, _, outcome = key.rpartition("/")
        found.setdefault(name, {})[outcome] = round(count)
    return found


def _first_line(text: str) -> str:
    lines: Sequence[str] = text.strip().splitlines()
    return lines[0] if lines else ""
