"""The link to a DVR: attempts with growing pauses, each reported with its reason, and the frames that come.

link = DvrLink("front")
for attempt in link.attempts():
    with attempt:
        stream = av.open(url, timeout=10)
        for frame in stream.decode(video=0):
            link.frame()
            save(frame)

A process that is killed while it has a link is missed (the alert DvrAgentGone), unless another one takes over. One
that ends by itself is not, nor is a link that was ended with `DvrLink.stop` or `DvrLink.close`.
"""

from __future__ import annotations

import errno
import time

from vv_core import _ends, _logins, _runs
from vv_core.common import journals, sdklog, texts
from vv_core.common.ids import random_fraction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

REASONS = ("dns", "refused", "timeout", "auth", "no_stream", "frozen", "error")
"""Why there is no stream: its name cannot be resolved; the connection is refused; no answer; user or password refused;
no such stream, or it ended; connected but no new frames; anything else."""

_FIRST_PAUSE, _LONGEST_PAUSE, _STALL = 1.0, 60.0, 10.0  # seconds
_REPORT_EVERY = 1.0
_STEADY = 10.0  # seconds that a stream must last for the pauses to begin anew
_HELD_BACK = 5.0  # seconds between looks whether logins may be sent again
_SLICE = 0.2  # seconds within which a pause notices that it is to end
_DEPTH = 5  # causes of an exception that are looked at
_SILENT = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT}
# What sockets, FFmpeg (PyAV, OpenCV), GStreamer and HTTP libraries say; the first that fits counts.
_TEXTS = (
    (
        "dns",
        r"name or service|name resolution|resolve|unknown host|host not found|no address assoc|nodename|getaddrinfo",
    ),
    ("auth", r"\b40[137]\b|unauthori[sz]ed|not authori[sz]ed|authori[sz]ation|authenticat|forbidden|wrong password"),
    ("refused", r"refused"),
    ("timeout", r"time[d -]*out|no route to host|unreachable|host is down|immediate exit requested"),
    (
        "no_stream",
        r"\b(?:404|410|45[3457]|46[012]|503)\b|not found|no such|no (?:video )?stream|not available|unavailable"
        r"|[45]xx (?:client|server) error|end of (?:file|stream)",
    ),
)


class StreamFrozenError(Exception):
    """No frame has come for too long although the stream is connected."""


