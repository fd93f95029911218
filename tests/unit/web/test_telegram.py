"""What Alertmanager has for Telegram, by way of the exporter: it gets a whole answer, whatever a proxy leaves out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from tests.support.receivers import Answer, Telegram
from tests.unit.web.conftest import Serve
from vv_exporter.context import Context
from vv_exporter.settings import load
from vv_exporter.web import Server, create_app

MESSAGE = {"chat_id": "-100123", "text": "<b>Disk</b> full", "parse_mode": "HTML"}  # as Alertmanager writes it


@pytest.fixture
def telegram() -> Iterator[Telegram]:
    with Telegram() as telegram:
        yield telegram
        assert telegram.violations == []


@pytest.fixture
def server(serve: Serve, context: Context, telegram: Telegram, tmp_path: Path) -> Server:
    settings = load(
        {
            "VV_STATE_DIR": str(tmp_path / "state"),
            "TELEGRAM_BOT_TOKEN": telegram.token,
            "TELEGRAM_CHAT_ID": "-100123",
            "TELEGRAM_API_URL": telegram.base_url,
        }
    )
    return serve(create_app(replace(context, settings=settings), []))


def send(server: Server, message: object = MESSAGE, token: str = Telegram.token) -> requests.Response:
    url = f"{server.url}/api/v1/telegram/bot{token}/sendMessage"
    return requests.post(url, data=message if isinstance(message, bytes) else json.dumps(message), timeout=20)


@pytest.mark.parametrize(
    "said",
    [
        '{"ok":true,"result":{"message_id":7}}',
        '{"ok":true,"result":{"message_id":7,"chat":null}}',
        '{"ok":true,"result":null}',
        '{"ok":true,"result":true}',
        '{"ok":true,"result":[]}',
        '{"ok":true}',
        "{}",
        "[]",
        "taken",
        "",
    ],
)
def test_whatever_the_proxy_leaves_out_alertmanager_gets_what_it_reads(
    server: Server, telegram: Telegram, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram, "answer", lambda request: Answer(200, said))

    answer = send(server)

    assert answer.status_code == 200
    document = answer.json()
    assert document["ok"] is True
    assert document["result"]["chat"] == {"id": -100123, "type": "group"}
    assert document["result"]["message_id"] == (7 if '"message_id":7' in said else 0)
    assert telegram.received[0].json == MESSAGE


@pytest.mark.parametrize(
    ("status", "said", "passed_on"),
    [
        (400, '{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}', 400),
        (200, '{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}', 502),
        (502, "<html>", 502),
        (302, "", 502),
    ],
)
def test_what_telegram_does_not_take_is_refused(
    server: Server, telegram: Telegram, status: int, said: str, passed_on: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telegram, "answer", lambda request: Answer(status, said))

    answer = send(server)

    assert answer.status_code == passed_on
    assert answer.json()["ok"] is False
    assert answer.json()["error_code"] == passed_on
    assert telegram.token not in answer.text


def test_how_long_telegram_wants_to_be_left_alone_is_passed_on(
    server: Server, telegram: Telegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = '{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":35}}'
    monkeypatch.setattr(telegram, "answer", lambda request: Answer(429, said))

    answer = send(server)

    assert (answer.status_code, answer.json()["parameters"]) == (429, {"retry_after": 35})


def test_only_who_knows_the_token_gets_through_and_only_to_the_chat_of_the_settings(
    server: Server, telegram: Telegram
) -> None:
    for token in ("", "1:guessed", telegram.token[:-1], telegram.token + "x", "ü"):
        assert send(server, token=token).status_code in (401, 404), token
    assert telegram.received == []

    assert send(server, {**MESSAGE, "chat_id": "-999"}).status_code == 200
    assert telegram.received[0].json["chat_id"] == "-100123"


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"a":', b"[" * 100_000])
def test_what_is_no_message_is_refused(server: Server, telegram: Telegram, body: bytes) -> None:
    assert send(server, body).status_code == 400
    assert telegram.received == []


def test_without_telegram_there_is_no_such_page(serve: Serve, context: Context) -> None:
    assert send(serve(create_app(context, []))).status_code == 404
