"""``vv alert``: `vv_core.alerter.send_alert` for shells."""

import click

from vv_core.alerter import LEVELS
from vv_core.common import levels
from vv_exporter.language import gettext as _
from vv_exporter.reporting.reports import NotRecordedError, report_alert


@click.command("alert")
@click.argument("level")
@click.argument("title")
@click.option("--details", default="", help="What happened; - reads it from standard input.")
@click.option("--component", help="Who says so (default: vv alert).")
@click.option("--context", multiple=True, metavar="KEY=VALUE", help="What it is about, such as video=…; repeatable.")
@click.option("--suggest", multiple=True, metavar="TEXT", help="What to do about it; repeatable.")
@click.option("--dedupe-key", help="Alerts with this key, component and title are the same alert.")
def command(
    level: str,
    title: str,
    details: str,
    component: str | None,
    context: tuple[str, ...],
    suggest: tuple[str, ...],
    dedupe_key: str | None,
) -> None:
    """Raise an alert and print its id. LEVEL is INFO, WARNING, ERROR or CRITICAL, or what syslog calls them: crit, err.

    An alert with another level is raised as ERROR all the same, for it is worth more than the mistake; the exit
    code is then 2. That no exporter reads it at present is a warning: it is delivered when one does.
    """
    try:
        report_alert(level, title, details, component, _parse_pairs(context), suggest, dedupe_key)
    except NotRecordedError as error:
        raise click.ClickException(str(error)) from error
    if levels.known(level) is None:
        odd = _("LEVEL is one of {levels}, not {level}; the alert was raised as ERROR")
        raise click.UsageError(odd.format(levels=", ".join(LEVELS), level=repr(level)))


def _parse_pairs(context: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for item in context:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise click.UsageError(_("--context takes KEY=VALUE, not {text}").format(text=repr(item)))
        pairs[key] = value
    return pairs
