"""`vv config`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vv_exporter.cli._output import say
from vv_exporter.language import decimal
from vv_exporter.language import gettext as _

if TYPE_CHECKING:
    from vv_exporter.settings import FreeSpace, Settings

DISK_ANSWERS_SECONDS = 3.0


@click.group("config")
def command() -> None:
    """The configuration: the environment and vv.yml (the environment wins)."""


@command.command()
@click.option(
    "--out", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to."
)
@click.option(
    "--prometheus-out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Another folder for what Prometheus reads: then it needs no right to see the channels' secrets.",
)
def render(out: Path, prometheus_out: Path | None) -> None:
    """Write the files that Prometheus and Alertmanager run with, and the secret files that they read (mode 0600)."""
    from vv_exporter.channels import deadman
    from vv_exporter.render import render as write
    from vv_exporter.settings import load

    settings = load()
    try:
        write(settings, out, prometheus_out)
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--out") from error
    say(f"{out}: {_channels_line(settings)}")
    if not settings.deadman_url:
        say(_("vv: warning: {warning}").format(warning=_(deadman.UNSET)), err=True)


@command.command()
@click.option(
    "--env-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Check this file as systemd reads it for the services (/etc/vv/vv.env), instead of the environment.",
)
@click.pass_context
def check(context: click.Context, env_file: Path | None) -> None:
    """Read everything and say what is wrong, a line each (exit code 2), or which channels are on."""
    from vv_exporter import channels
    from vv_exporter.settings import SettingsError, load

    environ, problems = _environment_in(env_file) if env_file else (None, [])
    try:
        settings = load(environ)
        problems += channels.problems(settings)
    except SettingsError as error:
        problems += error.problems
    if problems:
        for problem in problems:
            say(f"vv: {problem}", err=True)
        context.exit(2)
    for warning in _warning_lines(settings, environ):
        say(_("vv: warning: {warning}").format(warning=warning), err=True)
    say(f"ok: {_channels_line(settings)}")
    for line in (*_language_lines(settings), *_disk_limits(settings)):
        say(line)


def _language_lines(settings: Settings) -> Iterator[str]:
    """How much of the language is there."""
    from vv_exporter.language import ENGLISH, untranslated

    if settings.language == ENGLISH:
        return
    lacking = untranslated(settings.language)
    if lacking:
        words = _("language {language}: messages that it lacks, and that are shown in English: {count}")
    else:
        words = _("language {language}: every message is there")
    yield words.format(language=settings.language, count=lacking)


def _disk_limits(settings: Settings) -> Iterator[str]:
    """Below which free space each disk of this machine is reported, as far as the disk answers."""
    from vv_exporter.probes.filesystem import usage_within

    for path in filter(None, (settings.host_root, settings.video_storage_root)):
        usage = usage_within(path, DISK_ANSWERS_SECONDS)
        if usage is None or not usage.size:
            yield _("disk {path}: its limits follow from its size, which is not known now").format(path=path)
            continue
        limits = (
            ("DISK_WARNING_FREE", settings.disk_warning_free),
            ("DISK_CRITICAL_FREE", settings.disk_critical_free),
        )
        below = _("{name} below {size}")
        said = ", ".join(below.format(name=name, size=_limit_text(free, usage.size)) for name, free in limits)
        size = decimal(f"{usage.size / 1e9:.1f}")
        yield _("disk {path} ({size} GB): {limits}").format(path=path, size=size, limits=said)


def _limit_text(free: FreeSpace, size: float) -> str:
    text = decimal(f"{free.least(size) / 1e9:.1f} GB")
    if free.bytes is None or free.most is None or free.bytes <= free.most * size:
        return text
    given = decimal(f"{free.bytes / 1e9:.1f} GB")
    return _("{limit} ({given} count as at most {most} of it)").format(limit=text, given=given, most=f"{free.most:.0%}")


def _channels_line(settings: Settings) -> str:
    from vv_exporter.channels import all_channels

    on = [_(channel.title) for channel in all_channels() if channel.is_configured(settings)]
    off = [f"{_(one.title)} ({one.variables()})" for one in all_channels() if not one.is_configured(settings)]
    return _("device {device}; channels on: {on}; off: {off}").format(
        device=settings.device_id, on=", ".join(on), off=", ".join(off) or _("none")
    )


def _environment_in(file: Path) -> tuple[dict[str, str], list[str]]:
    """What the file sets, and what is wrong with lines that set nothing."""
    from vv_exporter.settings.environmentfile import parse_environment_file, passed_over

    try:
        text = file.read_text(encoding="utf-8")
        return parse_environment_file(text), passed_over(text)
    except (OSError, UnicodeDecodeError) as error:
        why = _("{path} cannot be read: {error}").format(path=file, error=error)
        raise click.BadParameter(why, param_hint="--env-file") from error


def _warning_lines(settings: Settings, environ: Mapping[str, str] | None) -> Iterator[str]:
    from vv_exporter.channels import deadman, switched_on
    from vv_exporter.settings import secret_files

    for name, path in secret_files(environ).items():
        if path.stat().st_mode & 0o007:
            yield _("{name}: others can read {path}; chmod 600 {path}").format(name=name, path=path)
    if not any(channel.kind in ("chat", "pager") for channel in switched_on(settings)):
        yield _(
            "SLACK_WEBHOOK_URL: neither chat nor pager is configured; errors and critical alerts are in app.log only"
        )
    if settings.quiet_hours and not settings.smtp_smarthost:
        yield _("VV_QUIET_HOURS: no e-mail is configured; a warning that ends within them is in app.log only")
    if not settings.deadman_url:
        yield _(deadman.UNSET)
