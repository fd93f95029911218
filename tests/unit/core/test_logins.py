"""A wrong password is sent to a DVR a few times, and then no more: over restarts, in all agents of the account."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.core.conftest import State
from tests.unit.core.test_dvr import Time, link_at
from vv_core import _logins
from vv_core._logins import MAX_REFUSED, UNKNOWN_PAUSE
from vv_core.dvr import DvrLink, allow_logins
from vv_core.testing import Events, captured

URL = "rtsp://admin:wrong@cam-1:554/stream"
REFUSED = "401 Unauthorized"
ALLOWED_TO_LOCK = 5


@pytest.fixture
def events() -> Iterator[Events]:
    with captured() as events:
        yield events


class Camera:
    """Takes one password, and counts the others; `sleep` ends the test's patience."""

    def __init__(self) -> None:
        self.time = Time()
        self.asked = 0
        self.takes = False

    def agent(self, name: str = "front", seconds: float = 4 * 3600.0, **options: Any) -> DvrLink:
        """A process that tries for so long."""
        end = self.time.monotonic.now + seconds

        def sleep(pause: float) -> None:
            self.time.sleep(pause)
            if self.time.monotonic.now >= end:
                link.stop()

        options = {"url": URL, **options}
        link = DvrLink(
            name,
            component="agent.py",
            sleep=sleep,
            clock=self.time.wall,
            monotonic=self.time.monotonic,
            random=lambda: 1.0,
            **options,
        )
        for attempt in link.attempts():
            with attempt:
                self.asked += 1
                if not self.takes:
                    raise OSError(REFUSED)
                link.frame()
                link.stop()
        return link


@pytest.fixture
def camera() -> Camera:
    return Camera()


@pytest.mark.parametrize("processes", [1, 5])
@pytest.mark.parametrize(
    "url",
    [URL, "rtsp://admin:p%40ss@cam-1/a", "http://u:p@[fe80::1]:80/", "rtsp://admin:@cam/", "rtsp://a:b@c:d@cam/x?y=1"],
)
def test_a_refused_password_is_sent_three_times_in_all(
    camera: Camera, events: Events, url: str, processes: int
) -> None:
    for _ in range(processes):
        camera.agent(url=url, seconds=3600)
    assert camera.asked == MAX_REFUSED < ALLOWED_TO_LOCK
    held = events.of("dvr.held_back")
    assert len(held) == processes
    assert held[0]["dvr"] == "front"
    assert "refused user or password 3 times" in held[0]["error"]
    assert "vv dvr login front" in held[0]["error"]
    assert [event["result"] for event in events.of("dvr.attempt")] == ["auth"] * MAX_REFUSED


def test_channels_of_one_recorder_are_one_account(camera: Camera) -> None:
    for channel in range(16):
        camera.agent(f"channel-{channel}", url=f"rtsp://admin:wrong@NVR:554/ch{channel}", seconds=600)
    assert camera.asked == MAX_REFUSED


@pytest.mark.parametrize(
    "corrected",
    ["rtsp://admin:right@cam-1:554/stream", "rtsp://other:wrong@cam-1:554/stream", "rtsp://admin:wrong@cam-2/stream"],
)
def test_another_password_user_or_address_is_sent(camera: Camera, corrected: str) -> None:
    camera.agent()
    camera.takes = True
    camera.agent(url=corrected, seconds=60)
    assert camera.asked == MAX_REFUSED + 1


def test_one_that_is_let_in_begins_to_count_anew(camera: Camera) -> None:
    for _ in range(4):
        camera.takes = False
        camera.agent(seconds=70)  # too short for a third
        camera.takes = True
        camera.agent(seconds=60)
    assert camera.asked > 2 * MAX_REFUSED


def test_a_channel_that_is_refused_keeps_none_out_that_is_let_in(camera: Camera) -> None:
    camera.agent("front", url="rtsp://admin:p@nvr/1", seconds=70)
    camera.takes = True
    camera.agent("gate", url="rtsp://admin:p@nvr/2", seconds=60)
    camera.takes = False
    asked = camera.asked
    camera.agent("front", url="rtsp://admin:p@nvr/1", seconds=3600)
    assert camera.asked - asked < MAX_REFUSED
    camera.takes, asked = True, camera.asked
    camera.agent("gate", url="rtsp://admin:p@nvr/2", seconds=60)
    assert camera.asked == asked + 1


