"""The Docker Engine's API: read-only, typed, and never waited for without an end.

What is asked: `/_ping`, `/info`, `/events`, `/containers/json`, `/containers/<id>/json`, where there is no other way
`/containers/<id>/stats`, and `/networks/bridge`, which a restricting proxy may refuse. The API's version is the
Engine's own (Docker 29 refuses those below 1.44): it stands in the head of its answer to `/_ping`, or else in
`/version`, which asks containerd and runc before it answers, and hangs with them.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import re
import threading
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import docker
import docker.errors
import msgspec
import requests
from docker.constants import DEFAULT_DOCKER_API_VERSION as _ANY_VERSION

from vv_exporter.common.untrusted import decode_untrusted
from vv_exporter.containers.observed import (
    ACTIONS,
    SECOND,
    Event,
    Inspection,
    Listing,
    decode_event,
    decode_inspection,
    decode_list,
    nanoseconds,
)
from vv_exporter.containers.resources import Running, Usage, decode_stats

log = logging.getLogger(__name__)

TIMEOUT = 4.0  # seconds for any answer; half of what vv_docker_up may be late
STATS_TIMEOUT = 15.0  # …but for what a container uses, which nobody waits for
REPLAY_LIMIT = 256  # events of all kinds that the Engine keeps (moby, daemon/events: eventsLimit)
_MAX_QUEUE = 10_000  # events waiting to be counted; beyond, the stream is begun anew, and the Engine replays
NO_ANSWER_STATUS = frozenset({502, 503, 504})  # of a proxy in between
REFUSED_PATH = "/_vv/refused"
"""Asks a proxy of ours in between how many connections each of its sockets refused; an Engine has no such path."""

_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}", re.ASCII)
_FILTERS = {"type": ["container"], "event": list(ACTIONS)}


class EngineError(Exception):
    """The Engine does not answer, or not as expected."""


class NoAnswerError(EngineError):
    """No answer came in time: of nothing, or of what was asked for alone."""


class NotUnderstoodError(EngineError):
    """It answered, but not with what was asked of one container; of others it may."""


class Engine:
    """A connection to the Engine at `host`. Methods raise `EngineError`; so does making it."""

    def __init__(self, host: str) -> None:
        self.host = host
        with translated():
            self._client = connected(host)
        self._base = f"{self._client.base_url}/v{self._client.api_version}"

    def ping(self) -> None:
        """Whether it answers."""
        self._get_body("/_ping")

    def time(self) -> int:
        """Its clock, in nanoseconds since 1970."""
        with translated():
            return nanoseconds(decode_untrusted(_INFO, self._get_body("/info")).system_time)

    def containers(self) -> Listing:
        """All containers, also those that do not run."""
        with translated():
            return decode_list(self._get_body("/containers/json", all="1"))

    def inspect(self, container: str, timeout: float = TIMEOUT) -> Inspection | None:
        """One container, None if there is none of that id. What is wrong with it alone is a `NotUnderstoodError`."""
        body = self._find_container(f"/containers/{container}/json", timeout)
        with _one_container():
            return None if body is None else decode_inspection(body)

    def usage(self, container: Running) -> Usage | None:
        """What a container uses, which takes the Engine a second or two; None if it does not run."""
        body = self._find_container(f"/containers/{container.id}/stats?stream=false&one-shot=true", STATS_TIMEOUT)
        with _one_container():
            return None if body is None else decode_stats(body, container)

    def kept_events(self, until: int) -> int:
        """How many events it still has from before a time."""
        return len(self._get_body("/events", since="0", until=_api_time(until)).splitlines())

    def bridge_created(self) -> str:
        """When it made its default bridge, which it does at each start; "" where it has none or does not say."""
        try:
            body = self._get_or_none("/networks/bridge")
            return decode_untrusted(_NETWORK, body).created if body else ""
        except (EngineError, msgspec.MsgspecError):
            return ""

    def refused_by_proxy(self) -> dict[str, int]:
        """Connections that the proxy in between has refused, by socket; none where it is no proxy of ours."""
        body = self._get_or_none(REFUSED_PATH)
        with translated():
            return decode_untrusted(_REFUSED, body) if body else {}

    def follow(self, since: int) -> Follower:
        """Its events after a time (0: from now on), in a thread of their own."""
        return Follower(self.host, since)

    def close(self) -> None:
        """End all connections."""
        self._client.close()

    def _find_container(self, path: str, timeout: float) -> bytes | None:
        try:
            return self._get_or_none(path, timeout)
        except EngineError as error:
            if isinstance(error.__cause__, requests.HTTPError) and not isinstance(error, NoAnswerError):
                raise NotUnderstoodError(str(error)) from error
            raise

    def _get_or_none(self, path: str, timeout: float = TIMEOUT) -> bytes | None:
        with translated():
            response = self._client.get(self._base + path, timeout=timeout)
            if response.status_code == requests.codes.not_found:
                return None
            response.raise_for_status()
            return bytes(response.content)

    def _get_body(self, path: str, **parameters: str) -> bytes:
        with translated():
            response = self._client.get(self._base + path, params=parameters, timeout=TIMEOUT)
            response.raise_for_status()
            return bytes(response.content)


class Follower:
    """One subscription to the Engine's events. It ends by itself when the stream does; then make another.

    Raises `EngineError`.
    """

    def __init__(self, host: str, since: int) -> None:
        self._host = host
        self._since = since
        self._queue: queue.Queue[Event] = queue.Queue(_MAX_QUEUE)
        self._stream: Any = None
        self._closed = threading.Event()
        self.connected = threading.Event()
        self.ended = threading.Event()
        self.error = ""
        # No loop: one stream, read to its end by a thread of its own; the watch makes the next one.
        self._thread = threading.Thread(target=self._follow_events, name="docker-events", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # there can be no further thread
            raise EngineError(str(error)) from error

    def take(self, timeout: float) -> list[Event]:
        """Events in their order; waits up to `timeout` seconds for the first."""
        events: list[Event] = []
        with contextlib.suppress(queue.Empty):
            if timeout > 0:
                events.append(self._queue.get(timeout=timeout))
            while len(events) < _MAX_QUEUE:
                events.append(self._queue.get_nowait())
        return events

    def close(self) -> None:
        """End it, also when it waits for a dead connection; returns at once."""
        self._closed.set()
        stream = self._stream
        if stream is not None:
            with contextlib.suppress(Exception):  # it may end at the same time, in a different way each time
                stream.close()

    def _follow_events(self) -> None:
        try:
            with translated(), contextlib.closing(self._client()) as client:
                self._stream = client.events(since=_api_time(self._since) or None, filters=_FILTERS)
                self.connected.set()
                self._read_stream()
        except (EngineError, queue.Full) as error:
            self.error = str(error) or type(error).__name__
        except Exception:
            log.exception("the Docker Engine's event stream ended")
        finally:
            self.ended.set()

    def _client(self) -> docker.APIClient:
        return connected(self._host)

    def _read_stream(self) -> None:
        rest = b""
        for chunk in self._stream:
            if self._closed.is_set():
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._queue_event(line)

    def _queue_event(self, line: bytes) -> None:
        try:
            event = decode_event(line) if line.strip() else None
        except msgspec.MsgspecError as error:
            log.warning("the Docker Engine sent an event that is not understood: %s", error)
            return
        if event is not None:
            self._queue.put_nowait(event)


class _Info(msgspec.Struct, rename="pascal"):
    system_time: str


class _Network(msgspec.Struct, rename="pascal"):
    created: str = ""


_INFO: msgspec.json.Decoder[_Info] = msgspec.json.Decoder(_Info)
_REFUSED: msgspec.json.Decoder[dict[str, int]] = msgspec.json.Decoder(
    dict[Literal["read", "act"], Annotated[int, msgspec.Meta(ge=0)]]
)
_NETWORK: msgspec.json.Decoder[_Network] = msgspec.json.Decoder(_Network)


@contextlib.contextmanager
def _one_container() -> Iterator[None]:
    try:
        yield
    except msgspec.MsgspecError as error:
        raise NotUnderstoodError(str(error)[:300]) from error


def _api_time(time: int) -> str:
    """The API's form of a time: seconds with nine decimals."""
    return f"{time // SECOND}.{time % SECOND:09d}" if time else ""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise `EngineError` for everything that a request to the Engine may fail with."""
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException, msgspec.MsgspecError, OSError) as error:
        kind = NoAnswerError if _is_silence(error) else EngineError
        raise kind(str(error)[:300]) from error


def _is_silence(error: Exception) -> bool:
    """Whether this says that no answer came: to us, or to a proxy in between."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code in NO_ANSWER_STATUS
    return isinstance(error, (requests.Timeout, TimeoutError))


