"""Local stand-ins for the providers that alerts are sent to. Each records what it gets, answers as the provider does,
and refuses (4xx) what the provider would refuse; each refusal is a *violation*, and tests end with none.

    with Slack() as slack:
        … have Alertmanager send to slack.url …
        request = slack.wait_for(lambda request: "Disk" in request.json["attachments"][0]["title"])
        assert slack.violations == []
"""

from __future__ import annotations

import email
import email.message
import email.policy
import json
import re
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.certificates import Certificates
from tests.support.ports import free_port

R = TypeVar("R")


@dataclass(frozen=True)
class Request:
    """An HTTP request as it came in."""

    time: float
    """Of the monotonic clock."""
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    json: Any = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class Recorder(Generic[R]):
    """A list that other threads wait on."""

    def __init__(self) -> None:
        self._received: list[R] = []
        self.violations: list[str] = []
        """What the provider would have refused, and why."""
        self._changed = threading.Condition()

    @property
    def received(self) -> list[R]:
        """Everything so far, in order."""
        with self._changed:
            return list(self._received)

    def record(self, item: R) -> None:
        """Add one."""
        with self._changed:
            self._received.append(item)
            self._changed.notify_all()

    def wait_for(self, predicate: Callable[[R], bool] = lambda _: True, timeout: float = 30.0) -> R:
        """The first that satisfies `predicate`, now or within `timeout` seconds; `AssertionError` if none does."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for item in self._received:
                    if predicate(item):
                        return item
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(
                        f"{type(self).__name__} got nothing of the kind within {timeout:g} s; "
                        f"it got {self._received!r}, refused {self.violations!r}"
                    )
                self._changed.wait(left)

    def matching(self, predicate: Callable[[R], bool]) -> list[R]:
        """All so far that satisfy `predicate`."""
        return [item for item in self.received if predicate(item)]

    def clear(self) -> None:
        """Forget what came."""
        with self._changed:
            self._received.clear()


class HttpReceiver(Recorder[Request]):
    """An HTTP server on loopback. Subclasses check requests in `problems` and say what a good one is answered."""

    accepted = Answer(200, "{}")
    path = "/"
    host = "127.0.0.1"
    """Where it listens; a subclass for containers names the gateway of their network."""

    def __init__(self, certificates: Certificates | None = None) -> None:
        super().__init__()
        self.outage: int | None = None
        """While set, every request is recorded nowhere and answered with this status."""
        self.refused_in_outage = 0
        """How many requests came during outages."""
        self._server = ThreadingHTTPServer((self.host, 0), self._handler())
        self._scheme = "https" if certificates else "http"
        if certificates:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificates.certificate("server"), certificates.key("server"))
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def base_url(self) -> str:
        """The server's address without a slash at the end."""
        return f"{self._scheme}://{self.host}:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Where it takes requests."""
        return self.base_url + self.path

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def problems(self, request: Request) -> Iterator[str]:
        """Why the provider would refuse this request."""
        yield from ()

    def refused(self, problems: list[str]) -> Answer:
        """What the provider answers to a bad request."""
        return Answer(400, json.dumps({"message": "; ".join(problems)}))

    def answer(self, request: Request) -> Answer:
        """What the provider answers to a good request."""
        return self.accepted

    def handle(self, request: Request) -> Answer:
        """Check, record, answer."""
        if self.outage is not None:
            self.refused_in_outage += 1
            return Answer(self.outage, "{}")
        try:
            found = list(self.problems(request))
        except Exception as error:  # a shape that the checks did not reckon with
            found = [f"{type(error).__name__}: {error}"]
        self.violations += found
        self.record(request)
        return self.refused(found) if found else self.answer(request)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                if len(body) < length:  # the sender gave up half-way, and will try again
                    self.close_connection = True
                    return
                url = urlsplit(self.path)
                try:
                    document = json.loads(body)
                except ValueError:
                    document = None
                answer = receiver.handle(
                    Request(
                        time.monotonic(),
                        self.command,
                        url.path,
                        parse_qs(url.query),
                        dict(self.headers),
                        body,
                        document,
                    )
                )
                content = answer.body.encode()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(content)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST  # noqa: N815 - the library's name

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


