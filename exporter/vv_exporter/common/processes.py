"""Which process a writer is, and how people get hold of it.

The number of a process means something in its PID namespace only: on the machine PID 7 of a container is another
process, which nobody is to end by mistake.

Sources: pid_namespaces(7); the machine's own namespace is `PROC_PID_INIT_INO` in the kernel's
`include/linux/proc_ns.h`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Set
from pathlib import Path

import msgspec

OF_THE_MACHINE = 0xEFFFFFFC
_IN_CONTAINER = ("/.dockerenv", "/run/.containerenv")  # Docker and Podman make them
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # of a host, as people may put it into a command


class Process(msgspec.Struct, frozen=True, omit_defaults=True):
    """A process as it says of itself: `space` is its PID namespace, `node` the host name, a container's as a rule.

    0 and empty where it does not say.
    """

    pid: int = 0
    space: int = 0
    node: str = ""


def spaces_of_machine() -> Set[int]:
    """The PID namespaces whose numbers are those that people see on the machine."""
    if any(Path(mark).exists() for mark in _IN_CONTAINER):
        return {OF_THE_MACHINE}
    return {OF_THE_MACHINE, own_space()}  # a whole device may be a container of another kind


def own_space() -> int:
    """The PID namespace of this process; 0 where it is not known."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def found_as(process: Process, machine: Set[int]) -> tuple[str, str]:
    """The PID, and the container in which it is one, empty on the machine itself; none where that is not known."""
    if not process.pid or not process.space:
        return "", ""
    if process.space in machine:
        return str(process.pid), ""
    return (str(process.pid), process.node) if _NAME.fullmatch(process.node) else ("", "")
