"""The command line `vv`: one file a command, loaded only when it is asked for, so that `vv heartbeat` starts fast."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys

import click

from vv_exporter.cli._language import let_click_speak, translated
from vv_exporter.cli._output import say
from vv_exporter.language import ENGLISH, current, of_locale, speaking_everywhere
from vv_exporter.language import gettext as _

WRONG_USE = 2


class Commands(click.Group):
    """The commands that lie in this folder; a command's name is its file's with `-` for `_`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command's name."""
        return sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(__path__) if info.name[0] != "_")

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name, None when there is none."""
        module = name.replace("-", "_")
        if name not in self.list_commands(ctx):
            return None
        try:
            command: click.Command = importlib.import_module(f"{__name__}.{module}").command
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing in ("vv_exporter", "vv_core"):
                raise
            return _not_installed(name, missing)
        return translated(command)


def _not_installed(name: str, missing: str) -> click.Command:
    """What stands in for a command whose libraries are not installed: the SDK alone needs none of them."""

    help_ = _("Not installed: needs vv-exporter[exporter].")

    @click.command(name, help=help_, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def command() -> None:
        needed = "pip install 'vv-exporter[exporter]'"
        raise click.UsageError(
            _("vv {command} needs {missing}: {cure}").format(command=name, missing=missing, cure=needed)
        )

    return command


def _print_version(context: click.Context, _option: click.Parameter, value: object) -> None:
    if value and not context.resilient_parsing:
        from vv_exporter import __version__

        click.echo(f"vv, version {__version__}")
        context.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.option(
    "--env-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, readable=False),
    help="Take settings from this file, as systemd reads it for the services (/etc/vv/vv.env).",
)
def vv(env_file: str | None) -> None:
    """Monitoring of the VV-Video-AI-System on this device.

    \b
    Run it:         vv up                 exporter, Prometheus and Alertmanager on this machine
                    vv exporter           the exporter alone
    In scripts:     vv alert ERROR "Disk swapped" --details "…"
                    vv heartbeat nightly_backup
                    vv cron --job cleanup -- ./cleanup.sh
    Configuration:  vv config check       everything is read from the environment and vv.yml

    Exit codes: 0 ok, 1 failed, 2 wrong use or configuration.
    """
    if env_file:
        os.environ.update(_settings_in(env_file))


def _settings_in(path: str) -> dict[str, str]:
    from vv_exporter.settings.environmentfile import parse_environment_file

    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs 4 ms
            return parse_environment_file(file.read())
    except PermissionError as error:
        why = _("{path} cannot be read ({error}); run it as root").format(path=path, error=error.strerror)
        raise click.BadParameter(why, param_hint="--env-file") from error
    except (OSError, UnicodeDecodeError) as error:
        why = _("{path} cannot be read: {error}").format(path=path, error=error)
        raise click.BadParameter(why, param_hint="--env-file") from error


def main() -> None:
    """The entry point of `vv`: it answers in the language of the shell, as far as its messages are translated."""
    with speaking_everywhere(of_locale()):
        if current() != ENGLISH:
            let_click_speak()
        _run_vv()


def _run_vv() -> None:
    try:
        translated(vv)(prog_name="vv")
    except Exception as error:
        problems = getattr(error, "problems", None)  # SettingsError, without importing what it needs
        if problems is None:
            raise
        first = f"vv: {problems[0]}"
        if len(problems) > 1:
            first = _("{problem} (and {count} more: vv config check)").format(problem=first, count=len(problems) - 1)
        say(first, err=True)
        sys.exit(WRONG_USE)
