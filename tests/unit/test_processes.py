"""Whose process a number is: nobody is told to end another one."""

from __future__ import annotations

import pytest

from vv_exporter.processes import OF_THE_MACHINE, Process, found_as, own_space, spaces_of_machine

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
