"""The link to a DVR: which reasons it tells, how it pauses, how it counts frames."""

import errno
import itertools
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import av
import pytest

from tests.support.clock import Clock
from tests.support.ports import free_port
from tests.support.rtsp import RtspServer
from tests.support.waiting import wait_until
from tests.unit.core.conftest import State
from vv_core.dvr import REASONS, DvrLink, StreamFrozenError, reason
from vv_core.testing import Events, captured


@pytest.fixture
def events() -> Iterator[Events]:
    with captured() as events:
        yield events


class Time:
    """A clock that moves when something sleeps."""

    def __init__(self) -> None:
        self.monotonic = Clock(100.0)
        self.wall = Clock(1_700_000_000.0)
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.monotonic.advance(seconds)
        self.wall.advance(seconds)


def link_at(time: Time, **options: Any) -> DvrLink:
    options = {"random": lambda: 1.0, **options}
    return DvrLink(
        "front", component="agent.py", sleep=time.sleep, clock=time.wall, monotonic=time.monotonic, **options
    )


def results(events: Events) -> list[str]:
    return [event["result"] for event in events.of("dvr.attempt")]


def pauses(link: DvrLink, time: Time, failures: list[Exception]) -> list[float]:
    """How long the link waits after each failure."""
    found = []
    for attempt in itertools.islice(link.attempts(), len(failures) + 1):
        if attempt.number > 1:
            found.append(round(sum(time.slept), 6))
        time.slept.clear()
        with attempt:
            if attempt.number <= len(failures):
                raise failures[attempt.number - 1]
    return found


class TestAttempts:
    def test_a_failure_is_reported_and_tried_again(self, events: Events) -> None:
        link = link_at(Time())
        for attempt in link.attempts():
            with attempt:
                if attempt.number == 1:
                    raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
                link.frame()
                break

        assert results(events) == ["refused", "ok"]
        first = events.of("dvr.attempt")[0]
        assert (first["dvr"], first["component"], first["error"]) == (
            "front",
            "agent.py",
            "[Errno 111] Connection refused",
        )

    def test_pauses_double_up_to_the_longest(self, events: Events) -> None:
        time = Time()
        link = link_at(time, first_pause=1, longest_pause=10)

        assert pauses(link, time, [TimeoutError()] * 6) == [1, 2, 4, 8, 10, 10]

    def test_pauses_are_random_between_0_and_their_bound(self, events: Events) -> None:
        time = Time()
        draws = iter([0.0, 0.25, 0.5])
        link = link_at(time, first_pause=4, longest_pause=100, random=lambda: next(draws))

        assert pauses(link, time, [TimeoutError()] * 3) == [0, 2, 8]

    def test_the_default_draws_from_the_whole_range(self) -> None:
        link = DvrLink()
        link._failures = 1
        drawn = [link._pause_seconds() for _ in range(500)]

        assert min(drawn) < 0.1
        assert 0.9 < max(drawn) < 1

    def test_a_refused_password_is_not_tried_again_soon(self, events: Events) -> None:
        time = Time()
        for draw, expected in ((0.0, 30), (1.0, 60)):
            link = link_at(time, random=lambda draw=draw: draw)
            assert pauses(link, time, [RuntimeError("401 Unauthorized")]) == [expected]

    def test_a_stream_that_lasted_begins_the_pauses_anew(self, events: Events) -> None:
        time = Time()
        link = link_at(time)
        found = []
        for attempt in itertools.islice(link.attempts(), 6):
            found.append(round(sum(time.slept), 6))
            time.slept.clear()
            with attempt:
                link.frame()
                time.advance(10 if attempt.number == 4 else 9.9)
                raise TimeoutError

        assert found == [0, 1, 2, 4, 1, 2]

    def test_an_attempt_that_ends_without_a_stream_has_failed(self, events: Events) -> None:
        for attempt in itertools.islice(link_at(Time()).attempts(), 2):
            with attempt:
                pass

        assert results(events) == ["no_stream"]

    def test_an_attempt_that_ends_with_a_stream_has_not(self, events: Events) -> None:
        link = link_at(Time())
        for attempt in itertools.islice(link.attempts(), 3):
            with attempt:
                link.connected()

        assert results(events) == ["ok"] * 3

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_what_ends_a_script_ends_it(self, events: Events, error: type[BaseException]) -> None:
        link = link_at(Time())
        with pytest.raises(error):
            for attempt in link.attempts():
                with attempt:
                    link.frame()
                    raise error

        assert results(events) == ["ok"]

    def test_without_the_context_manager(self, events: Events) -> None:
        link = link_at(Time())
        for _ in itertools.islice(link.attempts(), 2):
            try:
                link.connected()
                raise ConnectionResetError
            except ConnectionResetError as error:
                link.failed(error)
                link.failed(error)

        assert results(events) == ["ok", "error", "ok", "error"]

    def test_stop_ends_a_pause_at_once(self, events: Events) -> None:
        time = Time()
        link = link_at(time, first_pause=1000, longest_pause=1000)
        rounds = 0
        link._sleep = lambda seconds: (time.sleep(seconds), link.stop())  # type: ignore[assignment]
        for attempt in link.attempts():
            rounds += 1
            with attempt:
                raise TimeoutError

        assert rounds == 1
        assert sum(time.slept) <= 0.2

    def test_stop_in_a_signal_handler(self, state: State) -> None:
        code = """
import signal, sys
from vv_core.dvr import DvrLink
link = DvrLink("front", first_pause=1000, longest_pause=1000, random=lambda: 1.0)
signal.signal(signal.SIGTERM, lambda *_: link.stop())
for attempt in link.attempts():
    with attempt:
        print("trying", flush=True)
        raise TimeoutError("nobody there")
print("stopped")
"""
        with state.python(code, stdout=-1) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "trying\n"
            process.send_signal(signal.SIGTERM)
            assert process.communicate(timeout=20)[0] == "stopped\n"

        (event,) = state.events("dvr.attempt")
        assert (event["type"], event["result"], event["error"]) == ("dvr.attempt", "timeout", "nobody there")


