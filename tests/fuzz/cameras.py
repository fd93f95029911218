"""A camera that plays a dialogue which was recorded from a real one and then bent, to whoever asks.

The dialogue is GStreamer's RTSP server's, with its packets of H.264 (`dialogues/gstreamer.json`). `bend` changes it as
cameras in the field are found to differ, and as none should; each change has a name.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import random
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

USER, PASSWORD = "viewer", "pass:w0rd"
BASIC = 'Basic realm="cam"'
DIGEST = 'Digest realm="cam", nonce="4f5e6a"'

_RECORDED = json.loads((Path(__file__).parent / "dialogues" / "gstreamer.json").read_text())


@dataclass
class Answer:
    """What is sent for a request; `{base}` is the camera's address, `{cseq}` the request's number."""

    status: str
    headers: list[str]
    body: str = ""
    before: bytes = b""
    after: bytes = b""
    closes: bool = False
    end: str = "\r\n"
    length: str = "Content-Length: {length}"

    def rendered(self, cseq: str, base: str) -> bytes:
        """As bytes."""
        body = self.body.replace("{base}", base).encode()
        lines = [self.status, *self.headers, *([self.length] if body else [])]
        head = self.end.join([*lines, "", ""])
        head = head.replace("{base}", base).replace("{cseq}", cseq).replace("{length}", str(len(body)))
        return self.before + head.encode("latin-1") + body + self.after


@dataclass
class Dialogue:
    """How a camera answers, and what it shows. `changes` are the names of what was bent."""

    answers: dict[str, Answer]
    packets: list[tuple[int, bytes]]
    challenge: list[str] = field(default_factory=list)
    refusal: Answer = field(default_factory=lambda: Answer("RTSP/1.0 401 Unauthorized", ["CSeq: {cseq}"]))
    moved: Answer | None = None
    between: dict[int, bytes] = field(default_factory=dict)
    early: int = 0
    piece: int = 0
    tail: bytes = b""
    changes: list[str] = field(default_factory=list)


def recorded() -> Dialogue:
    """The dialogue as it was."""
    answers = {
        method: Answer(
            said["status"],
            ["CSeq: {cseq}", *(header.replace("rtsp://127.0.0.1:PORT", "{base}") for header in said["headers"])],
            said["body"],
        )
        for method, said in _RECORDED["answers"].items()
    }
    packets = [(channel, base64.b64decode(data)) for channel, data in _RECORDED["packets"]]
    return Dialogue(answers, packets)


class Camera:
    """Serves one dialogue after the other on one port."""

    def __init__(self) -> None:
        self.dialogue = recorded()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=_play, args=(connection, self.port, self.dialogue), daemon=True).start()


def _play(connection: socket.socket, port: int, dialogue: Dialogue) -> None:
    with connection, contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(20)
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                more = connection.recv(65536)
                if not more:
                    return
                received += more
            head, _, received = received.partition(b"\r\n\r\n")
            if not _answer(connection, head.decode("latin-1"), f"rtsp://127.0.0.1:{port}", dialogue):
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
                return


def _answer(connection: socket.socket, request: str, base: str, dialogue: Dialogue) -> bool:
    """Whether the connection goes on."""
    method, address = request.split()[:2]
    found = re.search(r"^CSeq: *(\d+)", request, re.MULTILINE | re.IGNORECASE)
    cseq = found[1] if found else ""
    answer = dialogue.answers.get(method, Answer("RTSP/1.0 200 OK", ["CSeq: {cseq}"]))
    if method != "OPTIONS" and dialogue.challenge and not _is_authorized(request, dialogue.challenge):
        answer = copy.copy(dialogue.refusal)
        answer.headers = [*answer.headers, *dialogue.challenge]
    elif method == "DESCRIBE" and dialogue.moved and "/real" not in address:
        answer = dialogue.moved
    elif method == "PLAY":
        stream = b"".join(dialogue.between.get(n, b"") + _framed(*one) for n, one in enumerate(dialogue.packets))
        early = b"".join(_framed(*one) for one in dialogue.packets[: dialogue.early])
        _send(connection, early + answer.rendered(cseq, base) + stream + dialogue.tail, dialogue.piece)
        return False
    _send(connection, answer.rendered(cseq, base), dialogue.piece)
    return not answer.closes


def _framed(channel: int, data: bytes) -> bytes:
    return b"$" + bytes([channel]) + len(data).to_bytes(2, "big") + data


def _send(connection: socket.socket, data: bytes, piece: int) -> None:
    for start in range(0, len(data), piece or len(data) or 1):
        connection.sendall(data[start : start + (piece or len(data))])


def _is_authorized(request: str, challenge: list[str]) -> bool:
    header = next((line for line in request.split("\r\n") if line.lower().startswith("authorization:")), "")
    scheme, _, rest = header.partition(":")[2].strip().partition(" ")
    if scheme.lower() == "basic":
        return "basic" in " ".join(challenge).lower() and base64.b64decode(rest) == f"{USER}:{PASSWORD}".encode()
    said = {
        name: quoted or token for name, quoted, token in re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', rest)
    }
    return bool(said) and said.get("response") == _response(request.split()[0], said)


def _response(method: str, said: Mapping[str, str]) -> str:
    """RFC 7616, section 3.4.1, from what the client says of realm and nonce."""
    kind = "sha256" if said.get("algorithm", "MD5").upper().startswith("SHA-256") else "md5"

    def hashed(text: str) -> str:
        return hashlib.new(kind, text.encode()).hexdigest()

    secret = hashed(f"{USER}:{said.get('realm', '')}:{PASSWORD}".replace('\\"', '"'))
    if said.get("algorithm", "").upper().endswith("-SESS"):
        secret = hashed(f"{secret}:{said.get('nonce', '')}:{said.get('cnonce', '')}")
    middle = f"{said['nc']}:{said['cnonce']}:{said['qop']}:" if said.get("qop") else ""
    whole = ":" + hashed("") if said.get("qop") == "auth-int" else ""
    return hashed(f"{secret}:{said.get('nonce', '')}:{middle}{hashed(method + ':' + said.get('uri', '') + whole)}")


Change = Callable[[random.Random, Dialogue], None]
CHANGES: dict[str, Change] = {}


def bend(rng: random.Random, dialogue: Dialogue) -> Dialogue:
    """Change it in one to three ways."""
    if rng.random() < 0.4:
        dialogue.challenge = [f"WWW-Authenticate: {rng.choice((BASIC, DIGEST))}"]
    for name in rng.sample(sorted(CHANGES), rng.choice((1, 1, 2, 3))):
        dialogue.changes.append(name)
        CHANGES[name](rng, dialogue)
    return dialogue


def _change(change: Change) -> Change:
    CHANGES[change.__name__.strip("_")] = change
    return change


def _some(rng: random.Random, dialogue: Dialogue) -> Answer:
    return rng.choice([*dialogue.answers.values(), dialogue.refusal])


def _replace(answer: Answer, name: str, header: str | None) -> None:
    answer.headers = [one for one in answer.headers if not one.lower().startswith(name.lower() + ":")]
    if header is not None:
        answer.headers.append(header)


JUNK = (
    b"\r\n",
    b"\n\n\r\n",
    b"\0",
    b"\0" * 7,
    b"\xff\xfe",
    b"garbage",
    b"\r\ngarbage\r\n",
    b"x" * 700,
    b"$",
    b"$\x07\0\0",
)


@_change
def junk_between_packets(rng: random.Random, dialogue: Dialogue) -> None:
    for _ in range(rng.choice((1, 1, 5))):
        dialogue.between[rng.randrange(20)] = rng.choice(JUNK[:-2])


@_change
def junk_between_all_packets(rng: random.Random, dialogue: Dialogue) -> None:
    junk = rng.choice(JUNK[:-2])
    dialogue.between = dict.fromkeys(range(len(dialogue.packets)), junk)


@_change
def junk_before_an_answer(rng: random.Random, dialogue: Dialogue) -> None:
    _some(rng, dialogue).before = rng.choice(JUNK[:-2])


@_change
def packets_of_a_session_before(rng: random.Random, dialogue: Dialogue) -> None:
    """Also on the channels of this one."""
    old = b"\x80\x60\x12\x34" + rng.randbytes(4) + b"\0\0\x99\x99" + b"\x65" + b"x" * 50
    frames = b"".join(
        _framed(rng.choice((0, 0, 2, 9)), old[:4] + (n * 3000).to_bytes(4, "big") + old[8:]) for n in range(4)
    )
    answer = dialogue.answers[rng.choice(("OPTIONS", "DESCRIBE", "SETUP", "PLAY"))]
    answer.before = frames
    if rng.random() < 0.3:
        dialogue.packets = []


@_change
def late_answers(rng: random.Random, dialogue: Dialogue) -> None:
    number = rng.choice(("0", "1", "77"))
    late = f"RTSP/1.0 {rng.choice(('200 OK', '404 Not Found', '401 Unauthorized'))}\r\nCSeq: {number}\r\n\r\n".encode()
    dialogue.answers[rng.choice(("DESCRIBE", "SETUP", "PLAY"))].before = late


@_change
def no_or_another_cseq(rng: random.Random, dialogue: Dialogue) -> None:
    _replace(_some(rng, dialogue), "CSeq", rng.choice((None, "CSeq: 99", "CSeq: 0{cseq}", "CSeq:{cseq}", "Cseq: x")))


@_change
def requests_of_the_camera(rng: random.Random, dialogue: Dialogue) -> None:
    method = rng.choice(("OPTIONS", "ANNOUNCE", "GET_PARAMETER", "SET_PARAMETER"))
    body = rng.choice(("", "", "\r\n", "a body of its own"))
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    asked = f"{method} rtsp://127.0.0.1/live RTSP/1.0\r\nCSeq: 5\r\n{length}\r\n{body}".encode()
    if rng.random() < 0.5:
        dialogue.between[rng.randrange(10)] = asked
    else:
        _some(rng, dialogue).before = asked


@_change
def early_packets(rng: random.Random, dialogue: Dialogue) -> None:
    dialogue.early = rng.choice((1, 9, 26))


@_change
def sessions(rng: random.Random, dialogue: Dialogue) -> None:
    session = rng.choice(
        (
            None,
            "Session: a b",
            "Session: 1;timeout=5",
            "session:x",
            "Session:  77 ; timeout = 60",
            "Session: " + "9" * 400,
            "Session:",
            'Session: "q"',
            "Session: $-_.+",
        )
    )
    _replace(dialogue.answers["SETUP"], "Session", session)
    if rng.random() < 0.5:
        _replace(dialogue.answers["PLAY"], "Session", rng.choice((None, session, "Session: another")))


@_change
def transports(rng: random.Random, dialogue: Dialogue) -> None:
    transport, channel = rng.choice(
        (
            ("RTP/AVP/TCP;unicast;interleaved=4-5", 4),
            ("RTP/AVP/TCP;unicast;interleaved=0", 0),
            ("rtp/avp/tcp;interleaved=0-1", 0),
            ("RTP/AVP/TCP;unicast", 0),
            ("RTP/AVP/TCP; unicast; interleaved=0-1", 0),
            ("RTP/AVP/TCP;interleaved=0-1;mode=play;ssrc=00000001", 0),
            ("RTP/AVP/TCP;unicast;interleaved=2-3", 2),
            ("RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001", 0),
            ("RTP/AVP;unicast;interleaved=0-1", 0),
            ("RTP/AVP/TCP;unicast;interleaved=200-201", 200),
            ("RTP/AVP/TCP;unicast;interleaved=0-1,RTP/AVP;unicast", 0),
            ("RTP/AVP/TCP;unicast;destination=127.0.0.1;interleaved=0-1", 0),
            ("RTP/AVP/TCP;unicast;Interleaved=0-1", 0),
            ("RTP/AVP/TCP;unicast;interleaved=4-5", 0),
            ("", 0),
            ("raw/raw/tcp;interleaved=0-1", 0),
        )
    )
    _replace(dialogue.answers["SETUP"], "Transport", f"Transport: {transport}")
    dialogue.packets = [(channel, data) for _, data in dialogue.packets]


@_change
def no_transport(rng: random.Random, dialogue: Dialogue) -> None:
    _replace(dialogue.answers["SETUP"], "Transport", None)


@_change
def shapes_of_headers(rng: random.Random, dialogue: Dialogue) -> None:
    answer = _some(rng, dialogue)
    shape = rng.randrange(6)
    if shape == 0:
        answer.headers = [one.partition(":")[0].upper() + ":" + one.partition(":")[2] for one in answer.headers]
    elif shape == 1:
        answer.headers = [one.replace(": ", ":", 1) for one in answer.headers]
    elif shape == 2:
        answer.headers = [one.replace(": ", ":\t  ", 1) + "  " for one in answer.headers]
    elif shape == 3:
        answer.headers = [one.replace(";", ";\r\n ", 1) for one in answer.headers]
    elif shape == 4:
        answer.end = "\n"
    else:
        answer.headers.insert(
            rng.randrange(len(answer.headers) + 1),
            rng.choice(("no colon", ": no name", "X: " + "y" * 3000, "X-\xe9: \xff")),
        )


@_change
def lengths(rng: random.Random, dialogue: Dialogue) -> None:
    answer = dialogue.answers[rng.choice(("DESCRIBE", "DESCRIBE", "SETUP", "PLAY", "OPTIONS"))]
    if answer.body:
        answer.length = rng.choice(
            (
                "Content-Length: {length}\r\nContent-Length: {length}",
                "content-length:{length}",
                "Content-Length: 0{length}",
                "Content-Length: 300",
                "Content-length: {length} ",
                "Content-Length: +{length}",
            )
        )
    else:
        answer.headers.append(
            rng.choice(("Content-Length: 0", "Content-Length: -1", "Content-Length:", "Content-Length: x"))
        )


@_change
def challenges(rng: random.Random, dialogue: Dialogue) -> None:
    said = rng.choice(
        (
            [BASIC, DIGEST],
            [DIGEST, BASIC],
            [f"{DIGEST}, {BASIC}"],
            [f"{BASIC}, {DIGEST}"],
            [f'{DIGEST}, qop="auth"'],
            [f'{DIGEST}, qop="auth,auth-int"'],
            [f'{DIGEST}, qop="auth-int"'],
            [f"{DIGEST}, stale=true"],
            ['Digest realm="cam, Basic realm=x, the yard", nonce="1,2=3"'],
            ['Digest realm="a \\"b\\"", nonce="n"'],
            ['Digest nonce="n", realm="cam", opaque="5ccc", algorithm=MD5'],
            ['Digest realm="", nonce=""'],
            [f"{DIGEST}, algorithm=SHA-256"],
            [f'{DIGEST}, algorithm=MD5-sess, qop="auth"'],
            [f'{DIGEST}, algorithm="MD5"'],
            ["Bearer", DIGEST],
            ["Negotiate", BASIC],
            ["basic realm=cam"],
            ['DIGEST realm="cam",nonce="n"'],
            ["Basic"],
            ["Digest realm=cam, nonce=n"],
            [f'{DIGEST}, domain="/", charset=UTF-8'],
            [f"{DIGEST}, algorithm=SHA-512-256"],
            [f"{DIGEST}, algorithm=SHA-256", DIGEST, BASIC],
            ['Nonsense realm="x"'],
            [f'{DIGEST} , opaque = "a"'],
        )
    )
    name = rng.choice(("WWW-Authenticate", "WWW-Authenticate", "www-authenticate", "WWW-AUTHENTICATE"))
    dialogue.challenge = [f"{name}: {one}" for one in said]


@_change
def closes_after_its_401(rng: random.Random, dialogue: Dialogue) -> None:
    dialogue.challenge = dialogue.challenge or [f"WWW-Authenticate: {rng.choice((BASIC, DIGEST))}"]
    dialogue.refusal.closes = True
    if rng.random() < 0.5:
        dialogue.refusal.headers.append("Connection: close")


@_change
def closes(rng: random.Random, dialogue: Dialogue) -> None:
    _some(rng, dialogue).closes = True


@_change
def moves(rng: random.Random, dialogue: Dialogue) -> None:
    status = rng.choice(
        ("301 Moved Permanently", "302 Moved Temporarily", "303 See Other", "305 Use Proxy", "307 Redirect")
    )
    where = rng.choice(
        ("{base}/real", "{base}/real", "{base}/real?a=b&c", "/real", "", "rtsp://127.0.0.2:1/real", "{base}/real ")
    )
    dialogue.moved = Answer(f"RTSP/1.0 {status}", ["CSeq: {cseq}", *([f"Location: {where}"] if where else [])])
    dialogue.moved.closes = rng.random() < 0.4


@_change
def descriptions(rng: random.Random, dialogue: Dialogue) -> None:
    answer = dialogue.answers["DESCRIBE"]
    video = answer.body[answer.body.index("m=video") :]
    head = answer.body[: answer.body.index("m=video")]
    audio = "m=audio 0 RTP/AVP 0\r\na=control:stream=1\r\n"
    metadata = "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:stream=2\r\n"
    answer.body = rng.choice(
        (
            head + audio + video,
            head + video + audio,
            head + metadata + video,
            head + video + video.replace("=0", "=3"),
            answer.body.replace("a=control:stream=0", "a=control:{base}/live/stream=0"),
            head + audio,
            head + metadata,
            answer.body.replace("a=control:stream=0", ""),
            answer.body.replace("a=control:*\r\n", ""),
            head,
            "",
            answer.body.replace("a=control:*", "a=control:{base}/live/"),
            answer.body.replace("\r\n", "\n"),
            "no SDP at all",
            answer.body.replace("m=video 0", "m=video 5004"),
            answer.body.replace("RTP/AVP 96", "RTP/SAVP 96"),
            answer.body.replace("a=rtpmap:96 H264/90000\r\n", ""),
            answer.body.replace("a=control:stream=0", "a=control:/live/0"),
            answer.body.replace("H264", "VV-UNKNOWN"),
            answer.body + "\0\xff nonsense\r\n",
            answer.body.replace("v=0\r\n", "\r\nv=0\r\n"),
            answer.body.replace("a=control:stream=0", "a=control:trackID=1?x=y z"),
            answer.body.replace("m=video", "m=VIDEO"),
            answer.body.replace("a=control:stream=0", "a=Control:stream=0"),
            answer.body.replace("a=", " a="),
        )
    )


@_change
def bases(rng: random.Random, dialogue: Dialogue) -> None:
    base = rng.choice(
        (
            None,
            "Content-Base: {base}/live",
            "Content-Base: ",
            "Content-Location: {base}/live/",
            "Content-Base: /live/",
            "content-base:{base}/other/",
            "Content-Base: rtsp://10.255.255.1/live/",
        )
    )
    _replace(dialogue.answers["DESCRIBE"], "Content-Base", base)
    if rng.random() < 0.3:
        _replace(
            dialogue.answers["DESCRIBE"],
            "Content-Type",
            rng.choice((None, "Content-Type: text/plain", "Content-type:application/sdp;charset=x")),
        )


@_change
def status_lines(rng: random.Random, dialogue: Dialogue) -> None:
    _some(rng, dialogue).status = rng.choice(
        (
            "RTSP/1.0 200",
            "RTSP/1.0 200 ",
            "RTSP/2.0 200 OK",
            "RTSP/1.0  200 OK",
            "rtsp/1.0 200 OK",
            "HTTP/1.1 200 OK",
            "RTSP/1.0 201 OK",
            "RTSP/1.0 299 Whatever",
            "RTSP/1.0 250 Low on Storage Space",
            "RTSP/1.0 200 \xd6K",
            "RTSP/1.0 200OK",
            "200 OK",
            "RTSP/1.10 200 OK",
        )
    )


@_change
def refusals(rng: random.Random, dialogue: Dialogue) -> None:
    status = rng.choice(
        ("400", "403", "404", "405", "415", "453", "454", "455", "459", "461", "500", "501", "503", "551", "700")
    )
    dialogue.answers[rng.choice(("OPTIONS", "OPTIONS", "DESCRIBE", "SETUP", "PLAY"))].status = f"RTSP/1.0 {status} No"


@_change
def provisional(rng: random.Random, dialogue: Dialogue) -> None:
    _some(rng, dialogue).before = (
        b"RTSP/1.0 100 Continue\r\n" + rng.choice((b"", b"CSeq: 2\r\n", b"CSeq: 3\r\n")) + b"\r\n"
    )


Bent = list[tuple[int, bytes]]
PACKETS: list[Callable[[int, bytes, bytes], Bent]] = [
    lambda channel, data, first: [(channel, data[:4] + first + data[8:])],
    lambda channel, data, _: [(channel, bytes([data[0] & 0x3F]) + data[1:])],
    lambda channel, data, _: [(channel, bytes([data[0] | 0x10]) + data[1:12] + b"\xbe\xde\0\1abcd" + data[12:])],
    lambda channel, data, _: [(channel, bytes([data[0] | 0x20]) + data[1:] + b"\0\0\0\4")],
    lambda channel, data, _: [(channel, data[:1] + bytes([data[1] & 0x80 | 97]) + data[2:])],
    lambda channel, data, _: [(channel, data[:8] + b"\1\2\3\4" + data[12:])],
    lambda channel, data, _: [(channel, data), (channel, data)],
    lambda channel, data, _: [(channel, data), (channel ^ 1, b"\x80\xc8\0\6" + b"\0" * 24)],
    lambda channel, data, _: [(channel, data), (channel, b"")],
    lambda channel, data, _: [(channel, data), (77, b"another stream's")],
    lambda channel, data, _: [(channel, data[:10])],
    lambda channel, data, first: [(channel, data)] if data[4:8] == first else [],
]
"""What becomes of a packet; `first` is the timestamp of the first."""


@_change
def packets(rng: random.Random, dialogue: Dialogue) -> None:
    kind = rng.randrange(len(PACKETS))
    first = dialogue.packets[0][1][4:8] if dialogue.packets else b""
    dialogue.packets = [one for channel, data in dialogue.packets for one in PACKETS[kind](channel, data, first)]
    dialogue.changes[-1] += f" {kind}"


@_change
def cut(rng: random.Random, dialogue: Dialogue) -> None:
    dialogue.packets = dialogue.packets[: rng.choice((0, 1, 8, 9, 12))]
    dialogue.tail = rng.choice((b"", b"$\0\4\0abc", b"$\0"))


@_change
def pieces(rng: random.Random, dialogue: Dialogue) -> None:
    dialogue.piece = rng.choice((7, 50, 300))
