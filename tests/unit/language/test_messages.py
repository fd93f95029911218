"""What is sent to people without Alertmanager: whole in each language, and within the limits of each channel."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.digests import DAY, day
from tests.support.pseudo import forgotten, speaking_pseudo
from vv_exporter.alert_path import message as alert_path
from vv_exporter.alert_path.closing import NOTE
from vv_exporter.alert_path.hops import Hop
from vv_exporter.alert_path.state import PathState
from vv_exporter.alert_path.unwritten import message_of
from vv_exporter.alertmanager.payload import description
from vv_exporter.channels import pagerduty, slack, telegram
from vv_exporter.delivery.accounts import Account
from vv_exporter.delivery.direct import together
from vv_exporter.delivery.in_short import in_short
from vv_exporter.delivery.outage import summary
from vv_exporter.digest import Digest, digest, history, mail
from vv_exporter.language import gettext, languages, speaking
from vv_exporter.messages.message import Message, plain
from vv_exporter.settings import Settings, load
from vv_exporter.state.openalerts import OpenAlert
from vv_exporter.state.store import Store

NOW = 1_795_762_800.0
DATA = {"edge-7", "SHA-256", "vv-exporter", "CRITICAL", "ERROR", "WARNING", "INFO"}
STATE = PathState(hop=Hop.SCRAPE, reason="503", since=NOW - 600)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"VV_STATE_DIR": str(tmp_path), "VV_DEVICE_ID": "edge-7"})


def a_message(settings: Settings, **fields: object) -> Message:
    known = {
        "key": "k", "title": "T7", "severity": "critical", "device": "edge-7", "component": "C7", "time": NOW,
        "alert_id": "A7", "alertname": "N7", "details": "D7", "suggested_actions": "1. S7", "note": "O7",
        "video": "/v7.mp4", "video_sha256": "0f", "runbook_url": "http://r", "silence_url": "http://s",
        "status_url": "http://u",
    }  # fmt: skip
    return Message(**{**known, **fields})  # type: ignore[arg-type]


def missed(name: str) -> Account:
    return Account(
        fingerprint=name, alertname="N7", severity="error", component="C7", title="T7", fired=NOW - 900,
        started=NOW - 900, ended=NOW - 60,
    )  # fmt: skip


def texts(message: Message) -> Iterator[str]:
    """What each channel shows of it."""
    attachment = slack.document(message)["attachments"][0]
    yield from (attachment["fallback"], attachment["title"], attachment["text"])
    yield html.unescape(re.sub(r"<[^>]+>", " ", telegram.html(message)))
    yield plain(message)
    event = pagerduty.document(message, "key")
    yield event.get("payload", {}).get("summary", "")
    yield from (link["text"] for link in event.get("links", ()))


MESSAGES: dict[str, Callable[[Settings], Message]] = {
    "broken": lambda settings: alert_path.broken(STATE, settings),
    "broken at the last hop": lambda settings: (
        alert_path.broken(STATE._replace(hop=Hop.DELIVER), settings)
        if hasattr(STATE, "_replace")
        else alert_path.broken(PathState(hop=Hop.DELIVER, reason="503", since=NOW - 600), settings)
    ),
    "mended": lambda settings: alert_path.mended(STATE, settings, NOW),
    "unwritable": lambda settings: message_of("503", settings, NOW),
    "missed one": lambda settings: summary([missed("a")], settings, NOW),
    "missed many": lambda settings: summary([missed(str(number)) for number in range(20)], settings, NOW),
    "together": lambda settings: together([a_message(settings, key=str(number)) for number in range(30)]),
    "in short": lambda settings: in_short(a_message(settings)),
    "plain": a_message,
    "resolved": lambda settings: a_message(settings, resolved=True),
    "note": lambda settings: a_message(settings, note=gettext(NOTE)),
    "repeated": lambda settings: a_message(
        settings,
        details=description(
            OpenAlert(
                id="1",
                key="k",
                title="T7",
                severity="error",
                component="C7",
                first=NOW,
                last=NOW,
                ends=NOW,
                count=4,
                differing=2,
            )
        ),
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_every_sentence_that_is_sent_is_in_the_catalogue(settings: Settings, name: str) -> None:
    with speaking_pseudo():
        message = MESSAGES[name](settings)
        said = [*texts(message)]

    data = DATA | {settings.public_url, str(settings.state_dir), message.alert_id, message.key, message.alertname}
    data |= {
        *re.findall(r"`[^`]+`|https?://[^\s|>]+", "\n".join(said)),
        *Hop,
        message.component,
        message.video,
        "df -h",
    }
    assert [word for text in said for word in forgotten(text, data)] == []


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("spoken", languages()[1:])
def test_another_language_says_each_of_them_otherwise(settings: Settings, name: str, spoken: str) -> None:
    english = plain(MESSAGES[name](settings))
    with speaking(spoken):
        other = plain(MESSAGES[name](settings))

    assert other != english
    assert re.findall(r"`[^`]+`", other) == re.findall(r"`[^`]+`", english)


@pytest.mark.parametrize("spoken", languages())
@pytest.mark.parametrize("resolved", [False, True])
def test_each_channel_takes_it_in_every_language(settings: Settings, spoken: str, resolved: bool) -> None:
    long = a_message(settings, title="ção & <b> " * 90, details="ção & <b> " * 900, suggested_actions="ção " * 900,
                     note="ção " * 200, component="ção " * 90, resolved=resolved)  # fmt: skip
    with speaking(spoken):
        assert len(telegram.html(long).encode("utf-16-le")) // 2 <= 4096
        assert len(json.dumps(slack.document(long))) <= 40_000
        assert len(pagerduty.document(long, "key").get("payload", {}).get("summary", "")) <= 1024
        assert len(plain(long)) <= 15_000


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Digest:
    store = Store(tmp_path_factory.mktemp("digest") / "state.db", Clock(NOW))
    day(store, NOW)
    found = digest(history.read(store, NOW - DAY, NOW), "edge-7", NOW - DAY, NOW)
    store.close()
    return found


def names(found: object) -> Iterator[str]:
    """Everything in a digest that was written elsewhere."""
    if isinstance(found, str):
        yield found
        yield " ".join(found.split())
    elif isinstance(found, tuple | list):
        for one in found:
            yield from names(one)
    elif hasattr(found, "__struct_fields__"):
        for field in found.__struct_fields__:
            if field != "kind":
                yield from names(getattr(found, field))
    elif isinstance(found, dict):
        yield from found


def test_every_sentence_of_the_digest_is_in_the_catalogue(full: Digest) -> None:
    with speaking_pseudo():
        said = [mail.subject(full), mail.text(full, "http://s"), _words(mail.html(full, "http://s"))]

    units = {"vv drill", "GB", "MB", "TB", "UTC", "http://s/timeline?since=", "&until=", "http://s"}
    assert [word for text in said for word in forgotten(text, DATA | units | {*names(full)})] == []


def test_the_digest_is_in_portuguese(full: Digest) -> None:
    with speaking("pt-BR"):
        subject, text, page = mail.subject(full), mail.text(full, "http://s"), mail.html(full, "http://s")

    assert subject.startswith("[RESUMO] edge-7: 6 alertas")
    assert "ETAPAS" in text
    assert "48,0 GB livres" in text
    assert '<html lang="pt-BR">' in page


def _words(page: str) -> str:
    """What a page shows, and what it is called."""
    return html.unescape(re.sub(r"<[^>]+>", " ", page))
