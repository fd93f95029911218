"""What is passed on of the Engine's answers: what is listed, and nothing else.

Left out are above all the environment, the command and its arguments, mounts, the output of health checks, and labels
that are not ours: all of them may hold secrets.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from vv_exporter.common.untrusted import elements, whole_characters
from vv_exporter.containers.observed import (
    NUMBER_LABEL,
    ONE_OFF_LABEL,
    PROJECT_LABEL,
    SELF_MONITOR_LABEL,
    SERVICE_LABEL,
    TASK_LABEL,
)

_NOT_UNDERSTOOD = b'{"Type": "unknown", "Action": "", "Actor": {}, "timeNano": 0}\n'
Kept = Mapping[str, Any]
"""The names that are kept of an object; what stands for a name: True for its whole value, or what is kept of it."""

Filter = Callable[[bytes], bytes]
"""What is passed on of an answer. Raises `ValueError` for what is not understood."""

LABELS = dict.fromkeys(
    (PROJECT_LABEL, SERVICE_LABEL, NUMBER_LABEL, ONE_OFF_LABEL, TASK_LABEL, SELF_MONITOR_LABEL), True
)


def _names_of(text: str) -> dict[str, bool]:
    return dict.fromkeys(text.split(), True)


INSPECTION: Kept = {
    **_names_of("Id Name Created Image RestartCount Driver Platform"),
    "State": {
        **_names_of("Status Running Paused Restarting Dead OOMKilled Pid ExitCode Error StartedAt FinishedAt"),
        "Health": {**_names_of("Status FailingStreak"), "Log": _names_of("Start End ExitCode")},
    },
    "Config": {**_names_of("Image Tty"), "Labels": LABELS},
    "HostConfig": _names_of(
        "RestartPolicy AutoRemove NetworkMode CgroupParent Memory MemorySwap MemoryReservation NanoCpus CpuShares "
        "CpuPeriod CpuQuota CpusetCpus PidsLimit"
    ),
}
LISTED: Kept = {
    **_names_of("Id Names Image ImageID Created State Status"),
    "Health": _names_of("Status FailingStreak"),
    "Labels": LABELS,
}
INFO: Kept = _names_of(
    "ID SystemTime ServerVersion Driver CgroupDriver CgroupVersion NCPU MemTotal KernelVersion OperatingSystem "
    "Architecture LiveRestoreEnabled Containers ContainersRunning ContainersPaused ContainersStopped"
)
STATS: Kept = _names_of("read cpu_stats memory_stats blkio_stats pids_stats networks")
NETWORK: Kept = _names_of("Id Name Created Driver Scope")
EVENT: Kept = {
    **_names_of("Type scope time timeNano"),
    "Actor": {
        "ID": True,
        "Attributes": {**_names_of("name image exitCode containerExitCode health_status signal oldName"), **LABELS},
    },
}


def only(document: Any, kept: Kept) -> Any:
    """`document` with what is kept of it; of a list, of each of its elements."""
    if isinstance(document, list):
        return [only(item, kept) for item in document]
    if not isinstance(document, dict):
        return None
    return {
        name: value if kept[name] is True else only(value, kept[name])
        for name, value in document.items()
        if name in kept
    }


def body(kept: Kept) -> Filter:
    """A filter for a whole answer. Raises `ValueError` if it is no JSON, or too deep."""

    def filtered(answer: bytes) -> bytes:
        with contextlib.suppress(ValueError):
            return _filter_answer(answer, kept)
        try:
            entries = elements(answer)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None
        return b"[" + b",".join(_only_entry(entry, kept) for entry in entries) + b"]"

    return filtered


def _filter_answer(answer: bytes, kept: Kept) -> bytes:
    try:
        return json.dumps(only(json.loads(whole_characters(answer)), kept)).encode()
    except RecursionError:
        raise ValueError("too deep") from None


def _only_entry(entry: bytes, kept: Kept) -> bytes:
    """One entry of a list. What is not understood stays as nothing: without it the list would seem to be complete."""
    try:
        return _filter_answer(entry, kept)
    except ValueError:
        return b"null"


def event(line: bytes) -> bytes:
    """A line of the event stream. None is left out: their number shows how far the Engine remembers.

    What follows an action's colon is the command that was run in a container, or the state of its health. Of a line
    that is not understood nothing is shown but that there was one.
    """
    try:
        return json.dumps(_filter_event(json.loads(whole_characters(line)))).encode() + b"\n"
    except (ValueError, RecursionError):
        return _NOT_UNDERSTOOD


def _filter_event(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError("not an object")  # noqa: TRY004 - what it says is wrong, not what was passed
    action = str(raw.get("Action", ""))
    shown = action if action.startswith("health_status") else action.partition(":")[0]
    if raw.get("Type") != "container":
        raw.pop("Actor", None)
    return {**only(raw, EVENT), "Action": shown}
