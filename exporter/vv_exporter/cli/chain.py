"""``vv chain``: whether logs of signed lines are whole."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from vv_core.chain import ChainCheck, Head, Report, kept_heads
from vv_core.common import texts
from vv_exporter.cli._output import say
from vv_exporter.language import gettext as _
from vv_exporter.language import ngettext, translatable
from vv_exporter.probes.chain_files import lines_of, log_files
from vv_exporter.settings import load

SHOWN_NOTES = 20


@click.group("chain")
def command() -> None:
    """Logs of signed lines, each bound to the one before."""


@command.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="CHAIN:NUMBER:MAC",
    help="A line that must be there, as a daily digest has it.",
)
@click.option("--from-start", is_flag=True, help="No line was rotated away: the first one has number 1.")
@click.option("--no-state", is_flag=True, help="These logs are another device's: its head is not here.")
@click.pass_context
def verify(
    context: click.Context,
    paths: tuple[str, ...],
    heads: tuple[str, ...],
    as_json: bool,
    from_start: bool,
    no_state: bool,
) -> None:
    """Say which lines are missing, doubled, out of order or changed in the logs PATH (default: VV_CHAIN_LOGS).

    Files, folders and patterns; rotated and compressed ones (.1, -20261129, .gz) are taken in their order, and a .json
    file is one line. Keys are those of VV_HMAC_KEY_FILE and VV_HMAC_KEYS_DIR. Unless --no-state is given, lines are
    missing as well that the head in VV_STATE_DIR says were written.

    \b
    Exit codes: 0 whole, 1 not whole or unreadable, 2 wrong use, or keys are not here.
    """
    settings = load()
    paths = paths or settings.chain_logs
    if not paths:
        say(_("UNKNOWN: no log is named; say PATH, or set VV_CHAIN_LOGS"))
        context.exit(1)
    known = [_parse_head(text) for text in heads]
    kept = [] if no_state else kept_heads(str(settings.state_dir / "chains"))
    check = ChainCheck(heads=kept, known=known, from_start=from_start)
    files = log_files(paths)
    unread = [] if files else [_("no such file: {paths}").format(paths=" ".join(paths))]
    with click.progressbar(
        length=sum(map(_size_of, files)) or 1, label=_("verifying"), file=sys.stderr, hidden=as_json
    ) as bar:
        for path in files:
            try:
                for line, where in _numbered_lines(path):
                    check.add(line, where)
                    bar.update(len(line))
            except OSError as error:
                unread.append(f"{path}: {error.strerror or error}")
    report = check.finish(partial=bool(unread))
    if as_json:
        click.echo(json.dumps(_report_document(report, unread), indent=2))
    else:
        _print_report(report, unread)
    if report.broken or unread or not report.chained:
        context.exit(1)
    if report.unknown:
        context.exit(2)


def _parse_head(text: str) -> Head:
    chain, _colon, rest = text.partition(":")
    number, _colon, mac = rest.partition(":")
    if not chain or not (number.isascii() and number.isdigit()) or len(mac) != 64:
        raise click.BadParameter(_("{text} is not CHAIN:NUMBER:MAC").format(text=repr(text)), param_hint="--head")
    return Head(chain, int(number), mac.lower())


def _numbered_lines(path: Path) -> Iterator[tuple[bytes, str]]:
    name = texts.path(path, 300)
    for line, number in lines_of(path):
        yield line, f"{name}:{number}"


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _print_report(report: Report, unread: list[str]) -> None:
    for name, head in sorted(report.heads.items()):
        text = _("{chain}: number {number}, key {key}, MAC {mac}")
        say(text.format(chain=name, number=head.number, key=head.key_id, mac=head.mac))
    lines = ngettext("{count} line, {chained} in a chain", "{count} lines, {chained} in a chain", report.lines)
    say(lines.format(count=report.lines, chained=report.chained))
    notes = [finding for finding in report.findings if not finding.breaks]
    for finding in notes[:SHOWN_NOTES]:
        say(_("note: {kind}: {finding}").format(kind=finding.kind, finding=finding))
    if len(notes) > SHOWN_NOTES:
        say(_("note: {count} more: --json shows them").format(count=len(notes) - SHOWN_NOTES))
    for finding in report.findings:
        if finding.breaks:
            say(_("broken: {kind}: {finding}").format(kind=finding.kind, finding=finding))
    for problem in unread:
        say(f"vv: {problem}", err=True)
    say(_(_verdict_of(report, unread)))


def _verdict_of(report: Report, unread: list[str]) -> str:
    if report.broken:
        return translatable("NOT WHOLE")
    if unread:
        return translatable("UNKNOWN: not everything could be read")
    if not report.chained:
        return translatable("UNKNOWN: no line of a chain is here")
    if report.unknown:
        return translatable("UNKNOWN: the keys of some lines are not here (VV_HMAC_KEYS_DIR)")
    return translatable("whole")


def _report_document(report: Report, unread: list[str]) -> dict[str, Any]:
    return {
        "verdict": _verdict_of(report, unread),
        "broken": report.broken,
        "unknown": report.unknown or bool(unread) or not report.chained,
        "lines": report.lines,
        "chained": report.chained,
        "heads": {
            name: {"number": head.number, "mac": head.mac, "key_id": head.key_id, "part": head.part}
            for name, head in sorted(report.heads.items())
        },
        "counts": report.counts,
        "findings": [
            {
                "kind": finding.kind,
                "breaks": finding.breaks,
                "chain": finding.chain,
                "first": finding.number,
                "last": finding.last,
                "where": finding.where,
                "text": finding.text,
            }
            for finding in report.findings
        ],
        "unread": unread,
    }
