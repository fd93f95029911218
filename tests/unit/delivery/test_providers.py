"""What each provider is sent, whatever the text, and what is said when it does not take it."""

import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.support.receivers import Answer, DeadMan, MailServer, Opsgenie, PagerDuty, Slack, Telegram, TelegramText
from vv_exporter.channels import Provider, ProviderError, configured
from vv_exporter.delivery.direct import together
from vv_exporter.delivery.takeover import Asked
from vv_exporter.messages.message import Message
from vv_exporter.settings import Settings, load

MESSAGE = Message(
    key="edge-7-abc",
    title="Key gone",
    severity="critical",
    device="edge-7",
    component="signer.py",
    time=1_769_855_400.0,
    alert_id="0190b6c4-0000-7000-8000-000000000001",
    details="k7 cannot be read",
    suggested_actions="1. Mount the key's disk",
    note="Alertmanager does not answer since 2026-01-31T10:28:00Z: sent directly.",
    video="gate-0031.mp4",
    video_sha256="5e1f" * 16,
    runbook_url="https://runbooks.example.org/VVEvent.md",
    silence_url="http://127.0.0.1:9093/#/silences/new",
    status_url="http://127.0.0.1:19461/",
)
REQUIRED = ("CRITICAL", "edge-7", "2026-01-31T10:30:00Z", "0190b6c4-0000", "https://runbooks.example.org", ":19461")
HOSTILE = {
    "pings": "<!channel> <!here> <@U012AB> @channel <https://evil.example|Runbook> &lt;!channel&gt; ```",
    "HTML": '<script>alert(1)</script><a href="https://evil.example">x</a> & &amp; &nope; &#x41;',
    "templates": '{{ .ExternalURL }} {{ template "x" }} %s ${HOME} $(id)',
    "control characters": "".join(map(chr, [*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028]))
    + "\r\nBcc: x@example.org",
    "a megabyte": "😀&<" * 300_000,
    "right to left": "ملف \u202egpj.exe\u202c",
    "nothing": "",
}


class Receivers:
    """One of each, and the settings that lead to them."""

    def __init__(self) -> None:
        self.slack, self.telegram, self.pagerduty = Slack(), Telegram(), PagerDuty()
        self.opsgenie, self.mail, self.deadman = Opsgenie(), MailServer(), DeadMan()
        self.every: tuple[Any, ...] = (
            self.slack,
            self.telegram,
            self.pagerduty,
            self.opsgenie,
            self.mail,
            self.deadman,
        )

    def environ(self) -> dict[str, str]:
        return {
            "VV_STATE_DIR": "/nonexistent",
            "SLACK_WEBHOOK_URL": self.slack.url,
            "TELEGRAM_BOT_TOKEN": self.telegram.token,
            "TELEGRAM_CHAT_ID": "-100123",
            "TELEGRAM_API_URL": self.telegram.base_url,
            "PAGERDUTY_ROUTING_KEY": "pagerduty-secret",
            "PAGERDUTY_URL": self.pagerduty.url,
            "OPSGENIE_API_KEY": "opsgenie-secret",
            "OPSGENIE_API_URL": self.opsgenie.base_url,
            "SMTP_SMARTHOST": self.mail.smarthost,
            "SMTP_FROM": "vv@example.org",
            "SMTP_REQUIRE_TLS": "false",
            "ALERT_EMAIL_TO": "ana@example.org, bo@example.org",
            "DEADMAN_URL": self.deadman.url,
        }

    def settings(self, **changes: str) -> Settings:
        return load({**self.environ(), **changes})

    def secrets(self) -> tuple[str, ...]:
        return (self.slack.path, self.telegram.token, "pagerduty-secret", "opsgenie-secret", self.deadman.path)


@pytest.fixture(scope="module")
def running() -> Iterator[Receivers]:
    receivers = Receivers()
    for receiver in receivers.every:
        receiver.__enter__()
    yield receivers
    for receiver in receivers.every:
        receiver.__exit__(None, None, None)


