"""`vv status`."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import zip_longest

import click

from vv_exporter.cli._client import COLOURS, AskError, ask
from vv_exporter.language import ENGLISH, ngettext, speaking, translatable
from vv_exporter.language import gettext as _
from vv_exporter.status import SILENCED, FiringAlert, Status, sections
from vv_exporter.status.table import Cell, Level, Table, ago, clock, plotted

LEVELS: dict[Level, str] = {"good": "green", "warning": "yellow", "bad": "red"}
INHIBITED = translatable("inhibited")
MIN_WIDTH = 40  # characters of a line; a terminal that is narrower wraps it
MIN_COLUMN = 10
MAX_LINES = 4  # of a row


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print the document that GET /api/v1/status gives.")
@click.option("--watch", is_flag=True, help="Refresh it until Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(min=0.5), default=5.0, show_default=True, help="Seconds between, for --watch."
)
@click.option("--url", help="The exporter's address; default: 127.0.0.1 and VV_EXPORTER_PORT.")
def command(as_json: bool, watch: bool, interval: float, url: str | None) -> None:
    """Show the device's state: what fires first, then containers, stages, DVRs, jobs, storage and the rest.

    The exit code is 0 when all is well, 1 when something is wrong or the exporter does not answer.
    """
    code = 0
    try:
        while True:
            text, code = _state_and_code(url, as_json, watch)
            if watch:
                click.clear()
            click.echo(text, err=code == 1 and text.startswith("vv: ") and not watch)
            if not watch:
                break
            time.sleep(interval)
    except KeyboardInterrupt:
        click.echo()
    sys.exit(code)


def _state_and_code(url: str | None, as_json: bool, watch: bool) -> tuple[str, int]:
    """What to print, and the exit code."""
    try:
        with speaking(ENGLISH) if as_json else nullcontext():  # a program gets the same whoever runs it
            document, text = ask(url, "/api/v1/status", {}, Status)
    except AskError as error:
        return f"vv: {error}", 1
    if not as_json:
        on_terminal = sys.stdout.isatty()
        text = "\n".join(on_screen(document, shutil.get_terminal_size(), watch) if on_terminal else lines(document))
    return text, 0 if document.ok else 1


def on_screen(document: Status, screen: os.terminal_size, watch: bool) -> list[str]:
    """So that what is urgent is on the screen: while it is watched as much as there is room for, else a last line."""
    shown = lines(document, screen.columns)
    if len(shown) < screen.lines:
        return shown
    if watch:
        return [*shown[: screen.lines - 2], _left_out(len(shown) - screen.lines + 2)]
    return [*shown, "", _verdict_line(document) + ("" if document.ok else _first_trouble(document.troubles[0]))]


def lines(document: Status, width: int | None = None) -> list[str]:
    """The document as people read it, in lines of that many characters where there is such a limit."""
    shown = [_verdict_line(document)]
    if not document.ok:
        shown += [f"  {_colour_severity(trouble)}" for trouble in document.troubles]
    for alert in document.alerts or ():
        shown += ["", *_alert_lines(alert, document.time, width)]
    for table in sections(document):
        shown += ["", click.style(table.title, bold=True), *_table_lines(table, width)]
    return shown


def _left_out(count: int) -> str:
    return ngettext("… and {count} more line: vv status", "… and {count} more lines: vv status", count).format(
        count=count
    )


def _first_trouble(trouble: str) -> str:
    return "; " + _("first: {trouble}").format(trouble=_colour_severity(trouble))


def _verdict_line(document: Status) -> str:
    verdict = click.style(_("all is well"), fg="green") if document.ok else click.style(_("needs attention"), fg="red")
    return f"{document.device}: {verdict}"


def _alert_lines(alert: FiringAlert, now: float, width: int | None) -> list[str]:
    quiet = f" ({_(SILENCED)})" if alert.silenced else f" ({_(INHIBITED)})" if alert.inhibited else ""
    since = _("since {time} ({moment})").format(time=ago(alert.started, now), moment=clock(alert.started, now))
    texts = (alert.description, alert.suggested_actions)
    lines_ = [line for text in texts for line in text.strip().splitlines()]
    wrapped = [part for line in lines_ for part in _wrap_line(line, width)]
    # An address is not broken: a terminal could not open it.
    runbook = [f"  {alert.runbook_url}"] if alert.runbook_url else []
    return [_colour_severity(f"{alert.severity}: {alert.summary}") + f"{quiet}, {since}", *wrapped, *runbook]


def _wrap_line(line: str, width: int | None) -> list[str]:
    hanging = "     " if line[:1].isdigit() else "  "
    return textwrap.wrap(
        line,
        max(width or sys.maxsize, MIN_WIDTH),
        initial_indent="  ",
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table_lines(table: Table, width: int | None) -> list[str]:
    """Columns under their titles."""
    rows = [[Cell(title, "muted") for title in table.columns], *table.rows]
    texts = [[_cell_text(cell) for cell in row] for row in rows]
    widths = fitting([max(map(len, column)) for column in zip(*texts, strict=True)], width)
    return [line for row, parts in zip(rows, texts, strict=True) for line in _row_lines(row, parts, widths)]


def _row_lines(row: Sequence[Cell], texts: Sequence[str], widths: Sequence[int]) -> list[str]:
    """A row, in as many lines as its cells need in their columns."""
    columns = [
        textwrap.wrap(text, width, max_lines=MAX_LINES, placeholder="…") or [""]
        for text, width in zip(texts, widths, strict=True)
    ]
    lines_ = zip_longest(*columns, fillvalue="")
    return [
        ("  " + "  ".join(_styled_cell(*part) for part in zip(row, line, widths, strict=True))).rstrip()
        for line in lines_
    ]


def fitting(widths: list[int], room: int | None) -> list[int]:
    """The widths of columns, of which the widest give way until all have room, down to `MIN_COLUMN`."""
    widths = list(widths)
    while room is not None and 2 + sum(widths) + 2 * (len(widths) - 1) > room and max(widths) > MIN_COLUMN:
        widths[widths.index(max(widths))] -= 1
    return widths


def _cell_text(cell: Cell) -> str:
    parts = (cell.text, f"({cell.note})" if cell.note else "", plotted(cell.plot))
    return " ".join(" ".join(filter(None, parts)).split())


def _styled_cell(cell: Cell, text: str, width: int) -> str:
    padded = text.ljust(width)
    if cell.level == "muted":
        return click.style(padded, dim=True)
    return click.style(padded, fg=LEVELS[cell.level]) if cell.level in LEVELS else padded


def _colour_severity(text: str) -> str:
    severity, separator, _ = text.partition(": ")
    return click.style(text, fg=COLOURS[severity]) if separator and severity in COLOURS else text
