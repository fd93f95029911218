"""RTSP/1.0 (RFC 2326) as bytes: what a client must understand of a server that it does not trust.

Nothing here reads or writes a socket. Whatever a server sends becomes messages within fixed bounds, or a
`ProtocolError`.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

MAX_HEAD = 16 * 1024
"""Bytes of an answer's status line and headers; live555 and GStreamer send a few hundred."""
MAX_BODY = 64 * 1024
"""Bytes of an answer's body: a description (SDP) of a few tracks takes one or two thousand."""
MAX_CHALLENGE = 4 * 1024
"""Characters of a challenge; longer ones are not looked at."""

_DOLLAR = 0x24  # what begins an interleaved packet: RFC 2326, section 10.12
# As far from RFC 2326, section 7.1, as ffmpeg and live555 take it: more blanks, no phrase, one that follows at once.
_STATUS_LINE = re.compile(r"RTSP/\d{1,2}\.\d{1,2}[ \t]+(\d{3})(?!\d).*", re.IGNORECASE)
_REQUEST_LINE = re.compile(r"[A-Z_]{1,32} \S+ RTSP/\d\.\d")
_PARAMETER = re.compile(r'([\w-]+) *= *(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(r"(?:^|,) *(basic|digest)(?= |$)", re.IGNORECASE)
_BEGINNING = re.compile(rb"\$|RTSP/|(?<=\n)[A-Z_]{1,32} [!-~]{1,2000} RTSP/", re.IGNORECASE)
_REQUEST_BEGINS = re.compile(rb"[A-Z_]{1,32} [!-~]{1,2000} RTSP/", re.IGNORECASE)
# A message, or what may become one with more bytes.
_MAY_BEGIN = rb"RTSP/|R?T?S?P?\Z|[A-Z_]{1,32}(?: (?:[!-~]{1,2000}(?: (?:RTSP/|(?:RTSP|RTS|RT|R)?\Z)|\Z)|\Z)|\Z)"
_BEGINS = re.compile(_MAY_BEGIN, re.IGNORECASE)
_BEGUN = re.compile(rb"(?<=\n)(?:" + _MAY_BEGIN + rb")|(?:RTSP|RTS|RT|R)\Z", re.IGNORECASE)
_MAX_ADDRESS = 2000
_SAFE = "!#$%&'()*+,-./:;<=>?@[]^_`{|}~"


class ProtocolError(Exception):
    """What came is not RTSP, or beyond every measure. The message is for people and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: names of headers in lower case, in the order in which they came."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for other, value in self.headers if other == name]

    def first(self, name: str) -> str:
        """The first value of a header, "" without one."""
        return next(iter(self.all(name)), "")


class Packet(NamedTuple):
    """RTP or RTCP between the answers."""

    channel: int
    data: bytes


class Parser:
    """Bytes in any portions go in, messages come out. Requests of the server are passed over.

    So are bytes that belong to nothing, once there was a message: cameras send zeros or lines between packets, and
    bodies longer than they say. Players look for the next packet or answer there, too.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._speaks = False

    def feed(self, data: bytes) -> Iterator[Response | Packet]:
        """The messages that are complete now. Raises `ProtocolError`."""
        self._buffer += data
        while (message := self._next_message()) is not None:
            if not isinstance(message, _Request):
                yield message

    def _next_message(self) -> Response | Packet | _Request | None:
        buffer = self._buffer
        if self._speaks:
            self._pass_over()
        else:
            del buffer[: _first_answer(buffer)]
        if not buffer:
            return None
        message = self._parse_packet() if buffer[0] == _DOLLAR else self._parse_message()
        self._speaks = self._speaks or message is not None
        return message

    def _pass_over(self) -> None:
        """Drop what is no beginning of a packet or a message."""
        buffer = self._buffer
        if not buffer or buffer[0] == _DOLLAR or _BEGINS.match(buffer):
            return
        if found := _BEGINNING.search(buffer):
            del buffer[: found.start()]
            return
        begun = _BEGUN.search(buffer)
        del buffer[: begun.start() if begun else len(buffer)]

    def _parse_packet(self) -> Packet | None:
        buffer = self._buffer
        end = 4 + int.from_bytes(buffer[2:4], "big")
        if len(buffer) < max(end, 4):
            return None
        packet = Packet(buffer[1], bytes(buffer[4:end]))
        del buffer[:end]
        return packet

    def _parse_message(self) -> Response | _Request | None:
        buffer = self._buffer
        match = re.search(rb"\r?\n\r?\n", buffer[: MAX_HEAD + 4])
        if match is None:
            if len(buffer) > MAX_HEAD:
                raise ProtocolError(f"sent an answer without an end in {MAX_HEAD} bytes")
            return None
        lines = buffer[: match.start()].decode("latin-1").split("\n")
        headers = tuple(_parse_headers(lines[1:]))
        end = match.end() + _content_length(headers)
        if len(buffer) < end:
            return None
        body = bytes(buffer[match.end() : end])
        del buffer[:end]
        if status := _STATUS_LINE.fullmatch(lines[0].rstrip()):
            return Response(int(status[1]), headers, body)
        if _REQUEST_LINE.fullmatch(lines[0].rstrip()):
            return _Request()
        raise ProtocolError("does not speak RTSP")


def _first_answer(buffer: bytearray) -> int:
    """Where the first answer begins: whoever sends something else first, and then RTSP, speaks it."""
    if buffer.startswith(b"$"):
        return 0
    found = buffer.find(b"RTSP/", 0, MAX_HEAD)
    if found >= 0 and not _REQUEST_BEGINS.match(buffer):
        return found
    return len(buffer) - len(buffer.lstrip(b"\r\n\0"))


class _Request:
    """Something the server asks; it need not be answered by one who stays for seconds."""


def _parse_headers(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip().lower(), "".join(c for c in value if c.isprintable()).strip()


def _content_length(headers: Iterable[tuple[str, str]]) -> int:
    """As strtol(3) has it, with which players read it: what is no number is no body."""
    text = next((value for name, value in headers if name == "content-length"), "0")
    found = re.match(r"\+?([0-9]+)", text)
    digits = found[1].lstrip("0") if found else ""
    if len(digits) > len(str(MAX_BODY)) or int(digits or "0") > MAX_BODY:
        raise ProtocolError(f"sent an answer of more than {MAX_BODY} bytes")
    return int(digits or "0")


def request(method: str, address: str, sequence: int, headers: Mapping[str, str]) -> bytes:
    """A request as it is sent."""
    lines = [f"{method} {address} RTSP/1.0", f"CSeq: {sequence}", "User-Agent: vv-exporter"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def rtp_timestamp(packet: bytes) -> int | None:
    """The timestamp of an RTP packet (RFC 3550, section 5.1): all packets of a frame share it. None for others."""
    if len(packet) < 12 or packet[0] >> 6 != 2:
        return None
    return int.from_bytes(packet[4:8], "big")


def rtp_source(packet: bytes) -> int:
    """Who sends an RTP packet: its SSRC (RFC 3550, section 5.1)."""
    return int.from_bytes(packet[8:12], "big")


class Description(NamedTuple):
    """Where a described stream is set up, and where it is played."""

    track: str
    whole: str


def described(body: bytes, base: str) -> Description | None:
    """The first video track of a description (SDP, RFC 4566), else its first track; None when it has none.

    `base` is what relative addresses begin with (RFC 2326, appendix C.1.1). Raises `ProtocolError` for addresses that
    cannot be asked for.
    """
    whole, tracks = "*", list[tuple[str, str]]()
    for line in body.decode("utf-8", "replace").splitlines():
        control = line.removeprefix("a=control:").strip() if line.startswith("a=control:") else ""
        if line.startswith("m="):
            tracks.append((line[2:7], "*"))
        elif control and tracks:
            tracks[-1] = (tracks[-1][0], control)
        elif control:
            whole = control
    if not tracks:
        return None
    track = next((control for medium, control in tracks if medium == "video"), tracks[0][1])
    return Description(_join_address(base, track), _join_address(base, whole))


def _join_address(base: str, control: str) -> str:
    if control == "*":
        address = base
    elif control.lower().startswith("rtsp://"):
        address = control
    else:
        address = base + ("" if base.endswith("/") else "/") + control
    asked = quote(address, safe=_SAFE)
    if not 0 < len(asked) <= _MAX_ADDRESS:
        raise ProtocolError("described a stream by an address that cannot be asked for")
    return asked


class Challenge(NamedTuple):
    """What a server wants of one who asks: Basic (RFC 7617) or Digest (RFC 2617, RFC 7616)."""

    scheme: str
    parameters: dict[str, str]

    @property
    def stale(self) -> bool:
        """Whether only the nonce was too old."""
        return self.parameters.get("stale", "").lower() == "true"


def challenges(values: Iterable[str]) -> list[Challenge]:
    """The challenges in the values of WWW-Authenticate headers; what is not understood is left out."""
    found = []
    for value in (value for value in values if len(value) <= MAX_CHALLENGE):
        starts = list(_SCHEME.finditer(value))
        ends = [*(match.start() for match in starts[1:]), len(value)]
        for match, end in zip(starts, ends, strict=bool(starts)):
            parameters = {
                name.lower(): _unquote_text(quoted, token)
                for name, quoted, token in _parameter_pairs(value, match, end)
            }
            found.append(Challenge(match[1].lower(), parameters))
    return found


def _parameter_pairs(value: str, match: re.Match[str], end: int) -> list[tuple[str, str, str]]:
    return _PARAMETER.findall(value, match.end(), end)


def _unquote_text(quoted: str, token: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted) if quoted else token


def _quote_text(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


_HASHES: Mapping[str, Callable[[bytes], str]] = {
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    # What RFC 2617 prescribes and most recorders still speak; nothing else rests on it.
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}


class Authorization:
    """Answers challenges for a user; `nonce` makes the client's own."""

    def __init__(self, username: str, password: str, nonce: Callable[[], str] = lambda: secrets.token_hex(16)) -> None:
        self._username = username
        self._password = password
        self._nonce = nonce
        self._challenge: Challenge | None = None
        self._count = 0

    @property
    def possible(self) -> bool:
        """Whether there is anything to answer with."""
        return bool(self._username or self._password)

    def take(self, offered: Iterable[Challenge]) -> bool:
        """Choose the strongest challenge that can be met: SHA-256, then MD5, then Basic. False if none can."""
        best = max(((_challenge_strength(one), -place, one) for place, one in enumerate(offered)), default=None)
        if best is None or not best[0]:
            return False
        self._challenge, self._count = best[2], 0
        return True

    def header(self, method: str, address: str) -> dict[str, str]:
        """The header for a request; none as long as nothing was asked."""
        if self._challenge is None:
            return {}
        if self._challenge.scheme == "basic":
            both = f"{self._username}:{self._password}".encode()
            return {"Authorization": f"Basic {base64.b64encode(both).decode()}"}
        return {"Authorization": self._digest_header(method, address, self._challenge.parameters)}

    def _digest_header(self, method: str, address: str, asked: Mapping[str, str]) -> str:
        algorithm = asked.get("algorithm", "MD5")
        hashed = _HASHES[algorithm.upper().removesuffix("-SESS")]
        realm, nonce, own = asked.get("realm", ""), asked.get("nonce", ""), self._nonce()
        self._count += 1
        secret = hashed(f"{self._username}:{realm}:{self._password}".encode())
        if algorithm.upper().endswith("-SESS"):
            secret = hashed(f"{secret}:{nonce}:{own}".encode())
        quality = _quality_of_protection(asked)
        # With auth-int also the body is hashed, and no request of ours has one.
        what = hashed(f"{method}:{address}{':' + hashed(b'') if quality == 'auth-int' else ''}".encode())
        fields = {name: _quote_text(value) for name, value in (("username", self._username), ("realm", realm))}
        fields |= {"nonce": _quote_text(nonce), "uri": _quote_text(address)}
        if quality:
            count = f"{self._count:08x}"
            fields |= {"qop": quality, "nc": count, "cnonce": _quote_text(own)}
            response = hashed(f"{secret}:{nonce}:{count}:{own}:{quality}:{what}".encode())
        else:
            response = hashed(f"{secret}:{nonce}:{what}".encode())
        fields["response"] = _quote_text(response)
        if "algorithm" in asked:
            fields["algorithm"] = algorithm
        if "opaque" in asked:
            fields["opaque"] = _quote_text(asked["opaque"])
        return "Digest " + ", ".join(f"{name}={value}" for name, value in fields.items())


def _quality_of_protection(asked: Mapping[str, str]) -> str:
    """What is protected, of what is offered: RFC 7616, section 3.3; "" without an offer, as of RFC 2069."""
    offered = [option.strip().lower() for option in asked.get("qop", "").split(",")]
    return next((quality for quality in ("auth", "auth-int") if quality in offered), "")


def _challenge_strength(challenge: Challenge) -> int:
    """3 SHA-256, 2 MD5, 1 Basic, 0 what cannot be met (other hashes)."""
    if challenge.scheme == "basic":
        return 1
    asked = challenge.parameters
    algorithm = asked.get("algorithm", "MD5").upper().removesuffix("-SESS")
    if algorithm not in _HASHES or ("qop" in asked and not _quality_of_protection(asked)):
        return 0
    return 3 if algorithm == "SHA-256" else 2