@pytest.fixture
def receivers(running: Receivers) -> Iterator[Receivers]:
    for receiver in running.every:
        receiver.clear()
        receiver.violations.clear()
        receiver.outage = None
    yield running
    assert [violation for receiver in running.every for violation in receiver.violations] == []


@pytest.fixture
def providers(receivers: Receivers) -> dict[str, Provider]:
    return configured(receivers.settings())


def seen(receivers: Receivers) -> dict[str, str]:
    """What people see, by channel."""
    mail = receivers.mail.received[0]
    return {
        "slack": str(receivers.slack.received[0].json["attachments"][0]),
        "telegram": TelegramText(receivers.telegram.received[0].json["text"]).text
        + str(TelegramText(receivers.telegram.received[0].json["text"]).links),
        "pagerduty": str(receivers.pagerduty.received[0].json),
        "opsgenie": str(receivers.opsgenie.received[0].json),
        "email": mail.subject + mail.body("plain"),
    }


def send_to_all(providers: dict[str, Provider], message: Message) -> None:
    for provider in providers.values():
        provider.send(message)


def test_every_channel_gets_everything_that_a_notification_needs(
    receivers: Receivers, providers: dict[str, Provider]
) -> None:
    send_to_all(providers, MESSAGE)

    for channel, text in seen(receivers).items():
        for wanted in (*REQUIRED, "Key gone", "signer.py", "k7 cannot be read", "Mount the key", "gate-0031.mp4"):
            assert wanted in text, (channel, wanted)
        assert "Alertmanager does not answer since" in text
    assert receivers.mail.received[0].recipients == ["ana@example.org", "bo@example.org"]


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_breaks_nothing_and_costs_no_field(
    receivers: Receivers, providers: dict[str, Provider], kind: str
) -> None:
    text = HOSTILE[kind]
    names = ("title", "details", "suggested_actions", "note", "video", "component")
    send_to_all(providers, msgspec.structs.replace(MESSAGE, **dict.fromkeys(names, text)))

    for channel, got in seen(receivers).items():
        for wanted in REQUIRED:
            assert wanted in got, (channel, wanted)
    assert "<!channel>" not in seen(receivers)["slack"]
    assert "evil.example" not in str(TelegramText(receivers.telegram.received[0].json["text"]).links)
    assert not receivers.mail.received[0].message["Bcc"]


def test_many_messages_fit_as_one(receivers: Receivers, providers: dict[str, Provider]) -> None:
    many = [msgspec.structs.replace(MESSAGE, title=f"{number} {'&' * 500}") for number in range(500)]

    send_to_all(providers, together(many))

    for got in seen(receivers).values():
        assert "500 alerts, the first: 0 " in got


def test_an_end_is_told_as_that(receivers: Receivers, providers: dict[str, Provider]) -> None:
    send_to_all(providers, msgspec.structs.replace(MESSAGE, resolved=True))

    assert "RESOLVED: Key gone" in receivers.slack.received[0].json["attachments"][0]["title"]
    assert receivers.pagerduty.received[0].json["event_action"] == "resolve"
    assert receivers.opsgenie.received[0].path.endswith("/edge-7-abc/close")


def test_a_test_at_a_pager_is_resolved_at_once(receivers: Receivers, providers: dict[str, Provider]) -> None:
    providers["pagerduty"].test(MESSAGE)
    providers["opsgenie"].test(MESSAGE)

    actions = [(request.json["event_action"], request.json["dedup_key"]) for request in receivers.pagerduty.received]
    assert actions == [("trigger", "edge-7-abc"), ("resolve", "edge-7-abc")]
    assert [request.path for request in receivers.opsgenie.received] == [
        "/v2/alerts",
        "/v2/alerts/edge-7-abc/close",
    ]


