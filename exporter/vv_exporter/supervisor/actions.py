"""What the self-monitor asks of the Engine: start, restart, stop, another restart policy, last log lines, processes.

`/containers/<id>/{start,restart,stop,update}` change something; `/logs` and `/top` only read.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import docker
import docker.errors
import requests

from vv_core.common.texts import last_lines
from vv_exporter.containers.engine import NO_ANSWER_STATUS, EngineError, NoAnswerError, connected, translated
from vv_exporter.containers.observed import SELF_MONITOR_LABEL
from vv_exporter.containers.watch import DEFAULT_HOST
from vv_exporter.settings import Settings

PATIENCE = 20.0  # seconds for an answer: starting is slow on a small device, stopping takes a container's grace
MAX_TAIL = 4_000  # bytes of the last log lines
_MAX_READ = 1 << 20  # bytes that are read for them
_READ_SECONDS = 5.0


class RefusedError(Exception):
    """The Engine answered, and could not do it; the message is the Engine's."""


class Actions:
    """Requests to the Engine at `host`. Methods raise `RefusedError`, or `EngineError` when no answer came."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._client: docker.APIClient | None = None

    def start(self, container: str) -> None:
        """Start it; nothing happens if it runs."""
        self._post_request(f"/containers/{container}/start")

    def restart(self, container: str) -> None:
        """Stop it with its own signal and grace, and start it."""
        self._post_request(f"/containers/{container}/restart")

    def stop(self, container: str) -> None:
        """Stop it; nothing happens if it does not run."""
        self._post_request(f"/containers/{container}/stop")

    def set_policy(self, container: str, name: str, retries: int = 0) -> None:
        """Change Docker's restart policy."""
        policy = {"Name": name, "MaximumRetryCount": retries}
        self._post_request(f"/containers/{container}/update", {"RestartPolicy": policy})

    def log_tail(self, container: str, count: int) -> str:
        """Its last `count` log lines, at most `MAX_TAIL` bytes, safe to show; "" where there are none to be had."""
        if not count:
            return ""
        with contextlib.suppress(EngineError, RefusedError, docker.errors.DockerException), translated():
            parts = self._connected_client().logs(
                container, stdout=True, stderr=True, stream=True, follow=False, tail=count
            )
            return "\n".join(last_lines(_end_of(parts), MAX_TAIL).strip().splitlines()[-count:])
        return ""

    def runs(self, container: str, program: str) -> bool:
        """Whether this program runs in it, by itself or by an interpreter (`agent`, `/usr/bin/python3 agent.py`)."""
        with translated():
            answer = self._connected_client().top(container, ps_args="-eo pid,args")
        commands = (" ".join(row[1:]).split()[:2] for row in answer.get("Processes") or ())
        return any(word.rpartition("/")[2] == program for words in commands for word in words)

    def close(self) -> None:
        """End the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected_client(self) -> docker.APIClient:
        if self._client is None:
            self._client = connected(self._host)
        return self._client

    def _post_request(self, path: str, body: dict[str, Any] | None = None) -> None:
        with translated():
            client = self._connected_client()
            address = f"{client.base_url}/v{client.api_version}{path}"
            response = client.post(address, json=body, timeout=PATIENCE)
            if response.status_code in NO_ANSWER_STATUS:
                raise NoAnswerError(_message_of(response))
            if response.status_code >= requests.codes.bad_request:
                raise RefusedError(_message_of(response))


def has_work(settings: Settings) -> bool:
    """Whether an Engine answers and there is, or is named, a container for the self-monitor."""
    try:
        with translated(), contextlib.closing(connected(settings.docker_host or DEFAULT_HOST)) as client:
            labelled = client.containers(all=True, quiet=True, filters={"label": f"{SELF_MONITOR_LABEL}=true"})
    except EngineError:
        return False
    return bool(labelled or settings.self_monitor.containers or settings.self_monitor.projects)


def _message_of(response: Any) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        return str(response.json().get("message", ""))[:500]
    return f"HTTP {response.status_code}"


def _end_of(parts: Any) -> bytes:
    """The end of a stream, which may be longer than it should be."""
    tail, read, end = b"", 0, time.monotonic() + _READ_SECONDS
    try:
        for part in parts:
            tail = (tail + part)[-2 * MAX_TAIL :]
            read += len(part)
            if read > _MAX_READ or time.monotonic() > end:
                break
    finally:
        with contextlib.suppress(Exception):
            parts.close()
    return tail