class Webhook(HttpReceiver):
    """The generic webhook: takes its object with just its fields, and nothing else (docs/webhook.md)."""

    path = "/hook/secret-of-the-hook"
    FIELDS = {
        "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
        "severity": r"INFO|WARNING|ERROR|CRITICAL",
        "source_component": r".{1,300}",
        "hostname": r".{1,300}",
        "title": r".{1,500}",
        "message_details": r"(?s:.{1,8000})",
        "suggested_actions": r"(?s:.{1,12000})",
        "video_file_context": r".{1,1500}",
        "alert_id": r"\S{1,128}",
    }
    STATUSES = ("firing", "resolved")

    def __init__(self, certificates: Certificates | None = None) -> None:
        super().__init__(certificates)
        self.next: deque[Answer] = deque()
        """What the next requests are answered instead; these are in `turned_away`, not in `received`."""
        self.turned_away: list[Request] = []

    def handle(self, request: Request) -> Answer:
        if self.next:
            self.turned_away.append(request)
            return self.next.popleft()
        return super().handle(request)

    def problems(self, request: Request) -> Iterator[str]:
        if request.method != "POST" or request.path != self.path:
            yield f"{request.method} {request.path}"
        if request.headers.get("Content-Type") != "application/json":
            yield "Content-Type is not application/json"
        if not re.fullmatch(r"\S{1,200}", request.headers.get("Idempotency-Key", "")):
            yield "no Idempotency-Key"
        if request.headers.get("VV-Document") == "statement" and isinstance(request.json, dict):
            yield from (
                f"a statement without {name}" for name in ("day", "device", "cameras") if name not in request.json
            )
            return
        status = request.headers.get("VV-Alert-Status")
        if status not in self.STATUSES:
            yield f"VV-Alert-Status: {status!r}"
        if not isinstance(request.json, dict):
            yield "the body is not a JSON object"
            return
        if request.json.keys() != self.FIELDS.keys():
            yield f"not its fields: {sorted(request.json.keys() ^ self.FIELDS.keys())}"
        for name, pattern in self.FIELDS.items():
            value = request.json.get(name)
            if not isinstance(value, str) or not re.fullmatch(pattern, value):
                yield f"{name}: {value!r}"
        if (status == "resolved") != str(request.json.get("title")).startswith("Resolved: "):
            yield "title and VV-Alert-Status contradict each other"


class AlertmanagerWebhook(HttpReceiver):
    """A webhook that gets Alertmanager's JSON, version 4."""

    path = "/hook"
    KEYS = frozenset({"version", "groupKey", "status", "receiver", "groupLabels", "commonLabels", "alerts"})

    def problems(self, request: Request) -> Iterator[str]:
        if not isinstance(request.json, dict):
            yield "the body is not a JSON object"
            return
        missing = self.KEYS - request.json.keys()
        if missing:
            yield f"missing: {', '.join(sorted(missing))}"


class Log(AlertmanagerWebhook):
    """The exporter in the place of a log: what the event recorder tells, and beats, are taken and recorded nowhere."""

    def __init__(self, certificates: Certificates | None = None) -> None:
        super().__init__(certificates)
        self.beats: list[str] = []
        """What the Watchdog quoted, time and again."""

    def handle(self, request: Request) -> Answer:
        if request.path.endswith("/events"):
            return self.accepted
        if isinstance(request.json, dict) and request.json.get("receiver") == "alert-path":
            self.beats += [alert["annotations"].get("beat", "") for alert in request.json["alerts"]]
            return self.accepted
        return super().handle(request)


class DeadMan(HttpReceiver):
    """A dead man's switch: any request is a beat."""

    path = "/ping/0f7c"
    accepted = Answer(200, "OK", "text/plain")


class Slack(HttpReceiver):
    """An incoming webhook, as of https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and
    https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments."""

    path = "/services/T0/B0/secret"
    accepted = Answer(200, "ok", "text/plain")
    TEXTS = ("title", "text", "fallback", "pretext", "footer")
    MAX_TEXT = 40_000  # characters after which Slack truncates a message
    MAX_FOOTER = 300
    COLOR = re.compile(r"good|warning|danger|#[0-9a-fA-F]{6}")
    LINK = re.compile(r"<(https?://[^\s<>|]+)(\|[^<>|\n]+)?>")
    ENTITY = re.compile(r"&(?!amp;|lt;|gt;)")

    def refused(self, problems: list[str]) -> Answer:
        return Answer(400, "invalid_attachments", "text/plain")

    def problems(self, request: Request) -> Iterator[str]:
        if not isinstance(request.json, dict):
            yield "invalid_payload: not a JSON object"
            return
        attachments = request.json.get("attachments", [])
        if not request.json.get("text") and not attachments:
            yield "no_text"
        if request.json.get("link_names"):
            yield "link_names: @here in a text would ping"
        for attachment in attachments:
            yield from self._attachment(attachment)

    def _attachment(self, attachment: dict[str, Any]) -> Iterator[str]:
        if not attachment.get("fallback"):
            yield "an attachment without fallback"
        if not self.COLOR.fullmatch(attachment.get("color", "good")):
            yield f"color: {attachment['color']!r}"
        if not set(attachment.get("mrkdwn_in", ())) <= {"pretext", "text", "fields"}:
            yield f"mrkdwn_in: {attachment['mrkdwn_in']!r}"
        if len(attachment.get("footer", "")) > self.MAX_FOOTER:
            yield "footer: too long"
        if "\n" in attachment.get("title", ""):
            yield "title: more than a line"
        link = attachment.get("title_link", "https://x/")
        if not re.fullmatch(r"https?://\S+", link):
            yield f"title_link: {link!r}"
        for name in self.TEXTS:
            text = attachment.get(name, "")
            if not isinstance(text, str) or len(text) > self.MAX_TEXT:
                yield f"{name}: not a string of at most {self.MAX_TEXT} characters"
            for problem in self._markup(text):
                yield f"{name}: {problem}"

    def _markup(self, text: str) -> Iterator[str]:
        """& < > stand for themselves only as entities; <…> is a link, or it pings or names somebody."""
        rest = self.LINK.sub("", text)
        if "<" in rest or ">" in rest:
            yield f"control sequence or bare angle bracket in {rest!r}"
        if self.ENTITY.search(rest):
            yield f"bare ampersand in {rest!r}"


