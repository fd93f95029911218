"""The probe of a DVR: against GStreamer's server, and against peers that are slow, broken or hostile."""

import contextlib
import hashlib
import logging
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clock import Clock
from tests.support.ports import free_port
from tests.support.rtsp import RtspServer
from tests.support.waiting import wait_until
from vv_exporter.collectors.dvr import Dvrs
from vv_exporter.footage.states import LASTING
from vv_exporter.metrics.dvr import DVR_ATTEMPTS
from vv_exporter.probes import rtsp
from vv_exporter.probes.dvr_probes import DvrProbe, DvrProbes
from vv_exporter.probes.rtsp import FAREWELL, PHASES, Answer, Resolver, probe
from vv_exporter.settings import Dvr, Secret
from vv_exporter.state.store import Store

PASSWORD = "pass:w0rd"
SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=control:1\r\n"


def ask(
    port: int, *, password: str = PASSWORD, target: str = "/live", timeout: float = 1.0, host: str = "127.0.0.1"
) -> Answer:
    dvr = Dvr(host, port, target, "viewer", Secret(password), timeout=timeout)
    return probe(dvr, Resolver(host, port))


@pytest.fixture(scope="module", params=["digest", "basic"])
def server(request: pytest.FixtureRequest, rtsp_tools: None) -> Iterator[RtspServer]:
    with RtspServer(method=request.param, password=PASSWORD) as server:
        yield server


@pytest.mark.rtsp
class TestARealServer:
    def test_a_stream(self, server: RtspServer) -> None:
        answer = ask(server.port, timeout=10)

        assert (answer.result, answer.error, answer.frames) == ("ok", "", 2)
        assert list(answer.durations) == list(PHASES)
        assert all(0 < took < 10 for took in answer.durations.values())

    @pytest.mark.parametrize(
        ("password", "error"),
        [("wrong", "refused user or password"), ("", "refused user or password")],
    )
    def test_a_wrong_password(self, server: RtspServer, password: str, error: str) -> None:
        answer = ask(server.port, password=password, timeout=10)

        assert (answer.result, answer.error) == ("auth", error)
        assert list(answer.durations) == ["dns", "connect"]

    def test_no_password(self, server: RtspServer) -> None:
        answer = probe(Dvr("127.0.0.1", server.port, "/live"), Resolver("127.0.0.1", server.port))

        assert (answer.result, answer.error) == ("auth", "asks for a password, and none is configured")

    def test_a_wrong_path(self, server: RtspServer) -> None:
        answer = ask(server.port, target="/none", timeout=10)

        assert (answer.result, answer.error) == ("no_stream", "answered DESCRIBE with 404 Not Found")

    def test_an_address_alone(self, server: RtspServer) -> None:
        answer = ask(server.port, target="", timeout=10)

        assert (answer.result, answer.frames) == ("ok", 0)

    def test_a_name(self, server: RtspServer) -> None:
        assert ask(server.port, host="localhost", timeout=10).result == "ok"

    def test_a_frozen_stream_and_its_thaw(self, server: RtspServer) -> None:
        server.freeze()
        ask(server.port, timeout=1)  # may still see a frame that was on its way
        frozen = ask(server.port, timeout=1)
        server.thaw()
        thawed = ask(server.port, timeout=10)

        assert (frozen.result, frozen.error) == ("frozen", "connected, but no frame came within 1 s")
        assert thawed.result == "ok"

    def test_no_session_is_left_behind(self, server: RtspServer) -> None:
        assert [ask(server.port, timeout=10).result for _ in range(5)] == ["ok"] * 5
        wait_until(lambda: server.sessions() == 0, 10, what="the end of the last session")

    def test_many_at_once(self, server: RtspServer) -> None:
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(ask(server.port, timeout=20))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [answer.result for answer in answers] == ["ok"] * 16


Script = Callable[["Peer"], None]


