"""Settings for rendering."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vv_exporter.settings import Settings, load

SECRETS = {
    "SLACK_WEBHOOK_URL": "https://hooks.example.org/slack-secret",
    "TELEGRAM_BOT_TOKEN": "123:telegram-secret",
    "TELEGRAM_CHAT_ID": "-100123456",
    "PAGERDUTY_ROUTING_KEY": "pagerduty-secret",
    "OPSGENIE_API_KEY": "opsgenie-secret",
    "SMTP_PASSWORD": "smtp-secret",
    "ALERTMANAGER_WEBHOOK_URL": "https://example.org/webhook-secret",
    "DEADMAN_URL": "https://example.org/deadman-secret",
}
EVERY_CHANNEL = SECRETS | {
    "SMTP_SMARTHOST": "mail.example.org:587",
    "SMTP_FROM": "vv@example.org",
    "SMTP_USERNAME": "vv",
    "ALERT_EMAIL_TO": "ana@example.org",
}
Load = Callable[..., Settings]


@pytest.fixture
def settings_of(tmp_path: Path) -> Load:
    """Settings from variables, with a state folder of the test's own."""

    def settings_of(**environ: str) -> Settings:
        return load({"VV_STATE_DIR": str(tmp_path / "state"), "VV_DEVICE_ID": "edge-7"} | environ)

    return settings_of
