"""Quiet hours: warnings wait, everything else does not, in a real Alertmanager that runs the rendered configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.receivers import MailServer, Slack
from tests.support.routes import hasten
from tests.support.servers import Alertmanager, Programs
from vv_exporter.render import render
from vv_exporter.settings import load

pytestmark = pytest.mark.prometheus


class Site(NamedTuple):
    """Alertmanager and whom it tells."""

    alertmanager: Alertmanager
    slack: Slack
    mail: MailServer

    def fire(self, alertname: str, severity: str, title: str) -> None:
        labels = {"alertname": alertname, "severity": severity, "component": "storage", "device": "edge-1"}
        ends = datetime.now(UTC) + timedelta(minutes=10)
        body = {"labels": labels | {"title": title}, "annotations": {"summary": title}, "endsAt": ends.isoformat()}
        self.alertmanager.post("/api/v2/alerts", [body])


@contextmanager
def site(folder: Path, programs: Programs, **environ: str) -> Iterator[Site]:
    with Slack() as slack, MailServer() as mail:
        settings = load(
            {
                "VV_STATE_DIR": str(folder / "state"),
                "SLACK_WEBHOOK_URL": slack.url,
                "SMTP_SMARTHOST": mail.smarthost,
                "SMTP_FROM": "vv-exporter@example.org",
                "SMTP_REQUIRE_TLS": "false",
                "ALERT_EMAIL_TO": "ana@example.org",
            }
            | environ
        )
        render(settings, folder / "config")
        hasten(folder / "config" / "alertmanager.yml")
        with Alertmanager(folder / "config" / "alertmanager.yml", folder / "alertmanager", programs) as alertmanager:
            yield Site(alertmanager, slack, mail)


def around(moment: datetime, hours: int) -> str:
    """From so many hours before it until as many after it."""
    return f"{moment - timedelta(hours=hours):%H:%M}-{moment + timedelta(hours=hours):%H:%M}"


@pytest.mark.parametrize("alertname", ["DiskSpaceLow", "ContainerRestarting", "VVEvent"])
def test_in_quiet_hours_a_warning_waits_and_goes_by_mail(tmp_path: Path, programs: Programs, alertname: str) -> None:
    now = datetime.now(UTC)

    with site(tmp_path, programs, VV_QUIET_HOURS=around(now, 3)) as quiet:
        quiet.fire(alertname, "warning", "may wait")
        quiet.mail.wait_for(lambda mail: "may wait" in mail.body("plain"), 30)
        quiet.fire(alertname, "error", "may not wait")
        quiet.slack.wait_for(lambda request: "may not wait" in request.body.decode(), 30)

        assert quiet.slack.matching(lambda request: "may wait" in request.body.decode()) == []


def test_the_quiet_hours_are_those_of_their_time_zone(tmp_path: Path, programs: Programs) -> None:
    elsewhere = datetime.now(UTC) + timedelta(hours=9)  # Asia/Tokyo, without daylight saving time

    with site(tmp_path, programs, VV_QUIET_HOURS=around(elsewhere, 3), VV_QUIET_HOURS_TIMEZONE="Asia/Tokyo") as quiet:
        quiet.fire("DiskSpaceLow", "warning", "may wait")
        quiet.mail.wait_for(lambda mail: "may wait" in mail.body("plain"), 30)

        assert quiet.slack.received == []


def test_outside_them_nothing_waits(tmp_path: Path, programs: Programs) -> None:
    opposite = datetime.now(UTC) + timedelta(hours=12)

    with site(tmp_path, programs, VV_QUIET_HOURS=around(opposite, 3)) as awake:
        awake.fire("DiskSpaceLow", "warning", "by day")
        awake.slack.wait_for(lambda request: "by day" in request.body.decode(), 30)
