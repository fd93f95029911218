"""Timing that shows the machine's noise: medians of interleaved repetitions, with their spread.

The subjects of one table take turns, so that a slow moment of the machine falls on all of them.
"""

import gc
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

LOAD_BEFORE = os.getloadavg()[0]
"""The machine's load before this benchmark began."""


@dataclass(frozen=True)
class Row:
    """What one subject took, in seconds a call."""

    name: str
    median: float
    p90: float
    spread: float
    """Relative range of the repetitions' medians: what of a difference may be noise."""
    medians: tuple[float, ...]
    """Of each repetition."""


def measure(name: str, func: Callable[[], object], repeat: int = 1000, *, rounds: int = 5) -> Row:
    """Time `repeat` single calls of `func`, `rounds` times."""
    return compare({name: func}, repeat, rounds=rounds)[0]


def compare(subjects: dict[str, Callable[[], object]], repeat: int = 1000, *, rounds: int = 5) -> list[Row]:
    """Time several functions side by side: `rounds` turns, in each `repeat` single calls of every one."""
    times: dict[str, list[list[float]]] = {name: [] for name in subjects}
    for func in subjects.values():
        func()
    for _ in range(rounds):
        for name, func in subjects.items():
            times[name].append(_timed(func, repeat))
    return [_row(name, turns) for name, turns in times.items()]


def table(rows: Sequence[Row], *, title: str = "", unit: str = "µs") -> str:
    """The rows as text. `unit` is ``µs``, ``ms`` or ``s``."""
    factor = {"µs": 1e6, "ms": 1e3, "s": 1.0}[unit]
    width = max(len(row.name) for row in rows)
    lines = [f"{title}   [{machine()}]", f"{'':{width}}  {'median':>10}  {'p90':>10}  {'noise':>6}"]
    lines += [
        f"{row.name:{width}}  {row.median * factor:7.2f} {unit:2}  {row.p90 * factor:7.2f} {unit:2}  {row.spread:5.0%}"
        for row in rows
    ]
    return "\n".join(lines)


def machine() -> str:
    """One line about where the numbers come from."""
    return f"{system()}, load {os.getloadavg()[0]:.1f}"


def system() -> str:
    """The part of it that stays."""
    return f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"


def _timed(func: Callable[[], object], repeat: int) -> list[float]:
    clock = time.perf_counter
    taken = []
    gc.collect()
    for _ in range(repeat):
        begin = clock()
        func()
        taken.append(clock() - begin)
    return taken


def _row(name: str, turns: list[list[float]]) -> Row:
    flat = [value for turn in turns for value in turn]
    medians = [median(turn) for turn in turns]
    middle = median(flat)
    p90 = quantiles(flat, n=10)[-1] if len(flat) > 1 else middle
    return Row(name, middle, p90, (max(medians) - min(medians)) / middle if middle else 0.0, tuple(medians))