class TestFrames:
    def test_at_most_one_event_a_second_and_none_is_lost(self, events: Events) -> None:
        time = Time()
        link = link_at(time)
        for attempt in link.attempts():
            with attempt:
                for _ in range(1000):
                    link.frame()
                    time.advance(0.01)
                break

        frames = events.of("dvr.frames")
        assert sum(event["frames"] for event in frames) == 1000
        assert len(frames) <= 12
        assert results(events) == ["ok"]

    def test_the_first_frame_is_told_at_once(self, events: Events) -> None:
        time = Time()
        link_at(time).frame()

        assert [event["type"] for event in events] == ["dvr.attempt", "dvr.frames"]
        assert events[1]["frames"] == 1
        assert events[1]["last"] == time.wall()

    def test_the_time_of_the_latest_frame_is_told_also_later(self, events: Events) -> None:
        time = Time()
        link = link_at(time)
        for attempt in itertools.islice(link.attempts(), 1):
            with attempt:
                link.frame()
                time.advance(0.5)
                link.frame()
                came = time.wall()
                time.advance(30)
                raise TimeoutError

        assert events.of("dvr.frames")[-1]["last"] == came
        assert [event["type"] for event in events][-1] == "dvr.attempt"

    def test_frames_of_a_slow_stream_are_told_each(self, events: Events) -> None:
        time = Time()
        link = link_at(time)
        for _ in range(5):
            link.frame()
            time.advance(1)

        assert [event["frames"] for event in events.of("dvr.frames")] == [1] * 5