@pytest.mark.parametrize("channel", ["slack", "telegram", "pagerduty", "opsgenie", "deadman"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_what_a_provider_answers_is_told_without_secrets(
    receivers: Receivers, providers: dict[str, Provider], channel: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = getattr(receivers, channel)
    echo = " ".join(receivers.secrets())
    monkeypatch.setattr(receiver, "handle", lambda request: Answer(status, f"no such thing: {echo}", "text/plain"))

    with pytest.raises(ProviderError) as raised:
        providers[channel].send(MESSAGE)

    own = {
        "slack": receivers.slack.path,
        "telegram": receivers.telegram.token,
        "pagerduty": "pagerduty-secret",
        "opsgenie": "opsgenie-secret",
        "deadman": receivers.deadman.path,
    }[channel]
    assert f"answered {status}: no such thing" in str(raised.value)
    assert own not in str(raised.value)
    assert raised.value.refused == (status == 400)


def test_a_telegram_group_that_became_a_supergroup_is_followed_and_its_new_id_said(
    receivers: Receivers,
    providers: dict[str, Provider],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = (
        '{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat",'
        '"parameters":{"migrate_to_chat_id":-1001234567890}}'
    )
    handle, chats = receivers.telegram.handle, list[str]()

    def moved(request: Any) -> Answer:
        chats.append(request.json["chat_id"])
        return handle(request) if chats[-1] == "-1001234567890" else Answer(400, said, "application/json")

    monkeypatch.setattr(receivers.telegram, "handle", moved)
    answer = providers["telegram"].send(MESSAGE)
    providers["telegram"].send(MESSAGE)

    assert chats[1:] == ["-1001234567890"] * 2
    assert "set TELEGRAM_CHAT_ID to -1001234567890" in answer.text
    assert "set TELEGRAM_CHAT_ID to -1001234567890" in caplog.text


@pytest.mark.parametrize("said", ['{"ok":true,"result":{"message_id":7}}', '{"ok":true}', "taken"])
def test_an_answer_of_telegram_that_crashes_alertmanager_is_told_by_a_test_and_logged_once(
    receivers: Receivers,
    providers: dict[str, Provider],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert "TELEGRAM_THROUGH_EXPORTER" not in providers["telegram"].test(MESSAGE).text
    monkeypatch.setattr(receivers.telegram, "answer", lambda request: Answer(200, said))

    answers = [providers["telegram"].send(MESSAGE), providers["telegram"].test(MESSAGE)]

    assert [answer.status for answer in answers] == [200, 200]
    assert "set TELEGRAM_THROUGH_EXPORTER=true" in answers[1].text
    assert caplog.text.count("set TELEGRAM_THROUGH_EXPORTER=true") == 1


def test_a_message_that_telegram_does_not_take_is_not_taken_whatever_the_status_says(
    receivers: Receivers, providers: dict[str, Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = '{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}'
    monkeypatch.setattr(receivers.telegram, "answer", lambda request: Answer(200, said))

    with pytest.raises(ProviderError, match="chat not found"):
        providers["telegram"].send(MESSAGE)


def test_telegram_is_asked_whether_the_chat_is_there_and_nobody_reads_it(
    receivers: Receivers, providers: dict[str, Provider]
) -> None:
    telegram = providers["telegram"]
    assert isinstance(telegram, Asked)
    assert telegram.refusal() is None
    receivers.telegram.outage = 503
    assert telegram.refusal() is None
    receivers.telegram.outage = None
    receivers.telegram.supergroup = -1001234567890
    for _ in range(2):
        error = telegram.refusal()
        assert error is not None
        assert "upgraded to a supergroup" in str(error)
        telegram.send(MESSAGE)  # follows, and the chat that is configured stays what it is

    assert {request.path.rpartition("/")[2] for request in receivers.telegram.received} == {"sendMessage"}


def test_telegram_says_how_long_to_wait(
    receivers: Receivers, providers: dict[str, Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = '{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":35}}'
    monkeypatch.setattr(receivers.telegram, "handle", lambda request: Answer(429, said))

    with pytest.raises(ProviderError, match="Too Many Requests") as raised:
        providers["telegram"].send(MESSAGE)

    assert raised.value.retry_after == 35


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("17", 17),
        ("1.5", 1.5),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 600),  # the longest that is waited
        ("Tue, 14 Nov 1995 22:14:20 GMT", 0),
        ("soon", 0),
        ("inf", 0),
        ("nan", 0),
        ("-3", 0),
    ],
)
def test_a_provider_is_left_alone_for_as_long_as_it_asks(
    receivers: Receivers,
    providers: dict[str, Provider],
    retry_after: str,
    seconds: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = Answer(429, "", headers={"Retry-After": retry_after})
    monkeypatch.setattr(receivers.slack, "handle", lambda request: answer)

    with pytest.raises(ProviderError) as raised:
        providers["slack"].send(MESSAGE)

    assert raised.value.retry_after == seconds


@pytest.mark.parametrize(
    "said",
    [
        "[" * 4_000,
        '{"a":' * 800,
        '{"parameters":{"retry_after":NaN}}',
        '{"parameters":{"retry_after":-Infinity}}',
        '{"parameters":{"retry_after":1' + "0" * 400 + "}}",
        '{"parameters":{"retry_after":[]}}',
        '{"parameters":5}',
        "[1]",
        "\xff\x00",
    ],
)
@pytest.mark.parametrize("status", [200, 429])
def test_whatever_a_provider_answers_is_an_answer(
    receivers: Receivers, providers: dict[str, Provider], said: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers.telegram, "handle", lambda request: Answer(status, said))

    if status == 200:
        providers["telegram"].send(MESSAGE)
        return
    with pytest.raises(ProviderError) as raised:
        providers["telegram"].send(MESSAGE)
    assert raised.value.status == status
    assert raised.value.retry_after == 0


@pytest.mark.parametrize("channel", ["slack", "telegram", "pagerduty", "opsgenie", "email", "deadman"])
def test_nobody_there_is_told_in_words_and_logged_without_secrets(
    receivers: Receivers, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = receivers.settings(
            SLACK_WEBHOOK_URL=f"http://{nobody}{receivers.slack.path}",
            TELEGRAM_API_URL=f"http://{nobody}",
            PAGERDUTY_URL=f"http://{nobody}",
            OPSGENIE_API_URL=f"http://{nobody}",
            SMTP_SMARTHOST=nobody,
            DEADMAN_URL=f"http://{nobody}{receivers.deadman.path}",
        )
        with pytest.raises(ProviderError) as raised:
            configured(settings)[channel].send(MESSAGE)

    assert str(raised.value) == "no connection (Connection refused)"
    assert raised.value.__cause__ is None
    logged = " ".join(record.getMessage() for record in caplog.records)
    assert [secret for secret in receivers.secrets() if secret in logged + str(raised.value)] == []


def test_mail_is_not_sent_without_tls_where_that_is_required(receivers: Receivers) -> None:
    with pytest.raises(ProviderError, match="STARTTLS"):
        configured(receivers.settings(SMTP_REQUIRE_TLS="true"))["email"].send(MESSAGE)

    assert receivers.mail.received == []


def test_a_redirect_is_not_followed(
    receivers: Receivers, providers: dict[str, Provider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers.slack, "handle", lambda request: Answer(302, "elsewhere", "text/plain"))

    with pytest.raises(ProviderError, match="answered 302"):
        providers["slack"].send(MESSAGE)


def test_a_message_carries_its_time(receivers: Receivers, providers: dict[str, Provider]) -> None:
    now = time.time()
    providers["slack"].send(msgspec.structs.replace(MESSAGE, time=now))

    assert time.strftime("%Y-%m-%dT%H:%M", time.gmtime(now)) in seen_slack(receivers)


def seen_slack(receivers: Receivers) -> str:
    return str(receivers.slack.received[0].json["attachments"][0]["text"])
