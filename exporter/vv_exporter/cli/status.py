"""`vv status`."""

from __future__ import annotations

import sys
import time

import click

from vv_exporter.cli._client import COLOURS, AskError, ask
from vv_exporter.status import FiringAlert, Status, sections
from vv_exporter.status.table import Cell, Level, Table, ago, plotted

LEVELS: dict[Level, str] = {"good": "green", "warning": "yellow", "bad": "red"}


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print the document that GET /api/v1/status gives.")
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
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
            text, code = _state(url, as_json)
            if watch:
                click.clear()
            click.echo(text, err=code == 1 and text.startswith("vv: ") and not watch)
            if not watch:
                break
            time.sleep(interval)
    except KeyboardInterrupt:
        click.echo()
    sys.exit(code)


def _state(url: str | None, as_json: bool) -> tuple[str, int]:
    """What to print, and the exit code."""
    try:
        document, text = ask(url, "/api/v1/status", {}, Status)
    except AskError as error:
        return f"vv: {error}", 1
    return text if as_json else "\n".join(lines(document)), 0 if document.ok else 1


def lines(document: Status) -> list[str]:
    """The document as people read it."""
    verdict = click.style("all is well", fg="green") if document.ok else click.style("needs attention", fg="red")
    shown = [f"{document.device}: {verdict}"]
    if not document.ok:
        shown += [f"  {_coloured(trouble)}" for trouble in document.troubles]
    for alert in document.alerts or ():
        shown += ["", *_alert(alert, document.time)]
    for table in sections(document):
        shown += ["", click.style(table.title, bold=True), *_rows(table)]
    return shown


def _alert(alert: FiringAlert, now: float) -> list[str]:
    quiet = " (silenced)" if alert.silenced else " (inhibited)" if alert.inhibited else ""
    title = (
        _coloured(f"{alert.severity}: {alert.summary}") + f"{quiet}, since {ago(alert.started, now)} ({alert.since})"
    )
    texts = (alert.description, alert.suggested_actions, alert.runbook_url)
    return [title, *(f"  {line}" for text in texts for line in text.strip().splitlines())]


def _rows(table: Table) -> list[str]:
    """Columns under their titles."""
    rows = [[Cell(title, "muted") for title in table.columns], *table.rows]
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  " + "  ".join(_cell(*part) for part in zip(row, line, widths, strict=True)).rstrip()
        for row, line in zip(rows, texts, strict=True)
    ]


def _text(cell: Cell) -> str:
    parts = (cell.text, f"({cell.note})" if cell.note else "", plotted(cell.plot))
    return " ".join(" ".join(filter(None, parts)).split())


def _cell(cell: Cell, text: str, width: int) -> str:
    padded = text.ljust(width)
    if cell.level == "muted":
        return click.style(padded, dim=True)
    return click.style(padded, fg=LEVELS[cell.level]) if cell.level in LEVELS else padded


def _coloured(text: str) -> str:
    severity, separator, _ = text.partition(": ")
    return click.style(text, fg=COLOURS[severity]) if separator and severity in COLOURS else text