def test_an_operator_lets_it_be_sent_again_while_the_agent_waits(camera: Camera, events: Events) -> None:
    time, allowed = camera.time, []

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if link.held_back() and len(allowed) < 2:
            allowed.append(allow_logins("front"))

    link = link_at(time, url=URL)
    link._sleep = sleep
    for attempt in itertools.islice(link.attempts(), 3 * MAX_REFUSED):
        with attempt:
            raise OSError(REFUSED)
    assert allowed == [True, True]
    assert len(events.of("dvr.held_back")) == 2
    assert not allow_logins("gate")


@pytest.mark.parametrize("url", [None, "rtsp://cam-1/stream", "cam-1", ""])
def test_without_user_and_password_in_the_url_one_is_sent_an_hour(camera: Camera, url: str | None) -> None:
    """Nothing tells whether they were corrected."""
    hours = 6
    for _ in range(3):
        camera.agent(url=url, seconds=hours * UNKNOWN_PAUSE / 3)
    assert MAX_REFUSED < camera.asked <= MAX_REFUSED + hours


@pytest.mark.parametrize("error", ["connection refused", "timed out", "404 not found", "no route to host", "broken"])
def test_only_refused_logins_count(camera: Camera, error: str) -> None:
    link = link_at(camera.time, url=URL)
    for attempt in itertools.islice(link.attempts(), 10):
        with attempt:
            raise OSError(error)
    assert link.held_back() == ""


def test_nothing_that_is_kept_tells_the_password(camera: Camera, state: State, events: Events) -> None:
    camera.agent(url="rtsp://admin:sesame@cam-1/stream")
    kept = list((state.folder / "logins").iterdir())
    assert kept
    for path in kept:
        assert b"sesame" not in path.read_bytes()
        assert "sesame" not in path.name
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert "sesame" not in str(events.of("dvr.held_back"))


@pytest.mark.parametrize("kind", ["a file", "closed", "garbage"])
def test_where_it_cannot_be_kept_it_counts_in_this_process(camera: Camera, state: State, kind: str) -> None:
    state.folder.mkdir(exist_ok=True)
    home = state.folder / "logins"
    if kind == "a file":
        home.write_text("")
    elif kind == "garbage":
        home.mkdir()
        (home / ".salt").mkdir()
    else:
        home.symlink_to("/proc/self/nonexistent")
    camera.agent(seconds=3600)
    assert camera.asked == MAX_REFUSED


@pytest.mark.parametrize("content", [b"", b"\0\xff\n", b"nan front\ninf front\n1e999 front\n", b"x" * 100_000, b"1 \n"])
def test_what_others_wrote_there_raises_nothing(camera: Camera, state: State, content: bytes) -> None:
    camera.agent(seconds=3600)
    for path in (state.folder / "logins").glob("*.refused"):
        path.write_bytes(content)
    link = link_at(camera.time, url=URL)
    link.held_back()
    link.failed(REFUSED)
    link.connected()
    assert link.held_back() == ""


def test_agents_that_are_refused_at_the_same_time_lose_no_count(state: State) -> None:
    code = f"""
from vv_core.dvr import DvrLink
for _ in range(25):
    DvrLink("front", url={URL!r}).failed({REFUSED!r})
"""
    scripts = [state.python(code) for _ in range(4)]
    assert [script.wait(60) for script in scripts] == [0] * 4
    (account, stream) = (path.read_bytes().splitlines() for path in (state.folder / "logins").glob("*.refused"))
    assert len(account) == len(stream) == 100


def test_not_more_is_kept_than_can_be_looked_at(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_logins, "MOST", 4)
    for number in range(9):
        DvrLink(f"d{number}", url=f"rtsp://u:p@cam-{number}/").failed(REFUSED)
        for path in (state.folder / "logins").glob("*.refused"):
            os.utime(path, (path.stat().st_mtime - 10,) * 2)
    assert len(list((state.folder / "logins").glob("*.refused"))) == 4
    assert _times_of("rtsp://u:p@cam-8/", "d8") == 1


def _times_of(url: str, name: str) -> int:
    logins = _logins.Logins(name, url)
    return max(len(logins._refusal_times(key)) for key in logins._known_keys())


def test_in_health_nothing_is_kept(state: State, camera: Camera) -> None:
    camera.takes = True
    camera.agent(seconds=60)
    assert not (state.folder / "logins").exists()


def test_the_command_of_a_name_can_be_typed() -> None:
    assert _logins._quote_for_shell("front-1_b") == "front-1_b"
    assert _logins._quote_for_shell("it's here") == "'it'\\''s here'"
