"""`vv status`."""

from __future__ import annotations

import re
import sys

import click
import msgspec
import requests

from vv_exporter.settings import load
from vv_exporter.status import Container, Disk, Job, Stage, Status

COLOURS = {"critical": "red", "error": "red", "warning": "yellow", "info": "blue"}
TIMEOUT = 15.0  # seconds


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print the document that GET /api/v1/status gives.")
@click.option("--url", help="The exporter's address; default: 127.0.0.1 and VV_EXPORTER_PORT.")
def command(as_json: bool, url: str | None) -> None:
    """Show the device's state: what fires first, then disks, stages, jobs and containers.

    The exit code is 0 when all is well, 1 when something is wrong or the exporter does not answer.
    """
    address = f"{url or load().exporter_url}/api/v1/status"
    try:
        answer = requests.get(address, timeout=TIMEOUT)
        answer.raise_for_status()
        document = msgspec.json.decode(_printable(answer.text), type=Status)
    except (requests.RequestException, msgspec.DecodeError) as error:
        click.echo(f"vv: the exporter does not answer at {address} ({type(error).__name__}); is it running?", err=True)
        sys.exit(1)
    click.echo(answer.content if as_json else "\n".join(lines(document)))
    sys.exit(0 if document.ok else 1)


def lines(document: Status) -> list[str]:
    """The document as people read it."""
    verdict = click.style("all is well", fg="green") if document.ok else click.style("needs attention", fg="red")
    shown = [f"{document.device}: {verdict}"]
    if not document.ok:
        shown += [f"  {_coloured(trouble)}" for trouble in document.troubles]
    shown += _section("Disks", [_disk(disk) for disk in document.disks])
    shown += _section("Stages", [_stage(stage, document.time) for stage in document.stages])
    shown += _section("Jobs", [_job(job, document.time) for job in document.jobs])
    shown += _section("Containers", [_container(one) for one in document.containers])
    for alert in document.alerts or ():
        shown += ["", _coloured(f"{alert.severity}: {alert.summary}") + f" (since {alert.since})"]
        shown += [f"  {line}" for line in (alert.description + "\n" + alert.suggested_actions).strip().splitlines()]
        shown += [f"  {alert.runbook_url}"]
    return shown


def _section(title: str, rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["", title] + ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _disk(disk: Disk) -> tuple[str, ...]:
    if not disk.readable or not disk.size:
        return disk.role, disk.path, "cannot be used"
    return disk.role, disk.path, f"{disk.free / 1e9:.1f} GB free of {disk.size / 1e9:.1f} ({disk.free / disk.size:.0%})"


def _stage(stage: Stage, now: float) -> tuple[str, ...]:
    state = f"{stage.running} running" + (f", {stage.overdue} over the limit" if stage.overdue else "")
    counts = f"{stage.succeeded} succeeded, {stage.failed} failed, {stage.crashed} crashed"
    return stage.name, state, f"last success {_ago(stage.last_success, now)}", counts


def _job(job: Job, now: float) -> tuple[str, ...]:
    if job.next_due is None:
        due = "no schedule"
    elif job.late:
        due = f"{_span(job.late)} late"
    else:
        due = f"due in {_span(job.next_due - now)}" if job.next_due > now else "due now"
    return job.name, due, f"last success {_ago(job.last_success, now)}", f"{job.failed} failed"


def _container(one: Container) -> tuple[str, ...]:
    return one.name, one.state, one.health, f"{one.restarts} restarts" + ("" if one.expected else ", not expected")


def _ago(moment: float | None, now: float) -> str:
    return "never" if not moment else f"{_span(now - moment)} ago"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _coloured(text: str) -> str:
    severity, separator, _ = text.partition(": ")
    return click.style(text, fg=COLOURS[severity]) if separator and severity in COLOURS else text


def _printable(text: str) -> str:
    """Without the control characters that JSON can carry: names come from elsewhere, and terminals obey them."""
    return re.sub(r"\\u00(?:[01][0-9a-f]|7f|[89][0-9a-f])|[\x7f-\x9f]", " ", text)