class TestFrozen:
    def test_check_complains_when_no_frame_comes_for_long(self, events: Events) -> None:
        time = Time()
        link = link_at(time, stall=10)
        for attempt in itertools.islice(link.attempts(), 2):
            with attempt:
                if attempt.number == 2:
                    break
                link.frame()
                time.advance(10)
                link.check()
                time.advance(0.1)
                link.check()

        assert results(events) == ["ok", "frozen"]
        assert events.of("dvr.attempt")[1]["error"] == "no frame for 10 s"

    def test_a_new_attempt_has_its_time(self, events: Events) -> None:
        time = Time()
        link = link_at(time, stall=10)
        for attempt in itertools.islice(link.attempts(), 2):
            with attempt:
                if attempt.number == 2:
                    time.advance(9)
                    link.check()
                    break
                link.frame()
                time.advance(100)
                raise TimeoutError

        assert results(events) == ["ok", "timeout"]

    def test_another_thread_may_check_a_read_that_blocks(self, events: Events) -> None:
        link = DvrLink("front", stall=0.05)
        link.frame()
        caught: list[StreamFrozenError] = []

        def watch() -> None:
            try:
                link.check()
            except StreamFrozenError as error:
                caught.append(error)

        def complained() -> bool:
            thread = threading.Thread(target=watch)
            thread.start()
            thread.join()
            return bool(caught)

        wait_until(complained, 5)


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def raised_from(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


class TestReasons:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "dns"),
            (ConnectionRefusedError(), "refused"),
            (TimeoutError(), "timeout"),
            (OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH)), "timeout"),
            (OSError(errno.ENETUNREACH, "x"), "timeout"),
            (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "error"),
            (StreamFrozenError("x"), "frozen"),
            (EOFError(), "no_stream"),
            (ValueError("who knows"), "error"),
            (UnprintableError(), "error"),
            (None, "error"),
            (b"401 Unauthorized", "auth"),
            # FFmpeg, as PyAV and OpenCV give it
            ("Server returned 401 Unauthorized (authorization failed)", "auth"),
            ("Server returned 403 Forbidden (access denied)", "auth"),
            ("Server returned 404 Not Found", "no_stream"),
            ("method DESCRIBE failed: 404 Not Found", "no_stream"),
            ("method SETUP failed: 454 Session Not Found", "no_stream"),
            ("method SETUP failed: 461 Unsupported transport", "no_stream"),
            ("method DESCRIBE failed: 503 Service Unavailable", "no_stream"),
            ("Server returned 4XX Client Error, but not one of 40{0,1,3,4}", "no_stream"),
            ("Server returned 5XX Server Error reply", "no_stream"),
            # said of silence as well as of nonsense
            ("[Errno 1094995529] Invalid data found when processing input: 'rtsp://u:401@h/404'", "error"),
            ("[Errno 110] Connection timed out: 'rtsp://h/'", "timeout"),
            ("[Errno 1414092869] Immediate exit requested: 'rtsp://h/'", "timeout"),
            ("[rtsp @ 0x5] Connection to tcp://10.0.0.1:554?timeout=0 failed: Connection refused", "refused"),
            ("Failed to resolve hostname dvr.local: Name or service not known", "dns"),
            ("Stream timeout triggered after 30046.000000 ms", "timeout"),
            ("[Errno 541478725] End of file: 'rtsp://h/'", "no_stream"),
            # GStreamer's rtspsrc
            ("Not authorized to access resource", "auth"),
            ("Unauthorized", "auth"),
            ("Could not resolve server name.", "dns"),
            ("Failed to connect. (Timeout while waiting for server response)", "timeout"),
            ("Not found", "no_stream"),
            # what must not mislead
            ("cannot open rtsp://u:401@10.0.4.4/404?timeout=1", "error"),
            ("read 4014 bytes of 14040", "error"),
        ],
    )
    def test_each_is_told_by_its_type_or_text(self, error: object, expected: str) -> None:
        assert reason(error) == expected

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (raised_from(RuntimeError("cannot open"), TimeoutError()), "timeout"),
            (raised_from(RuntimeError("x"), raised_from(ValueError("y"), ConnectionRefusedError())), "refused"),
        ],
    )
    def test_causes_count(self, error: Exception, expected: str) -> None:
        assert reason(error) == expected

    def test_a_chain_without_end_is_left(self) -> None:
        error = RuntimeError("x")
        error.__cause__ = error

        assert reason(error) == "error"

    def test_an_exception_while_another_is_handled_counts_by_that_too(self) -> None:
        error = RuntimeError("cannot open")
        error.__context__ = TimeoutError()
        assert reason(error) == "timeout"

        error.__suppress_context__ = True
        assert reason(error) == "error"


