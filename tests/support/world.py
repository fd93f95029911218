"""A real Alertmanager that runs the rendered configuration, and everybody whom it tells.

with open_world(tmp_path, programs) as world:
    world.raise_alerts(Alert(severity="critical"))
    text = told(world, "PagerDuty", alert.device)
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.receivers import (
    AlertmanagerWebhook,
    DeadMan,
    Log,
    Mail,
    MailServer,
    Opsgenie,
    PagerDuty,
    Recorder,
    Request,
    Slack,
    Telegram,
    TelegramText,
)
from tests.support.routes import hasten
from tests.support.servers import Alertmanager, Programs
from vv_exporter.render import render
from vv_exporter.settings import Settings, load

STARTED = datetime(2026, 1, 31, 10, 30, tzinfo=UTC)
RUNBOOK = "https://example.org/runbooks/StageFailing.md"
_numbers = itertools.count()


@dataclass
class World:
    """Alertmanager and everybody whom it tells."""

    settings: Settings
    alertmanager: Alertmanager
    slack: Slack
    telegram: Telegram
    pagerduty: PagerDuty
    opsgenie: Opsgenie
    webhook: AlertmanagerWebhook
    log: AlertmanagerWebhook
    deadman: DeadMan
    mail: MailServer

    def raise_alerts(self, *alerts: Alert) -> None:
        """Raise or resolve alerts, all in one request, as Prometheus does."""
        self.alertmanager.post("/api/v2/alerts", [alert.payload() for alert in alerts])

    def receivers(self) -> list[Recorder[Any]]:
        """All of them."""
        return [item for item in vars(self).values() if isinstance(item, Recorder)]


@dataclass
class Alert:
    """An alert as a rule raises it; each on a device of its own, so that tests do not meet."""

    name: str = "StageFailing"
    severity: str = "error"
    component: str = "scan_video"
    device: str = field(default_factory=lambda: f"edge-{next(_numbers):03}")
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    started: datetime = STARTED
    """Alertmanager does not wait for others with an alert that is older than `group_wait`."""
    resolved_after: timedelta | None = None

    def payload(self) -> dict[str, Any]:
        labels = {"alertname": self.name, "severity": self.severity, "component": self.component}
        ends = self.started + self.resolved_after if self.resolved_after else datetime.now(UTC) + timedelta(minutes=10)
        return {
            "labels": labels | {"device": self.device} | self.labels,
            "annotations": {
                "summary": "Stage scan_video is failing",
                "description": "3 of the runs of stage scan_video failed; the latest with cam1.mp4: no frames.",
                "suggested_actions": "1. Read the errors: `vv status`\n2. Look at the video",
                "runbook_url": RUNBOOK,
                "video": "cam1.mp4",
                "video_sha256": "ab" * 32,
                "error": "no frames",
                "alert_id": "0190b6c4-0000-7000-8000-000000000001",
            }
            | self.annotations,
            "startsAt": self.started.isoformat(),
            "endsAt": ends.isoformat(),
        }

    def resolved(self) -> Alert:
        """The same alert, ended 90 seconds after it began."""
        return replace(self, resolved_after=timedelta(seconds=90))


@contextmanager
def open_world(
    folder: Path, programs: Programs, timing: Callable[[Path], None] = hasten, **environ: str
) -> Iterator[World]:
    """All channels set to receivers, Alertmanager's times changed by `timing`; the configuration is in `config/`.

    `environ` is what is set besides.
    """
    with ExitStack() as stack:
        slack, telegram = stack.enter_context(Slack()), stack.enter_context(Telegram())
        pagerduty, opsgenie = stack.enter_context(PagerDuty()), stack.enter_context(Opsgenie())
        webhook, log = stack.enter_context(AlertmanagerWebhook()), stack.enter_context(Log())
        deadman, mail = stack.enter_context(DeadMan()), stack.enter_context(MailServer())
        settings = load(
            {
                "VV_DEVICE_ID": "edge-device-001",
                "VV_STATE_DIR": str(folder / "state"),
                "VV_EXPORTER_PORT": log.base_url.rpartition(":")[2],
                "VV_ALERTMANAGER_PORT": str(free_port()),
                "SLACK_WEBHOOK_URL": slack.url,
                "TELEGRAM_BOT_TOKEN": telegram.token,
                "TELEGRAM_CHAT_ID": "-100123",
                "TELEGRAM_API_URL": telegram.base_url,
                "PAGERDUTY_ROUTING_KEY": "k" * 32,
                "PAGERDUTY_URL": pagerduty.url,
                "OPSGENIE_API_KEY": "opsgenie-key",
                "OPSGENIE_API_URL": opsgenie.base_url,
                "SMTP_SMARTHOST": mail.smarthost,
                "SMTP_FROM": "vv-exporter@example.org",
                "SMTP_REQUIRE_TLS": "false",
                "ALERT_EMAIL_TO": "ana@example.org, rui@example.org",
                "ALERTMANAGER_WEBHOOK_URL": webhook.url,
                "DEADMAN_URL": deadman.url,
                **environ,
            }
        )
        config = folder / "config" / "alertmanager.yml"
        render(settings, folder / "config")
        timing(config)
        alertmanager = Alertmanager(config, folder / "alertmanager", programs, settings.alertmanager_port)
        stack.enter_context(alertmanager)
        yield World(settings, alertmanager, slack, telegram, pagerduty, opsgenie, webhook, log, deadman, mail)


def slack_text(request: Request) -> str:
    """What people see of a Slack message, links with their addresses."""
    attachment = request.json["attachments"][0]
    texts = "\n".join(attachment[name] for name in ("title", "text", "fallback", "footer"))
    return html.unescape(texts)


def telegram_text(request: Request) -> str:
    parsed = TelegramText(request.json["text"])
    return "\n".join([parsed.text, *parsed.links.values()])


def pagerduty_text(request: Request) -> str:
    event = request.json
    links = "\n".join(link["href"] for link in event["links"])
    return "\n".join([event["payload"]["summary"], *map(str, event["payload"]["custom_details"].values()), links])


def opsgenie_text(request: Request) -> str:
    return "\n".join(request.json.get(name, "") for name in ("message", "description"))  # a closing one has neither


def webhook_text(request: Request) -> str:
    """The values of the alerts in Alertmanager's JSON."""
    alerts = request.json["alerts"]
    values = [[*alert["labels"].values(), *alert["annotations"].values(), alert["startsAt"]] for alert in alerts]
    return "\n".join(itertools.chain.from_iterable(values))  # its receiver is a program: it makes its own links