class Telegram(HttpReceiver):
    """The Bot API's sendMessage with parse_mode HTML: https://core.telegram.org/bots/api#html-style."""

    token = "123456:secret-of-the-bot"
    path = ""
    MAX_TEXT = 4096
    supergroup: int | None = None
    """What the group of any other id has become, if it has: https://core.telegram.org/bots/api#responseparameters."""

    def handle(self, request: Request) -> Answer:
        """A group that has become another takes nothing, and says which."""
        if self.supergroup is None or str(request.json.get("chat_id")) == str(self.supergroup):
            is_asked = request.path == f"/bot{self.token}/sendChatAction" and self.outage is None
            return Answer(200, '{"ok": true, "result": true}') if is_asked else super().handle(request)
        said = "Bad Request: group chat was upgraded to a supergroup chat"
        moved = {"migrate_to_chat_id": self.supergroup}
        return Answer(400, json.dumps({"ok": False, "error_code": 400, "description": said, "parameters": moved}))

    def refused(self, problems: list[str]) -> Answer:
        description = f"Bad Request: {'; '.join(problems)}"
        return Answer(400, json.dumps({"ok": False, "error_code": 400, "description": description}))

    def answer(self, request: Request) -> Answer:
        chat = {"id": int(request.json["chat_id"]), "type": "group", "title": "operators"}
        message = {
            "message_id": len(self.received),
            "date": int(time.time()),
            "chat": chat,
            "text": TelegramText(request.json["text"]).text,
        }
        return Answer(200, json.dumps({"ok": True, "result": message}))

    def problems(self, request: Request) -> Iterator[str]:
        if request.path != f"/bot{self.token}/sendMessage":
            yield f"not sendMessage of the bot: {request.path}"
            return
        message = request.json
        if not re.fullmatch(r"-?\d+", str(message.get("chat_id", ""))):
            yield "chat_id is empty"
        if message.get("parse_mode") != "HTML":
            yield f"parse_mode: {message.get('parse_mode')!r}"
        parsed = TelegramText(message["text"])
        if parsed.problem:
            yield f"can't parse entities: {parsed.problem}"
        if not parsed.text.strip():
            yield "message text is empty"
        if len(parsed.text.encode("utf-16-le")) // 2 > self.MAX_TEXT:
            yield "message is too long"


class TelegramText(HTMLParser):
    """Telegram's HTML: the text that people see, the addresses of its links, and what is wrong with it, if anything."""

    TAGS = frozenset("b strong i em u ins s strike del code pre a blockquote tg-spoiler span".split(" "))  # noqa: SIM905
    ENTITY = re.compile(r"&(?:(lt|gt|amp|quot);|#\d+;|#x[0-9a-fA-F]+;|\w*)")

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.links: dict[str, str] = {}
        self.problem = ""
        self._open: list[str] = []
        self._href = ""
        for match in self.ENTITY.finditer(source):
            if not match[0].endswith(";"):
                self.problem = f"unsupported entity {match[0]!r}"
        if re.search(r"<(?!/?[a-z])", source):
            self.problem = "a bare <"
        self.feed(source)
        self.close()
        if self._open:
            self.problem = f"can't find end tag of {self._open[-1]!r}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.TAGS:
            self.problem = f"unsupported start tag {tag!r}"
        self._open.append(tag)
        self._href = dict(attrs).get("href") or ""

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problem = f"unexpected end tag {tag!r}"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "a":
            self.links[data] = self._href
        self.text += data