class DvrLink:
    """Gets and keeps the stream of the DVR `name`, as the exporter's configuration calls it, for one thread.

    After a failure the pause before the next attempt is random ("full jitter") between 0 and `first_pause`, twice that
    after the second, and so on up to `longest_pause`; near the longest from the start if user or password were
    refused, because DVRs lock an account after a few wrong passwords. After three refusals, which are counted across
    restarts and together with the other streams of the account, there is no attempt until user, password or address
    in `url` change, or somebody says ``vv dvr login NAME``; without `url`, which alone tells whether they changed, one
    an hour. A stream that lasted for 10 seconds begins the series anew. `stall` is after how long without a frame
    `check` complains. All are in seconds; for what is no such number, the default is used, and a warning logged.

    `url` with user and password, if given, is kept out of what is reported, and so is the password in it; so are all
    other URLs. `component`
    is the script that reports (default: the running one). `sleep`, `clock` (Unix time), `monotonic` and `random` (from
    0 up to 1) are for tests. No method but `check` raises.
    """

    def __init__(
        self,
        name: str = "dvr",
        *,
        url: object = None,
        component: str | None = None,
        first_pause: float = _FIRST_PAUSE,
        longest_pause: float = _LONGEST_PAUSE,
        stall: float = _STALL,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[], float] | None = None,
    ) -> None:
        self.name = texts.name(name) or "dvr"
        self.url = None if url is None else texts.printed(url)
        self.stopped = False
        """Whether `stop` was called; a loop over frames ends when it is."""
        self._component = journals.component_name(component)
        self._first_pause = _seconds_setting("first_pause", first_pause, _FIRST_PAUSE)
        self._longest_pause = _seconds_setting("longest_pause", longest_pause, _LONGEST_PAUSE)
        self._stall = _seconds_setting("stall", stall, _STALL)
        self._sleep = sleep
        self._clock = clock
        self._monotonic = monotonic
        self._random = random or random_fraction
        self._logins = _logins.Logins(self.name, self.url, clock)
        self._is_held_back = False
        self._failures = 0
        self._reason = ""
        self._connected = False
        self._begun = self._last = monotonic()
        self._frames = 0
        self._due = float("-inf")

    def attempts(self) -> Iterator[Attempt]:
        """Attempts without end, with a pause after each: put what connects and reads into ``with attempt:``.

        An exception in there is reported and makes the next attempt; `KeyboardInterrupt` and `SystemExit` go on. Ends
        when `stop` is called.
        """
        number = 0
        while not self.stopped:
            if self.held_back():
                self._wait_in_slices(_HELD_BACK)
                continue
            number += 1
            self._begin_link()
            yield Attempt(self, number)
            if self.stopped:
                return
            if not self._reason and not self._connected:
                self.failed("the attempt ended, and no stream came")
            self._finish()
            self._wait_in_slices(self._pause_seconds())

    def stop(self) -> None:
        """Let `attempts` end: at once in a pause, else after the attempt. For signal handlers and other threads."""
        self.stopped = True
        self._end_agent()  # already now: who waits for the attempt may lose patience, and kill

    def close(self) -> None:
        """Report that nobody gets this DVR's stream any more, and on purpose. Ends `attempts` as `stop` does.

        It also takes back that an agent that was killed is missed, whichever process that was.
        """
        self._finish()
        self.stopped = True
        _ends.closed(self._agent_key)
        self._say_end()

    def held_back(self) -> str:
        """Why user and password must not be sent now, for people, and reported once; empty when they may be.

        `attempts` asks; a loop of one's own should.
        """
        why = self._logins.held_back()
        if why and not self._is_held_back:
            self._report_event("dvr.held_back", {"error": why}, journals.NEEDED)
            sdklog.warn("vv_core.dvr", "DVR %s %s", self.name, why)
        self._is_held_back = bool(why)
        return why

    def connected(self) -> None:
        """Report that there is a stream. The first `frame` does it as well, and proves it."""
        if self._connected:
            return
        self._connected, self._reason, self._begun = True, "", self._monotonic()
        self._logins.taken()
        self._report_event("dvr.attempt", {"result": "ok"})
        sdklog.log("vv_core.dvr", "info", "DVR %s is connected", self.name)

    def frame(self) -> None:
        """Count a frame: takes less than a microsecond, and reports once a second."""
        self._frames += 1
        self._last = now = self._monotonic()
        if now >= self._due:
            self.connected()
            self._report_frames(now)

    def failed(self, error: object = "") -> None:
        """Report that the attempt failed, or the stream was lost, with an exception or a text. ``with attempt:`` does
        this by itself."""
        if self._reason:
            return
        self._finish()
        self._failures += 1
        self._reason = reason(error)
        text = texts.line(self._without_secrets(error), _runs.MAX_ERROR)
        self._connected = False
        if self._reason == "auth":
            self._logins.refused()
        self._report_event("dvr.attempt", {"result": self._reason, "error": text}, journals.NEEDED)
        sdklog.log("vv_core.dvr", "warning", "DVR %s: %s: %s", self.name, self._reason, text)

    def check(self) -> None:
        """Raise `StreamFrozenError` when no frame has come for `stall` seconds, counted from the attempt's beginning.

        For loops that wait for frames with a timeout of their own. A read that blocks for ever is noticed by the
        exporter, which sees how old the latest frame is.
        """
        silence = self._monotonic() - max(self._last, self._begun)
        if silence > self._stall:
            raise StreamFrozenError(f"no frame for {silence:.0f} s")

    def _begin_link(self) -> None:
        self._connected, self._reason = False, ""
        self._begun = self._monotonic()
        self._due = float("-inf")

    def _finish(self) -> None:
        """Report frames that still wait, and judge how long the stream lasted."""
        if self._frames:
            self._report_frames(self._monotonic())
        if self._connected and self._monotonic() - self._begun >= _STEADY:
            self._failures = 0

    def _report_frames(self, now: float) -> None:
        frames, self._frames = _runs.whole(self._frames) or 0, 0
        self._due = now + _REPORT_EVERY
        self._report_event("dvr.frames", {"frames": frames, "last": self._clock() - (now - self._last)})

    def _report_event(self, kind: str, fields: dict[str, object], worth: float = journals.ROUTINE) -> None:
        """Who has reported is missed when it is killed, unless it is ending anyway."""
        if journals.emit(kind, self._component, {"dvr": self.name, **fields}, worth):
            _ends.opened(self._agent_key, self._end_orderly)
        if self.stopped:
            self._end_agent()

    @property
    def _agent_key(self) -> tuple[str, str]:
        return ("dvr", self.name)

    def _end_agent(self) -> None:
        if _ends.closed(self._agent_key):
            self._say_end()

    def _end_orderly(self) -> None:
        """At the end of the process, which is no orderly one if an exception brings it."""
        if not _ends.is_failing():
            self._say_end()

    def _say_end(self) -> None:
        journals.emit("dvr.ended", self._component, {"dvr": self.name}, journals.CLOSING)

    def _pause_seconds(self) -> float:
        if self._reason == "auth":
            return self._longest_pause * (1 + self._random()) / 2
        doublings = min(max(self._failures - 1, 0), 60)
        return float(min(self._longest_pause, self._first_pause * 2**doublings) * self._random())

    def _wait_in_slices(self, seconds: float) -> None:
        """In slices: an `Event` must not be set by a signal handler of the thread that waits for it."""
        end = self._monotonic() + seconds
        while not self.stopped and (left := end - self._monotonic()) > 0:
            self._sleep(min(left, _SLICE))

    def _without_secrets(self, error: object) -> str:
        import re

        text = texts.printed(error) or texts.kind(error)
        for secret in _secrets_of(self.url):
            text = text.replace(secret, "…")
        return re.sub(r"\b(\w{1,20})://[^\s'\"<>]+", r"\1://…", text)


