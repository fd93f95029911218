"""A section of the status as a table, which the page draws and the terminal prints: so the two say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from vv_exporter.common.clock import isoformat, span
from vv_exporter.language import decimal
from vv_exporter.language import gettext as _

Level = Literal["", "good", "warning", "bad", "muted"]
BLOCKS = "▁▂▃▄▅▆▇█"
QUOTED = 160  # characters of an error in a table; the timeline has all of it


class Bar(NamedTuple):
    """One bar of a plot: the whole height (0 to 1) and how much of it is bad."""

    height: float
    bad: float = 0.0


class Cell(NamedTuple):
    """What stands in a cell. `note` is of less weight; `share` (0 to 1) is drawn as a bar, `plot` as several.

    `bad` is for what is wrong now, and is said among the troubles, too; `warning` for what is to be looked at.
    `moment` (Unix seconds, component) is where the timeline shows it.
    """

    text: str
    level: Level = ""
    note: str = ""
    share: float | None = None
    plot: Sequence[Bar] = ()
    plot_title: str = ""
    moment: tuple[float, str] | None = None


class Table(NamedTuple):
    """A section. The first cell of a row is its name. `more` rows were left out."""

    id: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    more: int = 0

    @property
    def level(self) -> Level:
        """The worst of its cells."""
        levels = {cell.level for row in self.rows for cell in row}
        return "bad" if "bad" in levels else "warning" if "warning" in levels else "good"

    def cut(self, limit: int) -> Table:
        """At most so many rows: the first."""
        if len(self.rows) <= limit:
            return self
        return self._replace(rows=self.rows[:limit], more=self.more + len(self.rows) - limit)


def ago(moment: float | None, now: float) -> str:
    """How long ago a time is; `never` for none."""
    return _("never") if not moment else _("{time} ago").format(time=span(now - moment))


def when(moment: float | None, now: float, level: Level = "") -> Cell:
    """A time, with how long ago it is."""
    if not moment:
        return Cell(_("never"), "muted")
    return Cell(ago(moment, now), level, clock(moment, now))


def clock(moment: float, now: float) -> str:
    """A time of today without its day, another one without its seconds."""
    text = isoformat(moment)
    return text[11:] if text[:10] == isoformat(now)[:10] else f"{text[:10]} {text[11:16]}Z"


def size(count: float) -> str:
    """Bytes in the decimal unit that fits."""
    for power, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(count) >= power:
            return decimal(f"{count / power:.1f} {unit}")
    return f"{count:.0f} B"


def plotted(bars: Sequence[Bar]) -> str:
    """A plot in one line of text."""
    top = len(BLOCKS) - 1
    return "".join("·" if bar.height <= 0 else BLOCKS[round(min(bar.height, 1.0) * top)] for bar in bars)
