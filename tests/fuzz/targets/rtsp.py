"""Whole dialogues with a DVR that says what it likes: the probe has an answer each time, and it is counted."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
from typing import Any

from tests.fuzz.mutators import mutate_bytes, mutate_lines
from tests.fuzz.targets._device import Device
from tests.fuzz.targets.rtsp_messages import SDP, SEEDS, answer, packet
from vv_exporter.probes import rtsp
from vv_exporter.settings import Dvr, Secret
from vv_exporter.state import dvrs

PASSWORD = "pass:w0rd"
DVR = Dvr("10.0.0.1", 554, "/live", "viewer", Secret(PASSWORD), timeout=1.0)
MARK = b"\n--8<--\n"
DIGEST = b'WWW-Authenticate: Digest realm="cam", nonce="4f5e", qop="auth", algorithm=MD5'
GOOD = [
    answer(b"200 OK", b"Public: OPTIONS, DESCRIBE", sequence=1),
    answer(b"401 Unauthorized", DIGEST, sequence=2),
    answer(b"200 OK", b"Content-Base: rtsp://10.0.0.1/live/", body=SDP, sequence=3),
    answer(b"200 OK", b"Session: 12345678", b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1", sequence=4),
    answer(b"200 OK", sequence=5) + packet(1),
    packet(2),
    answer(b"200 OK", sequence=6),
]
OPEN = [GOOD[0], *(part.replace(b"CSeq: %d" % n, b"CSeq: %d" % (n - 1)) for n, part in enumerate(GOOD[2:], 3))]


class Connection(socket.socket):
    """Gives one part of the dialogue for each request, and what is left when nothing is asked."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        super().__init__()
        self._parts = list(parts)
        self.sent = b""

    def settimeout(self, value: float | None) -> None:
        assert value is None or value > 0

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.sent += bytes(data)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        if not self._parts or (flags & socket.MSG_PEEK and self._parts[0]):
            raise TimeoutError
        part = self._parts.pop(0)
        if len(part) > bufsize:
            self._parts.insert(0, part[bufsize:])
        return part[:bufsize]


class _Here(rtsp.Resolver):
    def __init__(self) -> None:
        super().__init__("10.0.0.1", 554)

    def addresses(self, timeout: float) -> list[rtsp.Address]:
        return [(socket.AF_INET, ("10.0.0.1", 554))]


class Rtsp:
    """An input is what the DVR sends, in the parts in which it does."""

    batch = 100

    def __init__(self) -> None:
        self._device = Device()

    def seeds(self) -> Sequence[bytes]:
        return [MARK.join(GOOD), MARK.join(OPEN), MARK.join([GOOD[0], SEEDS[5], *GOOD[2:]]), MARK.join(SEEDS)]

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        parts = seed.split(MARK)
        for _ in range(rng.choice((1, 1, 2))):
            place = rng.randrange(len(parts))
            how = rng.random()
            if how < 0.35:
                parts[place] = mutate_lines(rng, parts[place], SEEDS)
            elif how < 0.7:
                parts[place] = mutate_bytes(rng, parts[place], SEEDS)
            elif how < 0.8:
                parts.insert(place, rng.choice([*SEEDS, *GOOD]))
            elif how < 0.9 and len(parts) > 1:
                del parts[place]
            else:
                parts[place : place + 2] = [b"".join(parts[place : place + 2])]
        return MARK.join(parts)

    def _ask(self, parts: Sequence[bytes]) -> rtsp.Answer:
        connection = Connection(parts)
        rtsp._connect_first = lambda *_: connection  # type: ignore[assignment]
        answer = rtsp.probe(DVR, _Here())
        for line in connection.sent.split(b"\r\n"):
            assert line == b"" or line.partition(b":")[0].isascii(), "what the DVR said begins a line of ours"
        assert connection.sent.count(b"RTSP/1.0\r\n") <= 20, "a DVR made it ask again and again"
        return answer

    def feed(self, data: bytes) -> None:
        answer = self._ask(data.split(MARK))
        assert answer.result in dvrs.RESULTS
        assert answer.error.isprintable()
        assert len(answer.error) < 500
        assert PASSWORD not in answer.error
        with self._device.store.transaction() as tx:
            dvrs.probed(tx, "yard", answer.result, self._device.clock(), error=answer.error, frames=answer.frames)

    def prove(self) -> None:
        for parts in (GOOD, OPEN):
            found = self._ask(parts)
            assert found.result == "ok", f"a good dialogue is {found}"
        self._device.prove()

    def close(self) -> None:
        self._device.close()


_connect = rtsp._connect_first


def build() -> Rtsp:
    """Make it."""
    return Rtsp()