def mail_text(mail: Mail) -> str:
    return "\n".join([mail.subject, mail.body("plain")])


def mail_html(mail: Mail) -> str:
    return html.unescape(re.sub(r"<(?!a href)[^>]+>", "", mail.body("html")))


TEXTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "Slack": ("slack", slack_text),
    "Telegram": ("telegram", telegram_text),
    "PagerDuty": ("pagerduty", pagerduty_text),
    "Opsgenie": ("opsgenie", opsgenie_text),
    "webhook": ("webhook", webhook_text),
    "app.log": ("log", webhook_text),
    "e-mail": ("mail", mail_text),
    "e-mail in HTML": ("mail", mail_html),
}
# The severity at which a channel is told.
SEVERITY = {"Slack": "error", "Telegram": "error", "e-mail": "warning", "e-mail in HTML": "warning"}


# Who is told of what; the receivers of `World`.
CHANNELS = {
    "critical": {"slack", "telegram", "pagerduty", "opsgenie", "webhook", "log"},
    "error": {"slack", "telegram", "webhook", "log"},
    "warning": {"slack", "telegram", "mail", "webhook", "log"},
    "info": {"webhook", "log"},
    "none": {"deadman"},
}


def told(world: World, channel: str, *markers: str, timeout: float = 30.0) -> str:
    """What the channel tells of the alert whose text has all `markers` in it."""
    name, text = TEXTS[channel]
    receiver: Recorder[Any] = getattr(world, name)
    return text(receiver.wait_for(lambda item: all(marker in text(item) for marker in markers), timeout))


def seen(item: Request | Mail) -> str:
    """Everything in a request or mail that could name a device."""
    return item.body.decode() if isinstance(item, Request) else mail_text(item)
