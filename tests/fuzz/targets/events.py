"""Lines of the journal, as the reader decodes them: an event, or a reason for which it is none."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from tests.fuzz.mutators import mutate_json
from tests.fuzz.targets.journal import EVENTS
from vv_exporter.journal.events import RejectedError, decode


class Events:
    """The decoder alone: by far the most inputs."""

    batch = 2_000

    def __init__(self) -> None:
        self._reasons: set[str] = set()

    def seeds(self) -> Sequence[bytes]:
        return EVENTS

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        return mutate_json(rng, seed, seeds)

    def feed(self, data: bytes) -> None:
        try:
            event = decode(data)
        except RejectedError as error:
            self._reasons.add(error.reason)
            return
        msgspec.json.encode(event)  # what is kept of it can be kept

    def prove(self) -> None:
        assert all(reason.replace("_", "").isalpha() and len(reason) < 20 for reason in self._reasons), "a free label"
        for event in EVENTS:
            decode(event)

    def close(self) -> None:
        pass


def build() -> Events:
    """Make it."""
    return Events()
