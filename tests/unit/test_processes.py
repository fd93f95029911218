"""Whose process a number is: nobody is told to end another one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vv_exporter.common.processes import OF_THE_MACHINE, Process, found_as, own_space, spaces_of_machine
from vv_exporter.journal.events import WriterStarted, decode

OURS = 4026531999  # a device that is a container as a whole has a namespace of its own


@pytest.mark.parametrize(
    ("process", "shown"),
    [
        (Process(4711, OF_THE_MACHINE, "box"), ("4711", "")),
        (Process(4711, OURS, "box"), ("4711", "")),
        (Process(7, 4026532280, "6f1e0d2c4b5a"), ("7", "6f1e0d2c4b5a")),
        # an older SDK, or another writer, that does not say in which namespace; one that says nothing
        (Process(7, 0, "6f1e0d2c4b5a"), ("", "")),
        (Process(), ("", "")),
        # what would do something else in a shell
        (Process(7, 4026532280, "x; reboot"), ("", "")),
        (Process(7, 4026532280, "--help"), ("", "")),
        (Process(7, 4026532280, "x\n"), ("", "")),
        (Process(7, 4026532280, ""), ("", "")),
    ],
)
def test_a_number_is_shown_with_its_container_or_not_at_all(process: Process, shown: tuple[str, str]) -> None:
    assert found_as(process, {OF_THE_MACHINE, OURS}) == shown


def test_the_machines_namespace_is_always_among_those_of_the_machine() -> None:
    assert OF_THE_MACHINE in spaces_of_machine()
    assert own_space() > 0


def test_a_script_in_a_namespace_of_its_own_is_not_taken_for_a_process_of_the_machine(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a PID namespace needs root")
    script = "from vv_core.jobs import heartbeat; heartbeat('backup', component='backup.py')"
    command = ["unshare", "--fork", "--pid", "--mount-proc", "--uts", "sh", "-c", 'hostname boxed; "$@"; true', "sh"]
    environ = os.environ | {"VV_STATE_DIR": str(tmp_path), "VV_DEVICE_ID": "edge-1"}
    subprocess.run([*command, sys.executable, "-c", script], env=environ, check=True, timeout=60)
    (file,) = tmp_path.rglob("*.jsonl")
    header = decode(file.read_bytes().splitlines()[0])

    assert isinstance(header, WriterStarted)
    assert header.process.pid < 20
    assert found_as(header.process, spaces_of_machine()) == (str(header.process.pid), "boxed")