@pytest.mark.parametrize(
    "error",
    [
        "cannot open rtsp://admin:s3c%40ret@10.0.0.1/live",
        "cannot open 'RTSP://admin:s3c%40ret@10.0.0.1/live'",
        "password s3c%40ret was refused",
        "password s3c@ret was refused",
        "GET http://10.0.0.1/?user=admin&password=s3c@ret",
        RuntimeError("rtsp://admin:s3c%40ret@10.0.0.1/live: 401 Unauthorized"),
    ],
)
def test_no_password_is_reported_or_logged(events: Events, error: object, caplog: pytest.LogCaptureFixture) -> None:
    link = DvrLink("front", url="rtsp://admin:s3c%40ret@10.0.0.1/live")
    link.failed(error)

    told = events.of("dvr.attempt")[0]["error"]
    for word in ("s3c", "ret@", "admin:", "10.0.0.1/live"):
        assert word not in told
        assert word not in caplog.text


def test_a_long_and_hostile_error_is_cut_and_one_line(events: Events) -> None:
    DvrLink("front\n" * 100).failed("\x1b[31m" + "x\n" * 100_000)

    (event,) = events
    assert len(event["error"].encode()) <= 1000
    assert event["error"].isprintable()
    assert len(event["dvr"]) <= 128


@pytest.fixture(scope="module")
def server(rtsp_tools: None) -> Iterator[RtspServer]:
    with RtspServer(password="s3cret") as server:
        yield server


@pytest.mark.rtsp
class TestWithPyAV:
    """What a real client library says of a real server."""

    def report(self, url: str, **options: str) -> None:
        link = DvrLink("front", url=url)
        for attempt in itertools.islice(link.attempts(), 1):
            with attempt, av.open(url, options={"rtsp_transport": "tcp", **options}, timeout=5) as stream:
                for _ in itertools.islice(stream.decode(video=0), 5):
                    link.frame()
                link._finish()

    def url(self, server: RtspServer, password: str, path: str = "/live") -> str:
        return f"rtsp://viewer:{password}@127.0.0.1:{server.port}{path}"

    def test_a_stream(self, server: RtspServer, events: Events) -> None:
        self.report(self.url(server, "s3cret"))

        assert results(events) == ["ok"]
        assert sum(event["frames"] for event in events.of("dvr.frames")) == 5

    def test_a_wrong_password(self, server: RtspServer, events: Events) -> None:
        self.report(self.url(server, "wr0ng"))

        assert results(events) == ["auth"]
        assert "wr0ng" not in str(events)

    def test_a_wrong_path(self, server: RtspServer, events: Events) -> None:
        self.report(self.url(server, "s3cret", "/none"))

        assert results(events) == ["no_stream"]

    def test_nobody_there(self, events: Events) -> None:
        self.report(f"rtsp://127.0.0.1:{free_port()}/live")

        assert results(events) == ["refused"]

    def test_a_name_that_does_not_exist(self, events: Events) -> None:
        av.logging.set_level(av.logging.ERROR)  # without it FFmpeg tells an input/output error
        try:
            self.report("rtsp://no-such-dvr.invalid/live")
        finally:
            av.logging.set_level(None)

        assert results(events) == ["dns"]


def test_the_reasons_are_those_of_the_exporter() -> None:
    from vv_exporter.state.dvrs import RESULTS

    assert ("ok", *REASONS) == RESULTS
