"""A proxy before Telegram that answers less than Telegram does ends Alertmanager once, and nobody misses an alert.

Alertmanager (0.33, 0.34) reads `result.chat.id` of an answer without looking whether there is any.
"""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path

import pytest

from tests.support.device import Channels, Device, about
from tests.support.exporter import QUIET
from tests.support.receivers import Answer, Request, Telegram
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.prometheus, pytest.mark.usefixtures("programs")]

ALERT = "from vv_core.alerter import send_alert; import sys; send_alert('ERROR', sys.argv[1], component='lens.py')"


class OddTelegram(Telegram):
    """Takes what Telegram takes, and tells of the message that it did, or of the chat, nothing."""

    _answers = cycle([{"ok": True, "result": {"message_id": 7}}, {"ok": True}])

    def answer(self, request: Request) -> Answer:
        return Answer(200, json.dumps(next(self._answers)))


def test_it_costs_one_restart_of_alertmanager_and_no_alert(tmp_path: Path) -> None:
    channels = Channels()
    channels.telegram = OddTelegram()
    with channels, Device(tmp_path, {**channels.environ(), **QUIET}) as device:
        device.script(ALERT, "The first alert").wait(60)
        for chat in (channels.telegram, channels.slack):
            chat.wait_for(about("The first alert"), 120)
        channels.slack.wait_for(about("TELEGRAM_API_URL", "TELEGRAM_THROUGH_EXPORTER"), 120)
        for title in ("The second alert", "The third alert"):
            device.script(ALERT, title).wait(60)
            for chat in (channels.telegram, channels.slack):
                chat.wait_for(about(title), 120)
        wait_until(lambda: device.alerts(title="The third alert"), 60)

        assert device.output().count("Alertmanager crashed on an answer of Telegram") == 1, device.output()
        assert "Alertmanager ended" not in device.output()
        assert len(channels.telegram.matching(about("The third alert"))) == 1
        assert len(channels.slack.matching(about("TELEGRAM_THROUGH_EXPORTER"))) == 1
        assert channels.violations() == []
