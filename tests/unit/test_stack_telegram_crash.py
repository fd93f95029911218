"""What `vv up` does with an Alertmanager that crashed on an answer of Telegram's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vv_core.testing import Events, captured
from vv_exporter.render import render
from vv_exporter.settings import load
from vv_exporter.stack.telegramcrash import TITLE, avert_next

TRACE = """\
  level=INFO msg="Listening on" address=127.0.0.1:9093
  panic: runtime error: invalid memory address or nil pointer dereference
  [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x100f71d]

  goroutine 204 [running]:
  github.com/prometheus/alertmanager/notify/telegram.(*Notifier).Notify(0x114bab26a80, {0x1ec84b8, 0x114ba8a46f0})
  \tgithub.com/prometheus/alertmanager/notify/telegram/telegram.go:124 +0x5dd
  github.com/prometheus/alertmanager/notify.(*Integration).Notify(0x114bade99c0, {0x1ec84b8, 0x114ba8a46f0})
"""
OTHERS = (
    TRACE.replace("notify/telegram", "notify/slack"),
    'level=ERROR component=notify/telegram. msg="Notify for alerts failed"',
    'level=ERROR msg="notify/telegram. failed"\npanic: out of memory\ngoroutine 1 [running]:\nmain.main()',
    "",
)


class Stack:
    """Alertmanager's configuration as `vv up` wrote it, and what Alertmanager printed."""

    def __init__(self, folder: Path) -> None:
        self.settings = load({"VV_STATE_DIR": str(folder), "TELEGRAM_BOT_TOKEN": "1:x", "TELEGRAM_CHAT_ID": "-100"})
        self.config, self.log = folder / "config", folder / "alertmanager.log"
        self.log.write_text(TRACE)
        render(self.settings, self.config)

    def avert_next(self) -> bool:
        return avert_next(self.settings, self.config, self.log)

    @property
    def through_exporter(self) -> bool:
        address = f"http://127.0.0.1:{self.settings.exporter_port}"
        return f"api_url: {address}" in (self.config / "alertmanager.yml").read_text()


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


@pytest.fixture
def told() -> Iterator[Events]:
    with captured() as events:
        yield events


def test_the_next_start_writes_by_way_of_the_exporter_and_people_are_told_once(stack: Stack, told: Events) -> None:
    assert stack.avert_next()
    assert not stack.avert_next()  # another end later on, with the same trace still in the log

    assert stack.through_exporter
    (alert,) = told.of("alert")
    assert (alert["level"], alert["title"]) == ("ERROR", TITLE)
    assert "TELEGRAM_THROUGH_EXPORTER=true" in str(alert["suggested_actions"])


@pytest.mark.parametrize("printed", OTHERS)
def test_any_other_end_is_none_of_this(stack: Stack, printed: str, told: Events) -> None:
    stack.log.write_text(printed)

    assert not stack.avert_next()

    assert not stack.through_exporter
    assert told.of("alert") == []


def test_what_cannot_be_written_is_tried_at_the_next_end(stack: Stack, told: Events) -> None:
    stack.config.rename(elsewhere := stack.config.with_name("elsewhere"))
    stack.config.touch()

    assert not stack.avert_next()
    assert told.of("alert") == []
    stack.config.unlink()
    elsewhere.rename(stack.config)
    assert stack.avert_next()

    assert stack.through_exporter
