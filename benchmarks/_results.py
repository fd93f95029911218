"""What benchmarks publish: the last results of each in `.vv/bench/NAME.json`, of which README's table is made."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec
from benchmarks._measure import LOAD_BEFORE, Row, system

from vv_exporter.common.programs import home

OURS = "vv-exporter"
"""The subject that the others are compared with."""


class Figure(msgspec.Struct, frozen=True):
    """One thing that was measured of one subject, in rounds (or windows) that all subjects share."""

    what: str
    subject: str
    unit: str
    rounds: tuple[float, ...]


class Run(msgspec.Struct, frozen=True):
    """What one run of one benchmark found, and where."""

    bench: str
    date: str
    commit: str
    machine: str
    load: tuple[float, float]
    """The average of a minute before the benchmark and at its end, which has the benchmark's own part."""
    figures: tuple[Figure, ...]
    absent: dict[str, str] = {}
    """Who was to be measured, too, and why it was not."""


def publish(bench: str, figures: Sequence[Figure], absent: dict[str, str] | None = None) -> None:
    """Keep these as the benchmark's last results."""
    run = Run(
        bench,
        time.strftime("%Y-%m-%d", time.gmtime()),
        _commit(),
        system(),
        (round(LOAD_BEFORE, 1), round(os.getloadavg()[0], 1)),
        tuple(figures),
        absent or {},
    )
    folder = results_folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{bench}.json").write_bytes(msgspec.json.format(msgspec.json.encode(run)))


def published() -> list[Run]:
    """The last results of every benchmark that has some, by its name."""
    return [msgspec.json.decode(file.read_bytes(), type=Run) for file in sorted(results_folder().glob("*.json"))]


def results_folder() -> Path:
    """Where results are kept."""
    return home() / "bench"


def figures_of(rows: Sequence[Row], named: dict[str, tuple[str, str]], *, unit: str = "µs") -> list[Figure]:
    """The timed rows that are published: `named` has, by the row's name, what it is and whose it is."""
    factor = {"µs": 1e6, "ms": 1e3, "s": 1.0}[unit]
    return [
        Figure(*named[row.name], unit, tuple(value * factor for value in row.medians))
        for row in rows
        if row.name in named
    ]


def comparison(figure: Figure, others: Sequence[Figure]) -> Figure | None:
    """How many times ours it is, round by round; None where there is nothing of ours to divide by, or it is ours."""
    ours = next((one for one in others if one.what == figure.what and one.subject == OURS), None)
    if ours is None or ours is figure or min(ours.rounds) <= 0 or len(ours.rounds) != len(figure.rounds):
        return None
    ratios = tuple(theirs / own for theirs, own in zip(figure.rounds, ours.rounds, strict=True))
    return Figure(figure.what, figure.subject, "×", ratios)


def shown(figure: Figure) -> str:
    """The median with its unit, and in brackets the least and the most where they differ: ``4.1 µs (4.0–4.4)``."""
    least, middle, most = (number(value) for value in (min(figure.rounds), median(figure.rounds), max(figure.rounds)))
    text = f"×{middle}" if figure.unit == "×" else f"{middle} {figure.unit}".rstrip()
    return text if least == most else f"{text} ({least}–{most})"


def number(value: float) -> str:
    """As many digits as a measurement has: three, and none behind the point of large ones."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _commit() -> str:
    root = Path(__file__).parents[1]
    done = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip()
