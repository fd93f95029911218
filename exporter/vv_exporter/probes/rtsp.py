"""Whether a DVR gives a stream: asked as a viewer would, through the description to frames that follow each other.

OPTIONS, DESCRIBE (with Basic or Digest authentication), SETUP of RTP within the connection, PLAY, the first packet and
one of the next frame, TEARDOWN: RTSP 1.0, RFC 2326. No picture is decoded. Where the DVR sends a viewer to another of
its own addresses, that is followed; where it closes the connection after a 401, another one brings the credentials. A
DVR may send what it likes, as slowly or as much as it likes: a probe takes its time and a second for the farewell, and
a few megabytes.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

from vv_exporter.probes.rtsp_messages import (
    Authorization,
    Challenge,
    Description,
    Packet,
    Parser,
    ProtocolError,
    Response,
    challenges,
    described,
    request,
    rtp_source,
    rtp_timestamp,
)
from vv_exporter.settings import Dvr

PHASES = ("dns", "connect", "describe", "setup", "first_packet")
MAX_BYTES = 32 * 1024 * 1024
"""What a DVR may send in a probe: several seconds of the sharpest stream."""
FAREWELL = 1.0
"""Seconds that a DVR has to end the session: many have few of them."""

_CHUNK = 64 * 1024
_ADDRESSES = 4  # of a name that are tried
_RENEWALS = 2  # of a nonce for one request
_MOVED = {301, 302, 303, 305, 307, 308}  # RFC 2326, section 11.3, and what HTTP has besides
_MAX_MOVES = 3
_STRAY = 1.0  # seconds in which the right answer may follow one that has another number
_CLOSING = 0.05  # seconds after a 401, or a move, in which the DVR closes the connection if it means to
# There is no such stream, or none to be had now: RFC 2326, section 7.1.1. 503 is what GStreamer's server answers when
# the camera is not there.
_NO_STREAM = {404, 410, 415, 453, 454, 455, 457, 459, 460, 461, 462, 503}
_AUTH = {401, 403, 407}
_SILENT = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT}

_HOST = re.compile(r"[A-Za-z0-9.:_%-]{1,253}", re.ASCII)
_TARGET = re.compile(r"[!-~]{0,1900}", re.ASCII)
# Paths and queries that hold a password, of makers who do not ask for one: rtsp://…/user=admin_password=secret_channel=1
_SECRET = re.compile(r"(?:pass|passwd|password|pwd|auth|token)=.", re.IGNORECASE)

Address = tuple[socket.AddressFamily, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe found: `result` as `vv_dvr_attempts_total` has it, with `durations` of the phases that ended.

    `frames` were seen, 0 when only an answer was asked for. `error` holds no address and no password, and neither does
    `moved_to`: where on the DVR the stream is by now, "" if it is where it was asked for.
    """

    result: str
    error: str = ""
    durations: Mapping[str, float] = field(default_factory=dict)
    frames: int = 0
    moved_to: str = ""
    held_back: bool = False
    """Whether user and password were not sent, as they were refused too often."""


class _FailedError(Exception):
    def __init__(self, result: str, error: str) -> None:
        super().__init__(error)
        self.result = result


class Resolver:
    """Finds a host's addresses, in a thread where that may hang; there are never two of them."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._pending: _Lookup | None = None

    def addresses(self, timeout: float) -> list[Address]:
        """At most a few. Raises `OSError`; `TimeoutError` if there is no answer in time."""
        with contextlib.suppress(socket.gaierror):
            return self._ask(socket.AI_NUMERICHOST)
        with self._lock:
            if self._pending is None or self._pending.done.is_set():
                self._pending = _Lookup(self._ask)
            pending = self._pending
        if not pending.done.wait(timeout):
            raise TimeoutError
        if isinstance(pending.result, OSError):
            raise pending.result
        return pending.result

    def _ask(self, flags: int = 0) -> list[Address]:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=flags)
        except UnicodeError:  # empty or long labels
            raise socket.gaierror(socket.EAI_NONAME, "not a name") from None
        return [(family, address) for family, _, _, _, address in found[:_ADDRESSES]]


class NotAskedError(Exception):
    """The DVR was not asked, for a reason that is this device's: nothing is known of the DVR."""


class HeldBackError(Exception):
    """User and password are not sent; the message says why, and is for people."""


class Logins:
    """Whether user and password may be sent, and what came of it. Here they always may."""

    def send(self, seconds: float) -> None:
        """They are sent next; wait for that for so long. Raises `HeldBackError` and `NotAskedError`."""

    def settle(self, *, taken: bool | None) -> None:
        """The probe has ended: were they taken? None if there was no answer."""


