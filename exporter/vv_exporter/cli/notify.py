"""`vv notify`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from vv_exporter.language import gettext as _
from vv_exporter.language import ngettext

if TYPE_CHECKING:
    from vv_exporter.channels import Provider
    from vv_exporter.messages.message import Message
    from vv_exporter.settings import Settings


@click.group("notify")
def command() -> None:
    """The channels that alerts go out by."""


@command.command()
@click.option("--channel", metavar="C", help="This one alone, e.g. slack; all that are configured if not given.")
@click.pass_context
def test(context: click.Context, channel: str | None) -> None:
    """Send a test notification through each configured channel and show what the provider answers.

    The messages come from here, past Alertmanager. At PagerDuty and Opsgenie an incident of the lowest severity is
    opened and closed at once; the dead man's switch gets a beat.

    \b
    Exit codes: 0 every channel took it, 1 one did not, 2 wrong use or nothing to test.
    """
    from vv_exporter import channels
    from vv_exporter.language import speaking
    from vv_exporter.settings import SettingsError, load

    settings = load()
    problems = list(channels.problems(settings))
    if problems:
        raise SettingsError(problems)
    providers = channels.configured(settings)
    if channel is not None and channel not in providers:
        if providers:
            problem = _("{channel} is not a channel that is configured; configured: {channels}")
        else:
            problem = _("{channel} is not a channel that is configured; none is configured")
        text = problem.format(channel=repr(channel), channels=", ".join(providers))
        raise click.BadParameter(text, param_hint="--channel")
    if not providers:
        raise click.UsageError(_("no channel is configured: set SLACK_WEBHOOK_URL or others, see .env.example"))
    chosen = [providers[channel]] if channel is not None else list(providers.values())
    width = max(len(provider.name) for provider in chosen)
    with speaking(settings.language):  # what is sent; who tries it is answered in the shell's
        messages = [_test_message(settings) for _ in chosen]
    failed = [
        provider.name
        for provider, message in zip(chosen, messages, strict=True)
        if not _try_channel(provider, message, width, settings.language)
    ]
    if failed:
        said = ngettext(
            "{failed} of {count} channel failed: {names}", "{failed} of {count} channels failed: {names}", len(chosen)
        ).format(failed=len(failed), count=len(chosen), names=", ".join(failed))
        click.echo(f"vv: {said}", err=True)
        context.exit(1)


def _try_channel(provider: Provider, message: Message, width: int, language: str) -> bool:
    """Send in a language, and print a line."""
    from vv_exporter.channels import ProviderError
    from vv_exporter.language import speaking
    from vv_exporter.reporting.reports import printable

    started = time.monotonic()
    try:
        with speaking(language):
            answer = provider.test(message)
        good, said = True, f"{answer.status} {answer.text}".strip()
    except ProviderError as error:
        good, said = False, str(error)
    took = time.monotonic() - started
    mark = click.style("ok".ljust(len(_("failed"))), fg="green") if good else click.style(_("failed"), fg="red")
    click.echo(f"{provider.name:<{width}}  {mark}  {took * 1000:5.0f} ms  {printable(said)}")
    return good


def _test_message(settings: Settings) -> Message:
    """A message of its own for each channel and call."""
    from vv_core.common.ids import uuid7
    from vv_exporter.messages.message import Message

    id_ = uuid7()
    return Message(
        key=f"{settings.device_id}-test-{id_}",
        title=_("A test notification"),
        severity="info",
        device=settings.device_id,
        component="vv notify test",
        time=time.time(),
        alert_id=id_,
        alertname="Test",
        details=_("Test of the notifications of this device: they arrive."),
        suggested_actions=_("1. Nothing to do"),
        runbook_url=settings.runbook("NotificationsFailing"),
        silence_url=settings.silence_url({"alertname": "Test", "device": settings.device_id}),
        status_url=f"{settings.public_url}/",
    )