class Peer:
    """A server that plays a script on every connection, and notes what it was asked."""

    def __init__(self, script: Script) -> None:
        self.asked: list[str] = []
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self.connection = self._listener

    def __enter__(self) -> "Peer":
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.connection, _ = self._listener.accept()
                with self.connection, contextlib.suppress(OSError):
                    self._script(self)

    def request(self) -> str:
        """The next request, whole."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.connection.recv(4096)
            if not more:
                raise ConnectionError
            data += more
        self.asked.append(data.decode())
        return self.asked[-1]

    def answer(self, status: str = "200 OK", *headers: str, body: bytes = b"") -> None:
        """Answer the latest request."""
        sequence = re.search(r"CSeq: (\d+)", self.asked[-1])
        assert sequence is not None
        lines = [f"RTSP/1.0 {status}", f"CSeq: {sequence[1]}", f"Content-Length: {len(body)}", *headers]
        self.connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def frame(self, timestamp: int, channel: int = 0, source: int = 1) -> None:
        """Send a packet of RTP."""
        packet = b"\x80\x60\x00\x01" + timestamp.to_bytes(4, "big") + source.to_bytes(4, "big") + b"x" * 20
        self.connection.sendall(b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet)

    def until(self, method: str) -> None:
        """Answer as a good server does, up to the request of this method, which is left to the script."""
        while not self.request().startswith(method):
            self.answer("200 OK", "Transport: RTP/AVP/TCP;interleaved=0-1", "Session: abc;timeout=60", body=SDP)

    def hold(self) -> None:
        """Say nothing until the other one goes."""
        while self.connection.recv(4096):
            pass


def plays(*timestamps: int) -> Script:
    """A stream with these frames, then silence."""

    def script(peer: Peer) -> None:
        peer.until("PLAY")
        peer.answer()
        for timestamp in timestamps:
            peer.frame(timestamp)
        peer.until("TEARDOWN")
        peer.answer()

    return script


def told(script: Script, **options: float) -> Answer:
    with Peer(script) as peer:
        return ask(peer.port, **options)  # type: ignore[arg-type]


class TestStreams:
    def test_two_frames_are_a_stream(self) -> None:
        assert told(plays(1, 1, 1, 2)).result == "ok"

    def test_the_session_is_ended(self) -> None:
        with Peer(plays(1, 2)) as peer:
            ask(peer.port)

        assert [request.split()[0] for request in peer.asked] == [
            "OPTIONS",
            "DESCRIBE",
            "SETUP",
            "PLAY",
            "TEARDOWN",
        ]
        assert "Session: abc\r\n" in peer.asked[-1]

    @pytest.mark.parametrize(
        ("timestamps", "error"),
        [
            ((), "connected, but no frame came within 1 s"),
            ((7,) * 50, "connected, but one frame came and no further one"),
        ],
    )
    def test_one_frame_is_none(self, timestamps: tuple[int, ...], error: str) -> None:
        answer = told(plays(*timestamps))

        assert answer.result == "frozen"
        assert answer.error.startswith(error)

    def test_only_the_channel_of_the_stream_counts(self) -> None:
        def script(peer: Peer) -> None:
            peer.until("SETUP")
            peer.answer("200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=4-5", "Session: a")
            peer.request()
            peer.answer()
            for timestamp in range(9):
                peer.frame(timestamp, channel=0)
                peer.frame(timestamp, channel=5)
            peer.frame(1, channel=4)
            peer.hold()

        assert told(script).result == "frozen"

    def test_frames_before_the_answer_to_play(self) -> None:
        def script(peer: Peer) -> None:
            peer.until("PLAY")
            peer.frame(1)
            peer.frame(2)
            peer.answer()
            peer.hold()

        assert told(script).result == "ok"

    def test_late_answers_and_questions_are_passed_over(self) -> None:
        def script(peer: Peer) -> None:
            peer.until("DESCRIBE")
            peer.connection.sendall(b"RTSP/1.0 500 Late\r\nCSeq: 1\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            peer.answer("200 OK", body=SDP)
            plays(1, 2)(peer)

        assert told(script).result == "ok"


def streaming(*, source: str = "", before: tuple[int, ...] = (), after: tuple[int, ...] = ()) -> Script:
    """A stream whose SETUP names its source; frames of these sources come before the answer to PLAY, and after it."""

    def script(peer: Peer) -> None:
        peer.until("SETUP")
        ssrc = f";ssrc={source}" if source else ""
        peer.answer("200 OK", f"Transport: RTP/AVP/TCP;unicast;interleaved=0-1{ssrc}", "Session: a")
        peer.request()
        for place, sender in enumerate(before):
            peer.frame(place, source=sender)
        peer.answer()
        for place, sender in enumerate(after, 100):
            peer.frame(place, source=sender)
        peer.until("TEARDOWN")
        peer.answer()

    return script


class TestOnlyFramesOfThisSession:
    @pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP"])
    def test_those_of_one_before_are_none(self, method: str) -> None:
        """They come on the same channel, before anything was to be played."""

        def script(peer: Peer) -> None:
            peer.until(method)
            for timestamp in range(4):
                peer.frame(timestamp, source=9)
            transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=00000001"
            peer.answer("200 OK", transport, "Session: abc", body=SDP)
            peer.until("TEARDOWN")
            peer.answer()

        answer = told(script)
        assert (answer.result, answer.error) == ("frozen", "connected, but no frame came within 1 s")

    @pytest.mark.parametrize(
        ("source", "before", "after", "result"),
        [
            ("", (5, 5), (), "ok"),
            ("00000005", (5, 5), (), "ok"),
            ("00000005", (9, 9), (), "frozen"),
            ("00000005", (9, 9, 5), (5,), "ok"),
            ("00000005", (9, 9), (5, 5), "ok"),
            ("00000005", (), (7, 7), "ok"),  # cameras that name another than they send; players take it
            ("", (), (7, 8), "frozen"),
        ],
    )
    def test_by_their_source(self, source: str, before: tuple[int, ...], after: tuple[int, ...], result: str) -> None:
        assert told(streaming(source=source, before=before, after=after)).result == result


class TestNumbers:
    @pytest.mark.parametrize("number", ["0", "99", "x", "1 2"])
    def test_a_camera_that_counts_wrong(self, number: str) -> None:
        def script(peer: Peer) -> None:
            while True:
                request = peer.request()
                lines = ["RTSP/1.0 200 OK", f"CSeq: {number}", f"Content-Length: {len(SDP)}", "Session: a"]
                lines += ["Transport: RTP/AVP/TCP;interleaved=0-1", "", ""]
                peer.connection.sendall("\r\n".join(lines).encode() + SDP)
                if request.startswith("PLAY"):
                    peer.frame(1)
                    peer.frame(2)

        assert told(script, timeout=20.0).result == "ok"

    @pytest.mark.parametrize("status", ["100 Continue", "404 Not Found", "401 Unauthorized"])
    def test_what_is_not_the_answer_yet(self, status: str) -> None:
        number = 2 if status.startswith("1") else 1

        def script(peer: Peer) -> None:
            peer.until("DESCRIBE")
            peer.connection.sendall(f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n\r\n".encode())
            peer.answer("200 OK", body=SDP)
            plays(1, 2)(peer)

        assert told(script, timeout=20.0).result == "ok"


def closing(answer: Callable[[Peer], None]) -> Script:
    """A camera that closes the connection after its 401, and answers another one that brings the credentials."""

    def script(peer: Peer) -> None:
        while True:
            request = peer.request()
            if request.startswith("DESCRIBE") and "Authorization" not in request:
                answer(peer)
                return
            if request.startswith("PLAY"):
                peer.answer()
                peer.frame(1)
                peer.frame(2)
                continue
            peer.answer("200 OK", "Transport: RTP/AVP/TCP;interleaved=0-1", "Session: abc", body=SDP)

    return script


class TestCamerasInTheField:
    @pytest.mark.parametrize("headers", [("Connection: close",), ()])
    @pytest.mark.parametrize("challenge", ['Basic realm="cam"', 'Digest realm="cam", nonce="abc", qop="auth"'])
    def test_one_that_closes_after_its_401(self, challenge: str, headers: tuple[str, ...]) -> None:
        script = closing(lambda peer: peer.answer("401 Unauthorized", f"WWW-Authenticate: {challenge}", *headers))
        with Peer(script) as peer:
            answer = ask(peer.port)

        assert (answer.result, answer.error) == ("ok", "")
        assert sum("Authorization" in request for request in peer.asked if request.startswith("DESCRIBE")) == 1

    def test_one_that_closes_after_each_401_is_sent_a_wrong_password_once(self) -> None:
        def script(peer: Peer) -> None:
            while True:
                if peer.request().startswith("DESCRIBE"):
                    peer.answer("401 Unauthorized", 'WWW-Authenticate: Basic realm="cam"')
                    return
                peer.answer()

        with Peer(script) as peer:
            answer = ask(peer.port)

        assert (answer.result, answer.error) == ("auth", "refused user or password")
        assert sum("Authorization" in request for request in peer.asked) == 1

    @pytest.mark.parametrize("closes", [True, False])
    def test_a_stream_that_has_moved(self, closes: bool) -> None:
        def script(peer: Peer) -> None:
            while True:
                request = peer.request()
                if request.startswith("DESCRIBE") and "/real" not in request:
                    peer.answer("302 Moved Temporarily", f"Location: rtsp://127.0.0.1:{peer.port}/real?channel=1")
                    if closes:
                        return
                    continue
                if request.startswith("DESCRIBE"):
                    peer.answer(body=SDP)
                    plays(1, 2)(peer)
                    return
                peer.answer()

        with Peer(script) as peer:
            answer = ask(peer.port)

        assert (answer.result, answer.moved_to) == ("ok", f"127.0.0.1:{peer.port}")
        assert any(f"SETUP rtsp://127.0.0.1:{peer.port}/real?channel=1/1 " in request for request in peer.asked)

    @pytest.mark.parametrize(
        ("location", "place"),
        [
            ("/real?channel=1", "/real?channel=1"),
            ("real", "/real"),
            ("./real", "/real"),
            ("../../real", "/real"),
            ("?channel=2", "/live?channel=2"),
            ("//127.0.0.1:{port}/real", "/real"),
            ("RTSP://127.0.0.1:{port}/real", "/real"),
        ],
    )
    def test_where_it_has_moved_may_be_told_by_a_path_alone(self, location: str, place: str) -> None:
        moved = []

        def script(peer: Peer) -> None:
            while True:
                request = peer.request()
                if request.startswith("DESCRIBE") and not moved:
                    moved.append(request)
                    peer.answer("302 Moved Temporarily", f"Location: {location.format(port=peer.port)}")
                elif request.startswith("DESCRIBE"):
                    peer.answer(body=SDP)
                    plays(1, 2)(peer)
                    return
                else:
                    peer.answer()

        with Peer(script) as peer:
            answer = ask(peer.port)

        assert (answer.result, answer.moved_to) == ("ok", f"127.0.0.1:{peer.port}")
        assert f"DESCRIBE rtsp://127.0.0.1:{peer.port}{place} " in "".join(peer.asked)

    def test_a_stream_that_has_moved_to_another_port(self) -> None:
        with Peer(plays(1, 2)) as real:

            def script(peer: Peer) -> None:
                peer.until("DESCRIBE")
                peer.answer("301 Moved Permanently", f"Location: rtsp://127.0.0.1:{real.port}/real")
                peer.hold()

            with Peer(script) as peer:
                answer = ask(peer.port)

        assert (answer.result, answer.moved_to) == ("ok", f"127.0.0.1:{real.port}")

    @pytest.mark.parametrize(
        ("location", "error"),
        [
            (
                "rtsp://192.0.2.9:8554/x",
                "answered DESCRIBE with 302: its stream is at 192.0.2.9:8554, which is another host",
            ),
            ("rtsp://viewer:secret@192.0.2.9/x", "answered DESCRIBE with 302: its stream is at 192.0.2.9:554, which"),
            ("http://127.0.0.1/x", "answered DESCRIBE with 302, and does not say where"),
            ("rtsps://viewer:secret@127.0.0.1/x", "answered DESCRIBE with 302: its stream is at an rtsps:// address"),
            ("//192.0.2.9/x", "answered DESCRIBE with 302: its stream is at 192.0.2.9:554, which is another host"),
            ("//[::1/x", "answered DESCRIBE with 302, and does not say where"),
            ("rtsp://[::1/x", "answered DESCRIBE with 302, and does not say where"),
            ("rtsp://127.0.0.1:99999/x", "answered DESCRIBE with 302, and does not say where"),
            ("", "answered DESCRIBE with 302, and does not say where"),
        ],
    )
    def test_where_it_leads_is_told_and_no_other_host_gets_the_password(self, location: str, error: str) -> None:
        def script(peer: Peer) -> None:
            peer.until("DESCRIBE")
            peer.answer("302 Moved Temporarily", *([f"Location: {location}"] if location else []))
            peer.hold()

        answer = told(script)

        assert answer.result == "error"
        assert answer.error.startswith(error)
        assert "secret" not in answer.error

    def test_one_that_sends_its_viewers_round_in_a_ring(self) -> None:
        def script(peer: Peer) -> None:
            while True:
                if peer.request().startswith("DESCRIBE"):
                    peer.answer("302 Moved Temporarily", f"Location: rtsp://127.0.0.1:{peer.port}/live")
                else:
                    peer.answer()

        answer = told(script)

        assert (answer.result, answer.error) == ("error", "answered DESCRIBE with 302 repeatedly")


class TestFailures:
    @pytest.mark.parametrize(
        ("method", "status", "result"),
        [
            ("DESCRIBE", "404 Not Found", "no_stream"),
            ("DESCRIBE", "503 Service Unavailable", "no_stream"),
            ("DESCRIBE", "403 Forbidden", "auth"),
            ("DESCRIBE", "500 Internal Server Error", "error"),
            ("SETUP", "454 Session Not Found", "no_stream"),
            ("SETUP", "461 Unsupported Transport", "no_stream"),
            ("PLAY", "453 Not Enough Bandwidth", "no_stream"),
            ("PLAY", "999 Whatever", "error"),
        ],
    )
    def test_an_answer_is_judged_by_its_status(self, method: str, status: str, result: str) -> None:
        def script(peer: Peer) -> None:
            peer.until(method)
            peer.answer(status)
            peer.hold()

        answer = told(script)
        assert answer.result == result
        assert answer.error.startswith(f"answered {method} with {status[:3]}")

    def test_a_refused_connection(self) -> None:
        answer = ask(free_port())

        assert (answer.result, answer.error) == ("refused", "connection refused")

    def test_a_description_without_a_stream(self) -> None:
        def script(peer: Peer) -> None:
            peer.until("DESCRIBE")
            peer.answer(body=b"v=0\r\n")
            peer.hold()

        assert told(script).result == "no_stream"

    def test_a_server_that_sends_over_udp_only(self) -> None:
        def script(peer: Peer) -> None:
            peer.until("SETUP")
            peer.answer("200 OK", "Transport: RTP/AVP;unicast;client_port=5000-5001", "Session: a")
            peer.hold()

        assert told(script).error == "does not send over TCP"

    @pytest.mark.parametrize(("method", "result"), [("OPTIONS", "error"), ("DESCRIBE", "error"), ("PLAY", "no_stream")])
    def test_a_connection_that_is_closed(self, method: str, result: str) -> None:
        answer = told(lambda peer: peer.until(method))

        assert (answer.result, answer.error[:21]) == (result, "closed the connection")

    def test_a_name_that_does_not_exist(self) -> None:
        answer = ask(554, host="no-such-dvr.invalid", timeout=20)

        assert answer.result == "dns"
        assert answer.error.startswith("its name cannot be resolved: ")

    @pytest.mark.parametrize("host", ["a..b", "x" * 300])
    def test_what_cannot_be_a_name(self, host: str) -> None:
        assert ask(554, host=host).result == "dns"


class TestHangs:
    """Nothing may take longer than the probe's time and the farewell's."""

    def timed(self, port: int, **options: float) -> Answer:
        began = time.monotonic()
        answer = ask(port, timeout=0.5, **options)  # type: ignore[arg-type]
        assert time.monotonic() - began < 0.5 + FAREWELL + 15  # of a machine that is busy
        return answer

    def test_a_server_that_never_answers(self) -> None:
        with Peer(Peer.hold) as peer:
            answer = self.timed(peer.port)

        assert (answer.result, answer.error) == ("timeout", "no answer within 0.5 s, in phase describe")

    def test_packets_that_vanish(self) -> None:
        with socket.socket() as full, contextlib.ExitStack() as stack:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(2):  # with its queue full, the kernel drops what else knocks
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            answer = self.timed(full.getsockname()[1])

        assert (answer.result, answer.error) == ("timeout", "no answer within 0.5 s, in phase connect")

    def test_a_byte_now_and_then(self) -> None:
        def script(peer: Peer) -> None:
            peer.request()
            for byte in b"RTSP/1.0 200 OK\r\nX: " + b"y" * 1000:
                peer.connection.sendall(bytes([byte]))
                threading.Event().wait(0.01)

        with Peer(script) as peer:
            assert self.timed(peer.port).result == "timeout"

    def test_a_farewell_that_is_not_answered(self) -> None:
        def script(peer: Peer) -> None:
            peer.until("PLAY")
            peer.answer()
            peer.frame(1)
            peer.frame(2)
            peer.hold()

        with Peer(script) as peer:
            assert self.timed(peer.port).result == "ok"

    @pytest.mark.parametrize(
        "data", [b"$\x00\xff\xff" + b"x" * 65535, b"\r\n" * 30_000, b"OPTIONS * RTSP/1.0\r\n\r\n" * 1000]
    )
    def test_a_flood(self, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rtsp, "MAX_BYTES", 4 << 20)

        def script(peer: Peer) -> None:
            peer.until("PLAY")
            while True:
                peer.connection.sendall(data)

        with Peer(script) as peer:
            assert self.timed(peer.port).result in ("error", "timeout")

    def test_a_resolver_that_hangs_is_asked_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        release, calls = threading.Event(), []

        def getaddrinfo(host: str, *_: object, flags: int = 0, **__: object) -> list[object]:
            if flags:
                raise socket.gaierror(socket.EAI_NONAME, "not numeric")
            calls.append(host)
            release.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        resolver = Resolver("dvr.local", 554)
        answers = [probe(Dvr("dvr.local", 554, "/x", timeout=0.05), resolver) for _ in range(3)]
        release.set()

        assert {answer.result for answer in answers} == {"dns"}
        assert answers[0].error == "its name cannot be resolved: no answer"
        assert calls == ["dvr.local"]


def expected_response(algorithm: str, nonce: str, request: str) -> str:
    """What RFC 7616 asks of user viewer in realm r, without qop."""

    def hashed(text: str) -> str:
        return hashlib.new("sha256" if algorithm == "SHA-256" else "md5", text.encode()).hexdigest()

    method, address = request.split()[:2]
    return hashed(f"{hashed(f'viewer:r:{PASSWORD}')}:{nonce}:{hashed(f'{method}:{address}')}")


def guarded(algorithm: str, *, once: bool = False, stale_after: int = 99) -> Script:
    """A good server that demands Digest; a nonce is good once, or only until a request."""

    def script(peer: Peer) -> None:
        nonce, fresh, count = "n0", True, 0
        while True:
            request = peer.request()
            method = request.split()[0]
            right = f'response="{expected_response(algorithm, nonce, request)}"' in request
            count += 1
            if method == "OPTIONS" or (right and fresh and count != stale_after):
                fresh = not once or method == "OPTIONS"
                peer.answer("200 OK", "Transport: RTP/AVP/TCP;interleaved=0-1", "Session: a", body=SDP)
                if method == "PLAY":
                    peer.frame(1)
                    peer.frame(2)
                continue
            nonce, fresh = f"n{count}", True
            stale = ", stale=true" if right else ""
            peer.answer(
                "401 Unauthorized", f'WWW-Authenticate: Digest realm="r", nonce="{nonce}", algorithm={algorithm}{stale}'
            )

    return script


class TestAuthentication:
    @pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
    def test_digest(self, algorithm: str) -> None:
        assert told(guarded(algorithm)).result == "ok"

    @pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
    def test_a_nonce_that_is_good_once(self, algorithm: str) -> None:
        assert told(guarded(algorithm, once=True)).result == "ok"

    @pytest.mark.parametrize("request_number", [3, 4, 5])
    def test_a_nonce_that_becomes_stale(self, request_number: int) -> None:
        assert told(guarded("SHA-256", stale_after=request_number)).result == "ok"

    def test_a_wrong_password_is_sent_once(self) -> None:
        with Peer(guarded("SHA-256")) as peer:
            answer = ask(peer.port, password="wrong", timeout=20)

        assert answer.result == "auth"
        assert sum("Authorization" in request for request in peer.asked) == 1

    def test_a_server_that_is_never_content(self) -> None:
        def script(peer: Peer) -> None:
            while True:
                peer.request()
                peer.answer("401 No", 'WWW-Authenticate: Digest realm="r", nonce="n", stale=true')

        with Peer(script) as peer:
            assert ask(peer.port, timeout=20).result == "auth"
        assert len(peer.asked) <= 5

    def test_what_cannot_be_met(self) -> None:
        def script(peer: Peer) -> None:
            peer.until("DESCRIBE")
            peer.answer("401 No", 'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=SHA-512-256')
            peer.hold()

        assert told(script).error.startswith("asks for another authentication than Basic or Digest")


_WORDS = st.sampled_from(
    [
        b"RTSP/1.0 200 OK\r\n", b"CSeq: 1\r\n", b"CSeq: 2\r\n", b"Content-Length: 40\r\n", b"Content-Length: 65537\r\n",
        b"RTSP/1.0 401 No\r\n", b'WWW-Authenticate: Digest realm="r", nonce="n"\r\n', b"Session: x\r\n", b"\r\n", SDP,
        b"Transport: RTP/AVP/TCP;interleaved=0-999\r\n", b"$\x00\x00\x0c" + b"\x80" * 12, b"$\x01\xff\xff",
        b"Content-Base: \x00\r\n",
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(_WORDS, st.binary(max_size=60)), max_size=25))
def test_whatever_is_answered_the_probe_ends_with_a_result(answers: list[bytes]) -> None:
    def script(peer: Peer) -> None:
        for data in answers:
            peer.connection.sendall(data)
        peer.connection.shutdown(socket.SHUT_WR)
        peer.hold()

    began = time.monotonic()
    answer = told(script, timeout=0.5)
    assert answer.result in ("ok", "auth", "no_stream", "frozen", "timeout", "error")
    assert PASSWORD not in answer.error
    assert time.monotonic() - began < 0.5 + FAREWELL + 15  # of a machine that is busy


class Probing:
    """A probe's thread with answers of the test's making, and no waiting between them."""

    def __init__(self, folder: Path, interval: float = 0.001) -> None:
        self.answers: list[Answer | Exception] = []
        self.pauses: list[float] = []
        self.told = threading.Semaphore(0)
        self.clock = Clock()
        self.store = Store(folder / "state.db", self.clock)
        dvr = Dvr("10.0.0.1", 554, "/user=admin&password=s3cret", "admin", Secret("s3cret"), interval=interval)
        self.probe = DvrProbe("front", dvr, self.store, self.clock, ask=self._ask, jitter=self._jitter)
        self.jitter: Callable[[float, float], float] = min

    def tell(self, *answers: Answer | Exception) -> None:
        before = self.counted()
        for answer in answers:
            self.answers.append(answer)
            self.told.release()
        wait_until(lambda: self.counted() == before + len(answers), what="the count of the answers")

    def counted(self) -> float:
        return sum(series.value for _, series in self.store.series(DVR_ATTEMPTS))

    def _ask(self, _: Dvr, __: Resolver) -> Answer:
        self.told.acquire()
        answer = self.answers.pop(0) if self.answers else Answer("ok")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _jitter(self, low: float, high: float) -> float:
        return self.jitter(low, high)


@pytest.fixture
def probing(tmp_path: Path) -> Iterator[Probing]:
    probing = Probing(tmp_path)
    probing.probe.start()
    yield probing
    probing.probe.stop()
    probing.told.release()
    wait_until(lambda: not probing.probe._loop.alive, what="the end of the probe")
    probing.store.close()


def shown(probing: Probing) -> dict[tuple[str, ...], float]:
    families = Dvrs(probing.store, [probing.probe]).collect()
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


class TestTheThreadOfADvr:
    def test_an_answer_that_cannot_be_taken_does_not_end_it(
        self, probing: Probing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failed = threading.Event()

        def fail(*_: object) -> float:
            failed.set()
            raise RuntimeError("no luck")

        monkeypatch.setattr(probing, "jitter", fail)
        probing.told.release()
        assert failed.wait(10)
        monkeypatch.undo()

        probing.tell(Answer("timeout", "no answer"))
        assert shown(probing)["vv_dvr_up", "front", "probe"] == 0

    def test_answers_are_counted_and_shown(self, probing: Probing) -> None:
        probing.tell(Answer("timeout", "no answer"), Answer("ok", "", {"connect": 0.25}, 2))

        found = shown(probing)
        assert found["vv_dvr_attempts_total", "front", "probe", "timeout"] == 1
        assert found["vv_dvr_attempts_total", "front", "probe", "ok"] == 1
        assert found["vv_dvr_up", "front", "probe"] == 1
        assert found["vv_dvr_frames_total", "front"] == 2
        assert found["vv_dvr_last_frame_timestamp_seconds", "front"] == probing.clock.now
        assert found["vv_dvr_probe_duration_seconds", "front", "connect"] == 0.25

    def test_a_defect_is_an_answer_too(self, probing: Probing) -> None:
        probing.tell(RuntimeError("s3cret"), Answer("ok"))

        found = shown(probing)
        assert found["vv_dvr_attempts_total", "front", "probe", "error"] == 1
        assert found["vv_dvr_up", "front", "probe"] == 1

    def test_failing_is_logged_when_it_changes_and_without_secrets(
        self, probing: Probing, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        down, refused = Answer("timeout", "no answer"), Answer("refused", "connection refused")
        probing.tell(down, down, refused, Answer("ok"), Answer("ok"))
        wait_until(lambda: len(caplog.messages) == 3)

        assert caplog.messages == [
            "DVR front (10.0.0.1:554): timeout: no answer",
            "DVR front (10.0.0.1:554): refused: connection refused",
            "DVR front (10.0.0.1:554) gives a stream again",
        ]


def test_probes_that_left_the_configuration_are_forgotten(tmp_path: Path) -> None:
    probing = Probing(tmp_path)
    probing.probe._save_answer(Answer("refused"))
    others = DvrProbes(probing.store, [])
    others.start()

    assert not [name for name, *_ in shown(probing) if name == "vv_dvr_up"]
    assert shown(probing)["vv_dvr_attempts_total", "front", "probe", "refused"] == 1
    lasting = probing.store.document(LASTING, "front")
    assert lasting is not None
    assert lasting.states == {}
    others.stop()
    probing.store.close()


def test_those_that_are_configured_are_counted_from_0(tmp_path: Path) -> None:
    probing = Probing(tmp_path, interval=1000)
    dvrs = DvrProbes(probing.store, [probing.probe])
    dvrs.start()

    found = shown(probing)
    assert found["vv_dvr_attempts_total", "front", "probe", "ok"] == 0
    assert found["vv_dvr_attempts_total", "front", "probe", "auth"] == 0
    dvrs.stop()
    probing.told.release()


def test_pauses_vary_a_little(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db", Clock())
    one = DvrProbe("x", Dvr("h", interval=100), store, Clock(), jitter=random.Random(1).uniform)
    pauses = [one._save_answer(Answer("ok")) for _ in range(50)]

    assert 90 <= min(pauses) < 95
    assert 105 < max(pauses) <= 110
    store.close()
