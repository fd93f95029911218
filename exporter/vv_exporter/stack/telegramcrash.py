"""Alertmanager that crashes on an answer of Telegram's: from then on it writes to Telegram by way of the exporter.

Alertmanager (0.33, 0.34) reads the chat of an answer without looking whether there is one, and a proxy before Telegram
may leave it out: https://github.com/prometheus/alertmanager/blob/main/notify/telegram/telegram.go. It ends with a panic
after Telegram took the message, and does not know that: started again, it writes to Telegram again, and ends again. The
exporter gives it whole answers (`web/routes/telegram.py`).

It is not so from the beginning, for what is wrong with the exporter itself would not be sent by Telegram then.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from vv_core.alerter import send_alert
from vv_exporter.render import render
from vv_exporter.render.commands import Commands
from vv_exporter.settings import Settings, SettingsError
from vv_exporter.stack.progress import last_lines
from vv_exporter.stack.terminal import COMPONENT, say

log = logging.getLogger(__name__)

TRACE_LINES = 60
"""Of the end of its output that are looked at: Go prints the goroutine that crashed, with some twenty calls."""
_PANIC, _PLACE = "panic: ", "notify/telegram."
TITLE = "Alertmanager crashed on an answer of Telegram"
DETAILS = (
    "What answers at TELEGRAM_API_URL names no chat, which Alertmanager does not survive. It was started again and "
    "writes to Telegram by way of the exporter now: alerts get out, but Telegram is not told that the exporter is down."
)


def avert_next(settings: Settings, config: Path, log_file: Path) -> bool:
    """Before Alertmanager is started again: whether it ended by this, and it will not again.

    Its configuration, in the folder `config`, is written anew. Once that has changed nothing, it was so already.
    """
    if settings.telegram_through_exporter == "true" or not is_telegram_crash(last_lines(log_file, TRACE_LINES)):
        return False
    changed = dataclasses.replace(settings, telegram_through_exporter="true")
    before = _configuration(config)
    try:
        render(changed, config)
    except (OSError, SettingsError) as error:
        log.error("Alertmanager cannot be configured to write to Telegram by way of the exporter: %s", error)
        return False
    if _configuration(config) == before:
        return False
    say(f"{TITLE} ({log_file}). {DETAILS}")
    send_alert(
        "ERROR",
        TITLE,
        DETAILS,
        COMPONENT,
        suggested_actions=(
            "Have the proxy at TELEGRAM_API_URL pass on the whole answer of sendMessage, `result.chat` included",
            "Until then set TELEGRAM_THROUGH_EXPORTER=true: Alertmanager does not crash at the next start",
            Commands(changed).here("See that it arrives: `vv notify test --channel telegram`"),
        ),
    )
    return True


def _configuration(config: Path) -> bytes:
    path = config / "alertmanager.yml"
    return path.read_bytes() if path.exists() else b""


def is_telegram_crash(output: str) -> bool:
    """Whether a trace of Go at the end of an output is of a panic in the notifier of Telegram."""
    trace = output.rpartition(_PANIC)[2] if _PANIC in output else ""
    return _PLACE in trace