PODMAN = "is Podman, which is not supported: what is shown of containers may be wrong"
_podman: dict[str, bool] = {}


def is_podman(host: str) -> bool | None:
    """Whether Podman answered there last; None where nothing did."""
    return _podman.get(host)


def _note_engine(host: str, podman: bool) -> None:
    """Podman says in each answer of its Docker-compatible socket which it is. It is logged once."""
    if podman and not _podman.get(host):
        log.warning("what answers at %s %s", host, PODMAN)
    _podman[host] = podman


def connected(host: str) -> docker.APIClient:
    """A client that speaks the Engine's own version of the API; what it raises see `translated`."""
    with contextlib.closing(docker.APIClient(base_url=host, version=_ANY_VERSION, timeout=TIMEOUT)) as client:
        response = client.get(f"{client.base_url}/_ping")
        response.raise_for_status()
        _note_engine(host, "Libpod-Api-Version" in response.headers)
        version = response.headers.get("Api-Version", "")
        if not _VERSION.fullmatch(version):
            version = str(client.version(api_version=False).get("ApiVersion", ""))
    if not _VERSION.fullmatch(version):
        raise docker.errors.DockerException("what answers reports no version of Docker's API")
    return docker.APIClient(base_url=host, version=version, timeout=TIMEOUT)
