"""An Engine that says one thing that is not understood: that container is left as it was, all others are followed."""

import json
from collections.abc import Iterator

import pytest

from tests.fuzz.targets.docker import ENTRY, VICTIM, Docker, happened, inspected
from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import GONE


@pytest.fixture
def docker() -> Iterator[Docker]:
    made = Docker()
    yield made
    made.close()


def said(**state: object) -> bytes:
    document = inspected(VICTIM, "victim")
    document["State"] |= state
    return b"inspection\n" + json.dumps(document).encode()


@pytest.mark.parametrize(
    "document",
    [
        b"inspection\n",
        b"inspection\n" + b"[" * 100_000,
        said(ExitCode=2**70),
        said(StartedAt="2026-01-31"),
        said(Status={}),
        b'entry\n{"Id": 7}',
        b"entry\nnull",
        b"entry\n" + ENTRY.replace(b'"/victim"', b"7"),
        b"entry\n" + ENTRY.replace(b'"/victim"', b'"/\\ud800"'),
        b"entry\n" + ENTRY.replace(b'"/victim"', b'"/vic\xff"'),
        b'entry\n{"Id":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"event\n" + b"[" * 100_000,
        b"event\n" + json.dumps(happened(VICTIM, "victim", "die", 2**70)).encode(),
        b"event\n" + json.dumps(happened(VICTIM, "victim", "die", SECOND, exitCode="x")).encode(),
        b"event\n" + json.dumps(happened(VICTIM, "victim", "kill", SECOND, signal="\u00b2")).encode(),
    ],
)
def test_the_others_are_followed(docker: Docker, document: bytes) -> None:
    docker.feed(document)
    docker.prove()

    victim = docker.record("victim")
    assert victim is not None
    assert victim.state != GONE