class _Lookup:
    def __init__(self, ask: Callable[[], list[Address]]) -> None:
        self.done = threading.Event()
        self.result: list[Address] | OSError = []
        self._ask = ask
        # No loop: one question to the resolver, which may hang.
        thread = threading.Thread(target=self._resolve_in_thread, name="dvr-dns", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise NotAskedError(str(error)) from error

    def _resolve_in_thread(self) -> None:
        try:
            self.result = self._ask()
        except OSError as error:
            self.result = error
        self.done.set()


class _Progress:
    """Which phase a probe is in, how long those before took, and how much time is left."""

    def __init__(self, timeout: float) -> None:
        self.phase = ""
        self.durations: dict[str, float] = {}
        self._deadline = time.monotonic() + timeout

    @contextlib.contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """A phase; its duration counts if it ends well."""
        self.phase = phase
        began = time.monotonic()
        yield
        self.durations[phase] = time.monotonic() - began

    def left(self) -> float:
        """Seconds, more than 0. Raises `TimeoutError` when there are none."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def grant(self, seconds: float) -> None:
        """Let there be so much time from now."""
        self._deadline = time.monotonic() + seconds


def probe(dvr: Dvr, resolver: Resolver, logins: Logins | None = None) -> Answer:
    """Ask for frames once. Raises nothing that a DVR could bring about; `NotAskedError`."""
    progress = _Progress(dvr.timeout)
    viewer = _Viewer(dvr, progress, logins or Logins())
    result, error, frames, held_back = "ok", "", 0, False
    try:
        frames = _watch_stream(viewer, resolver, progress)
    except _FailedError as failure:
        result, error = failure.result, str(failure)
    except HeldBackError as failure:
        result, error, held_back = "auth", str(failure), True
    except ProtocolError as failure:
        result, error = "error", str(failure)
    except OSError as failure:
        result, error = _reason_of_error(failure, progress.phase, dvr.timeout)
    finally:
        viewer.settle(refused=result == "auth")
    return Answer(result, error, progress.durations, frames, "" if error else "".join(viewer.moved_to[-1:]), held_back)


def _watch_stream(viewer: _Viewer, resolver: Resolver, progress: _Progress) -> int:
    """Go through all phases; how many frames came."""
    with progress.timed("dns"):
        addresses = resolver.addresses(progress.left())
    with progress.timed("connect"):
        viewer.connect(addresses)
    try:
        return viewer.watch()
    finally:
        viewer.leave()


def _connect_first(addresses: list[Address], progress: _Progress) -> socket.socket:
    failure: OSError = ConnectionError("the name has no address")
    for place, (family, address) in enumerate(addresses):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(progress.left() / (len(addresses) - place))
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


def _reason_of_error(error: OSError, phase: str, timeout: float) -> tuple[str, str]:
    if phase == "dns":
        text = "no answer" if isinstance(error, TimeoutError) else error.strerror or "no such name"
        return "dns", f"its name cannot be resolved: {text}"
    if isinstance(error, ConnectionRefusedError):
        return "refused", "connection refused"
    if isinstance(error, TimeoutError) and error.errno is None:
        return "timeout", f"no answer within {timeout:g} s, in phase {phase}"
    result = "timeout" if error.errno in _SILENT else "error"
    return result, f"{error.strerror or type(error).__name__}, in phase {phase}"


class _Viewer:
    """Requests and answers; on one connection, unless the DVR closes it where that means no harm."""

    def __init__(self, dvr: Dvr, progress: _Progress, logins: Logins) -> None:
        self._dvr = dvr
        self._progress = progress
        self._logins = logins
        self._addresses: list[Address] = []
        self._address = dvr.url
        self._port = dvr.port
        self._parser = Parser()
        self.moved_to: list[str] = []
        """Where the DVR has sent the viewer to, fit to be shown."""
        self._authorization = Authorization(dvr.username, dvr.password.value)
        self._accepted = False
        self._taken: bool | None = None
        self._sequence = 0
        self._received = 0
        self._session = ""
        self._channel = 0
        self._miscounts = False
        self._source: int | None = None
        self._strangers: set[int] = set()
        self._playing = self._answered = False
        self._frames: dict[int, set[int]] = {}

    def connect(self, addresses: list[Address]) -> None:
        """Connect to the first address that answers. Raises `OSError`."""
        self._addresses = addresses
        self._connection = _connect_first(addresses, self._progress)

    def settle(self, *, refused: bool) -> None:
        """Say what came of user and password, if they were sent."""
        self._logins.settle(taken=False if refused else self._taken)

    def _log_in(self) -> None:
        """User and password are sent next. Raises `HeldBackError`, `NotAskedError`."""
        self._taken = None
        self._logins.send(self._progress.left())

    def watch(self) -> int:
        """Go through the phases after the connection; how many frames came, 0 if no stream is named."""
        with self._progress.timed("describe"):
            if _SECRET.search(self._dvr.target):
                self._log_in()
            self._exchange_messages("OPTIONS", self._address)  # whatever the answer, it speaks RTSP
            if not self._dvr.target:
                return 0
            description = self._describe_stream()
        with self._progress.timed("setup"):
            self._set_up(description.track)
        with self._progress.timed("first_packet"):
            # Without a Range: to a server that can seek, one would mean to do so.
            self._playing = True
            self._ask("PLAY", description.whole)
            self._await_frames(1)
        self._await_frames(2)
        return self._frames_seen()

    def _frames_seen(self) -> int:
        return max(map(len, self._frames.values()), default=0)

    def leave(self) -> None:
        """End the session, so that the DVR has its place back, and the connection."""
        with self._connection, contextlib.suppress(OSError, ProtocolError, _FailedError):
            if self._session:
                self._progress.grant(FAREWELL)
                self._exchange_messages("TEARDOWN", self._address)

    def _describe_stream(self) -> Description:
        answer = self._ask("DESCRIBE", self._address, {"Accept": "application/sdp"})
        while answer.status in _MOVED:
            self._follow_redirect(answer)
            answer = self._ask("DESCRIBE", self._address, {"Accept": "application/sdp"})
        base = answer.first("content-base") or answer.first("content-location") or self._address
        description = described(answer.body, base)
        if description is None:
            raise _FailedError("no_stream", "describes no stream")
        return description

    def _follow_redirect(self, answer: Response) -> None:
        """Go where the DVR sends its viewers, if that is the DVR itself: the password is for nobody else."""
        said = f"answered DESCRIBE with {answer.status}"
        location = _absolute_address(answer.first("location"), self._address)
        if location.lower().startswith("rtsps:"):
            raise _FailedError(
                "error", f"{said}: its stream is at an rtsps:// address, and RTSP over TLS is not spoken"
            )
        host, port, target = _parse_location(location)
        if not host:
            raise _FailedError("error", f"{said}, and does not say where the stream is")
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        known = {self._dvr.host.lower(), *(str(address[0]).lower() for _, address in self._addresses)}
        if host not in known:
            raise _FailedError("error", f"{said}: its stream is at {shown}, which is another host and not followed")
        if len(self.moved_to) >= _MAX_MOVES:
            raise _FailedError("error", f"{said} repeatedly")
        self.moved_to.append(shown)
        self._address = f"rtsp://{shown}{target}"
        if port != self._port or self._is_closed(answer):
            self._port = port
            self._reconnect_viewer()

    def _is_closed(self, answer: Response) -> bool:
        """Whether the DVR has closed the connection after this answer, or is about to."""
        if "close" in answer.first("connection").lower():
            return True
        try:
            self._connection.settimeout(min(self._progress.left(), _CLOSING))
            return not self._connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def _reconnect_viewer(self) -> None:
        self._connection.close()
        self._parser = Parser()
        self._connection = _connect_first(
            [(family, _with_port(at, self._port)) for family, at in self._addresses], self._progress
        )

    def _set_up(self, track: str) -> None:
        answer = self._ask("SETUP", track, {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"})
        self._session = answer.first("session").partition(";")[0].strip()
        transport = answer.first("transport").lower()
        channel = re.search(r"interleaved=(\d{1,3})", transport)
        if channel is None and "tcp" not in transport:
            raise _FailedError("no_stream", "does not send over TCP")
        self._channel = int(channel[1]) if channel else 0
        source = re.search(r"ssrc=([0-9a-f]{1,8})\b", transport)
        self._source = int(source[1], 16) if source else None

    def _await_frames(self, wanted: int) -> None:
        try:
            while self._frames_seen() < wanted:
                self._receive_answers()
        except TimeoutError:
            came = "one frame came and no further one" if self._frames_seen() else "no frame came"
            raise _FailedError("frozen", f"connected, but {came} within {self._dvr.timeout:g} s") from None

    def _ask(self, method: str, address: str, headers: Mapping[str, str] | None = None) -> Response:
        """The answer to a request that succeeds, with authentication where it is asked for."""
        for renewal in range(_RENEWALS + 1):
            authorization = self._authorization.header(method, address)
            if authorization and not self._accepted:
                self._log_in()
            answer = self._exchange_messages(method, address, {**(headers or {}), **authorization})
            if answer.status != 401:
                break
            self._choose_authorization(
                challenges(answer.all("www-authenticate")), bool(authorization), last=renewal == _RENEWALS
            )
            if not self._session and self._is_closed(answer):
                self._reconnect_viewer()
        self._accepted = bool(authorization)
        self._taken = True
        if method != "DESCRIBE" or answer.status not in _MOVED:
            _check_status(answer.status, method)
        return answer

    def _choose_authorization(self, offered: list[Challenge], answered: bool, *, last: bool) -> None:
        """Choose how to answer. A nonce may be good for a while, or for one request only."""
        if not self._authorization.possible:
            raise _FailedError("auth", "asks for a password, and none is configured")
        renewed = self._accepted or any(challenge.stale for challenge in offered)
        if last or (answered and not renewed):
            raise _FailedError("auth", "refused user or password")
        if not self._authorization.take(offered):
            raise _FailedError("auth", "asks for another authentication than Basic or Digest (MD5, SHA-256)")

    def _exchange_messages(self, method: str, address: str, headers: Mapping[str, str] | None = None) -> Response:
        self._sequence += 1
        session = {"Session": self._session} if self._session else {}
        authorization = self._authorization.header(method, address) if method == "TEARDOWN" else {}
        self._connection.settimeout(self._progress.left())
        self._connection.sendall(
            request(method, address, self._sequence, {**session, **authorization, **(headers or {})})
        )
        return self._await_answer()

    def _await_answer(self) -> Response:
        """The answer to the latest request.

        One that has another number is passed over, for it may be late; it is the one all the same if none follows. So
        do cameras that count wrong get through, as they do with ffmpeg, which does not look at the numbers.
        """
        stray: Response | None = None
        until = float("inf")
        while True:
            try:
                answers = self._receive_answers(until - time.monotonic())
            except (TimeoutError, _FailedError):  # nothing more comes
                if stray is None:
                    raise
                self._miscounts = True
                return stray
            for answer in answers:
                if answer.status < 200:  # more is to come: RFC 2326, section 7.1.1
                    continue
                if self._miscounts or self._is_expected(answer):
                    return answer
                stray, until = answer, time.monotonic() + _STRAY

    def _is_expected(self, answer: Response) -> bool:
        number = answer.first("cseq")
        return number == "" or (number.isdecimal() and int(number[:20]) == self._sequence)

    def _receive_answers(self, seconds: float = float("inf")) -> list[Response]:
        """Wait for bytes, at most for so long; the answers in them. Packets of the stream are noted."""
        if seconds <= 0:
            raise TimeoutError
        self._connection.settimeout(min(self._progress.left(), seconds))
        data = self._connection.recv(_CHUNK)
        if not data:
            result = "no_stream" if self._session else "error"
            raise _FailedError(result, f"closed the connection, in phase {self._progress.phase}")
        self._received += len(data)
        if self._received > MAX_BYTES:
            raise ProtocolError(f"sent more than {MAX_BYTES} bytes")
        answers = []
        for message in self._parser.feed(data):
            if isinstance(message, Response):
                answers.append(message)
                self._answered = self._answered or (self._playing and message.status >= 200)
            else:
                self._note_packet(message)
        return answers

    def _note_packet(self, packet: Packet) -> None:
        """Count a frame of this session.

        Packets on its channel may also be left from a session before: those are not it that came before it was to
        play, and until the DVR has answered that, those of another source than the one it named for it.
        """
        timestamp, source = rtp_timestamp(packet.data), rtp_source(packet.data)
        if timestamp is None or packet.channel != self._channel:
            return
        if not self._playing:
            self._strangers.add(source)
        elif self._answered or (source not in self._strangers and self._source in (None, source)):
            timestamps = self._frames.setdefault(source, set()) if len(self._frames) < 16 else set()
            if len(timestamps) < 2:
                timestamps.add(timestamp)


def _absolute_address(location: str, base: str) -> str:
    """An address that may be a reference relative to what was asked for (RFC 7826, 18.28; RFC 3986, 5.2)."""
    try:
        return urljoin(base, location) if location else ""
    except ValueError:
        return ""


def _parse_location(location: str) -> tuple[str, int, str]:
    """Host, port and target of an address that a DVR names; no host where it is none that can be asked."""
    try:
        parts = urlsplit(location)
        host, port = (parts.hostname or "").lower(), parts.port or 554
    except ValueError:
        return "", 0, ""
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    understood = parts.scheme.lower() == "rtsp" and _HOST.fullmatch(host) and _TARGET.fullmatch(target)
    return (host, port, target) if understood else ("", 0, "")


def _with_port(address: Any, port: int) -> Any:
    return (address[0], port, *address[2:])


def _check_status(status: int, method: str) -> None:
    if 200 <= status < 300:
        return
    result = "auth" if status in _AUTH else "no_stream" if status in _NO_STREAM else "error"
    phrase = f" {HTTPStatus(status).phrase}" if status in HTTPStatus._value2member_map_ else ""
    raise _FailedError(result, f"answered {method} with {status}{phrase}")