class PagerDuty(HttpReceiver):
    """The Events API v2: https://developer.pagerduty.com/docs/send-alert-event."""

    path = "/v2/enqueue"
    MAX_EVENT = 512 * 1024
    SEVERITIES = frozenset({"critical", "error", "warning", "info"})
    is_key_known = True
    """Whether there is a service with the key that comes."""

    def handle(self, request: Request) -> Answer:
        """A key that leads nowhere is answered like a bad event."""
        return super().handle(request) if self.is_key_known else self.refused(["Invalid routing key"])

    def refused(self, problems: list[str]) -> Answer:
        return Answer(
            400, json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": problems})
        )

    def answer(self, request: Request) -> Answer:
        processed = {"status": "success", "message": "Event processed", "dedup_key": request.json["dedup_key"]}
        return Answer(202, json.dumps(processed))

    def problems(self, request: Request) -> Iterator[str]:
        event = request.json
        if not isinstance(event, dict) or len(request.body) > self.MAX_EVENT:
            yield "not a JSON object of at most 512 kB"
            return
        if not event.get("routing_key"):
            yield "'routing_key' is missing or blank"
        if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
            yield f"'event_action' is invalid: {event.get('event_action')!r}"
        if not 0 < len(event.get("dedup_key", "")) <= 255:
            yield "'dedup_key' is missing or longer than 255 characters"
        if event.get("event_action") == "trigger":
            yield from self._payload(event.get("payload") or {})
        for link in event.get("links", []):
            if not re.fullmatch(r"https?://\S+", link.get("href", "")):
                yield f"'links' has an invalid href: {link.get('href')!r}"

    def _payload(self, payload: dict[str, Any]) -> Iterator[str]:
        if not 0 < len(payload.get("summary", "")) <= 1024:
            yield "'payload.summary' is missing or longer than 1024 characters"
        if not payload.get("source"):
            yield "'payload.source' is missing or blank"
        if payload.get("severity") not in self.SEVERITIES:
            yield f"'payload.severity' is invalid: {payload.get('severity')!r}"
        if not isinstance(payload.get("custom_details", {}), dict):
            yield "'payload.custom_details' is not an object"


class Opsgenie(HttpReceiver):
    """The Alert API, create and close: https://docs.opsgenie.com/docs/alert-api."""

    path = ""
    LIMITS = {"message": 130, "alias": 512, "description": 15_000, "entity": 512, "source": 100, "note": 25_000}
    accepted = Answer(202, json.dumps({"result": "Request will be processed", "took": 0.1, "requestId": "0-1"}))

    def refused(self, problems: list[str]) -> Answer:
        return Answer(422, json.dumps({"message": "; ".join(problems), "took": 0.0, "requestId": "0-0"}))

    def problems(self, request: Request) -> Iterator[str]:
        if not re.fullmatch(r"GenieKey \S+", request.headers.get("Authorization", "")):
            yield "Could not authenticate"
        if re.fullmatch(r"/v2/alerts/[^/]+/close", request.path):
            if request.query.get("identifierType") != ["alias"]:
                yield "identifierType is not alias"
            return
        if request.path != "/v2/alerts":
            yield f"no such address: {request.path}"
            return
        alert = request.json
        if not alert.get("message"):
            yield "Message can not be empty."
        for name, limit in self.LIMITS.items():
            if len(alert.get(name, "")) > limit:
                yield f"{name} should not be longer than {limit} characters"
        if alert.get("priority", "P3") not in ("P1", "P2", "P3", "P4", "P5"):
            yield f"priority: {alert['priority']!r}"
        details = alert.get("details", {})
        if sum(len(name) + len(value) for name, value in details.items()) > 8000:
            yield "details are longer than 8000 characters"


@dataclass(frozen=True)
class Mail:
    """A message as a mail server takes it."""

    time: float
    sender: str
    recipients: list[str]
    message: email.message.EmailMessage = field(repr=False)

    @property
    def subject(self) -> str:
        """The subject, decoded."""
        return str(self.message["Subject"])

    def body(self, kind: str) -> str:
        """The part `plain` or `html`, decoded, with line ends as Python has them."""
        part = self.message.get_body((kind,))
        assert part is not None, f"no text/{kind} part"
        content: str = part.get_content()
        return content.replace("\r\n", "\n")


class MailServer(Recorder[Mail]):
    """A real SMTP server on loopback, without TLS."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        super().__init__()
        self._controller = Controller(self, hostname=self.host, port=free_port(), ready_timeout=30)

    @property
    def smarthost(self) -> str:
        """host:port."""
        return f"{self.host}:{self._controller.port}"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        """Called by the server with each message."""
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, email.message.EmailMessage)
        found = [f"{type(defect).__name__} in the message" for defect in message.defects]
        found += [
            f"no {header} header" for header in ("From", "To", "Subject", "Date", "Message-Id") if not message[header]
        ]
        self.violations += found
        self.record(Mail(time.monotonic(), envelope.mail_from or "", list(envelope.rcpt_tos), message))
        return "554 " + "; ".join(found) if found else "250 OK"