def allow_logins(name: str) -> bool:
    """Have the DVR `name` asked again, which refused user and password: it takes them by now.

    Gives whether they were held back. Raises `OSError`.
    """
    return _logins.allow(name)


class Attempt:
    """One attempt to get the stream, a context manager around it. `number` counts from 1."""

    def __init__(self, link: DvrLink, number: int) -> None:
        self.link = link
        self.number = number

    def __enter__(self) -> Attempt:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self.link.failed(error)
            return True
        self.link._finish()
        return False


def reason(error: object) -> str:
    """Which of `REASONS` an exception stands for, by its type, its text, or those of its causes."""
    current: object = error
    try:
        for _ in range(_DEPTH):
            found = _by_type(current) or _by_text(current)
            if found:
                return found
            if not isinstance(current, BaseException):
                break
            current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    except texts.ENDS:
        raise
    except BaseException:  # it does not let itself be asked
        return "error"
    return "error"


def _by_type(error: object) -> str:
    if isinstance(error, StreamFrozenError):
        return "frozen"
    if texts.kind(error) in ("gaierror", "herror"):  # of the module socket, which costs more than this one
        return "dns"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError) or (isinstance(error, OSError) and _runs.whole(error.errno) in _SILENT):
        return "timeout"
    return "no_stream" if isinstance(error, EOFError) else ""


def _by_text(error: object) -> str:
    if error is None:
        return ""
    import re

    # Without addresses and quoted names, which may hold any word and number.
    text = re.sub(r"\w+://\S+|'[^']*'", " ", texts.printed(error)[:2000].lower())
    return next((found for found, pattern in _TEXTS if re.search(pattern, text)), "")


def _seconds_setting(name: str, value: object, default: float) -> float:
    seconds = _runs.seconds(value)
    if seconds is None:
        sdklog.warn("vv_core.dvr", "%s=%s is no number of seconds; %s is used", name, texts.line(value, 100), default)
        return default
    return seconds


def _secrets_of(url: str | None) -> list[str]:
    """The URL and the password in it, as they may stand in a message."""
    if not url:
        return []
    from urllib.parse import unquote

    password = url.rpartition("@")[0].rpartition("//")[2].partition(":")[2]
    return [secret for secret in (url, password, unquote(password)) if secret]
