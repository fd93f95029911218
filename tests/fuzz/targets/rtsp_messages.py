"""What a DVR sends, as bytes: answers, packets, descriptions, challenges."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.fuzz.mutators import mutate_bytes, mutate_lines
from vv_exporter.probes.rtsp_messages import (
    MAX_BODY,
    MAX_HEAD,
    Authorization,
    Packet,
    Parser,
    ProtocolError,
    challenges,
    described,
    request,
    rtp_timestamp,
)

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=cam\r\na=control:*\r\nm=audio 0 RTP/AVP 0\r\na=control:track0\r\n"
    b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:rtsp://10.0.0.1/live/track1\r\n"
)


def answer(status: bytes = b"200 OK", *headers: bytes, body: bytes = b"", sequence: int = 1) -> bytes:
    """An answer of a DVR."""
    length = [b"Content-Length: %d" % len(body)] if body else []
    return b"\r\n".join([b"RTSP/1.0 " + status, b"CSeq: %d" % sequence, *headers, *length, b"", body])


def packet(timestamp: int, channel: int = 0) -> bytes:
    """An RTP packet between the answers."""
    data = b"\x80\x60\x00\x01" + timestamp.to_bytes(4, "big") + b"\0\0\0\1" + b"x" * 20
    return b"$" + bytes([channel]) + len(data).to_bytes(2, "big") + data


DIGEST = (
    b'WWW-Authenticate: Digest realm="cam, \\"yard\\"", nonce="4f5e", qop="auth,auth-int", algorithm=SHA-256, opaque=x'
)
SEEDS = [
    answer(b"200 OK", b"Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"),
    answer(b"401 Unauthorized", DIGEST, b'WWW-Authenticate: Basic realm="cam"'),
    answer(b"401 Unauthorized", b'WWW-Authenticate: Digest realm="a", nonce="b", stale=TRUE, Basic realm="c"'),
    answer(b"200 OK", b"Content-Base: rtsp://10.0.0.1/live/", b"Content-Type: application/sdp", body=SDP),
    answer(b"200 OK", b"Session: 12345678;timeout=60", b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=1"),
    answer(b"302 Moved Temporarily", b"Location: rtsp://10.0.0.1/real"),
    packet(1) + packet(1) + packet(90) + packet(7, channel=1) + answer(b"454 Session Not Found"),
    b"OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 3\r\n\r\n" + answer(),
    SDP,
    DIGEST,
]


class RtspMessages:
    """The parser, in portions of any size, and all that reads what it gives."""

    batch = 500

    def __init__(self) -> None:
        self._sizes = random.Random(1)
        self._told: set[str] = set()

    def seeds(self) -> Sequence[bytes]:
        return SEEDS

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        return (mutate_bytes if rng.random() < 0.6 else mutate_lines)(rng, seed, seeds)

    def feed(self, data: bytes) -> None:
        parser, step = Parser(), self._sizes.choice((1_000_000, 1_000_000, 100, 7) if len(data) < 2_000 else (65_536,))
        try:
            for start in range(0, len(data), step):
                for message in parser.feed(data[start : start + step]):
                    if isinstance(message, Packet):
                        rtp_timestamp(message.data)
                        continue
                    assert len(message.body) <= MAX_BODY
                    assert all(value.isprintable() for _, value in message.headers), "a header with control characters"
                    self._understand([value for _, value in message.headers], message.body)
        except ProtocolError as error:
            self._told.add(str(error))
        assert len(parser._buffer) <= MAX_HEAD + MAX_BODY + 1_000_004, "without a bound"
        self._understand(["".join(c for c in data.decode("latin-1")[18:] if c.isprintable())], data)

    def _understand(self, values: list[str], body: bytes) -> None:
        offered = challenges(values)
        own = Authorization("viewer", "pass:w0rd")
        if own.take(offered):
            headers = own.header("DESCRIBE", "rtsp://10.0.0.1/live")
            sent = request("DESCRIBE", "rtsp://10.0.0.1/live", 1, headers)
            assert sent.count(b"\r\n") == 5, "what the DVR said begins a line of ours"
        try:
            description = described(body, "rtsp://10.0.0.1/live")
        except ProtocolError:
            return
        if description is not None:
            assert request("SETUP", description.track, 1, {}).count(b"\r\n") == 4, "an address begins a line of ours"

    def prove(self) -> None:
        assert all(text.isprintable() for text in self._told), "what a DVR said is shown"
        messages = list(Parser().feed(b"".join(SEEDS[:6])))
        assert [message.status for message in messages if not isinstance(message, Packet)] == [
            200,
            401,
            401,
            200,
            200,
            302,
        ]

    def close(self) -> None:
        pass


def build() -> RtspMessages:
    """Make it."""
    return RtspMessages()
