"""Chains of signed lines for tests: signed by processes that are killed, and tampered with afterwards."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Line = dict[str, Any]

SIGNER = """
import json, os, sys
from vv_core import _chains
from vv_core.signing import sign_payload
_chains._PATIENCE = 120.0  # on a slow machine nobody signs outside the chain
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for number in range(int(sys.argv[2])):
    line = sign_payload({"a": number, "z": os.getpid()}, chain="loglines", component="signer")
    os.write(log, json.dumps(line).encode() + b"\\n")
"""
"""A script that signs so many lines and appends each to a log."""


def key_file(folder: Path, name: str = "2026-01") -> Path:
    """A key that signs."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.key"
    file.touch(mode=0o600)
    file.write_text(name.ljust(40, "k"))
    return file


def sign_beside(log: Path, lines: int, processes: int, chance: random.Random, kills: int = 0) -> int:
    """Have processes sign at the same time, kill some, and start others in their place. Gives how many it killed.

    At least `lines` lines are in the log then.
    """
    each = lines // processes + 1
    running: list[subprocess.Popen[bytes]] = []

    def start(count: int) -> None:
        running.append(subprocess.Popen([sys.executable, "-c", SIGNER, str(log), str(count)]))

    try:
        for _ in range(processes):
            start(each)
        killed = 0
        while killed < kills:
            wait_for_growth(log)
            victim = running.pop(chance.randrange(len(running)))
            victim.send_signal(signal.SIGKILL)
            killed += victim.wait() == -signal.SIGKILL
            start(each)
        for process in running:
            assert process.wait() == 0
    finally:
        for process in running:
            process.kill()
            process.wait()
    return killed


def wait_for_growth(log: Path) -> None:
    """Wait until the log has some more lines."""
    from tests.support.waiting import wait_until

    size = log.stat().st_size if log.exists() else 0
    wait_until(lambda: log.exists() and log.stat().st_size > size + 20_000, timeout=120)


def read_lines(log: Path) -> list[Line]:
    """The whole objects of a log."""
    found = []
    for line in log.read_bytes().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def delete(lines: Sequence[Line], chance: random.Random) -> tuple[list[Line], set[int]]:
    """Without one line; and its number."""
    at = chance.randrange(len(lines))
    return [*lines[:at], *lines[at + 1 :]], {number_of(lines[at])}


def swap(lines: Sequence[Line], chance: random.Random) -> tuple[list[Line], set[int]]:
    """Two lines in each other's place."""
    one, other = sorted(chance.sample(range(len(lines)), 2))
    swapped = list(lines)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    return swapped, {number_of(lines[one]), number_of(lines[other])}


def double(lines: Sequence[Line], chance: random.Random) -> tuple[list[Line], set[int]]:
    """A line at a second place."""
    at, again = chance.randrange(len(lines)), chance.randrange(len(lines) + 1)
    return [*lines[:again], lines[at], *lines[again:]], {number_of(lines[at])}


def truncate(lines: Sequence[Line], chance: random.Random) -> tuple[list[Line], set[int]]:
    """Without the last lines."""
    at = chance.randrange(1, len(lines))
    return list(lines[:at]), set(map(number_of, lines[at:]))


TAMPERINGS: tuple[Callable[[Sequence[Line], random.Random], tuple[list[Line], set[int]]], ...] = (
    delete,
    swap,
    double,
    truncate,
)


def number_of(line: Line) -> int:
    """Its place in the chain."""
    return int(line["chain"]["number"])


def environment_of(state: Path, key: Path) -> dict[str, str]:
    """The environment in which scripts sign."""
    return {"VV_STATE_DIR": str(state), "VV_HMAC_KEY_FILE": str(key), "VV_HMAC_KEYS_DIR": str(key.parent)}


def append(log: Path, lines: Iterable[Line]) -> None:
    """Write lines as a script does: one write each."""
    fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        for line in lines:
            os.write(fd, json.dumps(line).encode() + b"\n")
    finally:
        os.close(fd)
