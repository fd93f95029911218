"""What the Engine answers the Docker proxy: filtered, or refused as not understood."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Sequence

from tests.fuzz.mutators import mutate_json
from tests.fuzz.targets.docker import EVENT, INFO, INSPECTION, LIST, STATS, documents
from vv_exporter.docker_proxy import filters
from vv_exporter.docker_proxy.policy import policy_only

SECRET = "PASSWORD=hunter2"
KEPT = (filters.INSPECTION, filters.LISTED, filters.INFO, filters.STATS, filters.NETWORK)


class ProxyAnswers:
    """The filters."""

    batch = 500

    def seeds(self) -> Sequence[bytes]:
        return [*documents(), b'{"RestartPolicy":{"Name":"no","MaximumRetryCount":0}}']

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        return mutate_json(rng, seed, seeds)

    def feed(self, data: bytes) -> None:
        policy_only(data)
        with contextlib.suppress(ValueError):
            filters.body(KEPT[len(data) % len(KEPT)])(data)
        line = filters.event(data)
        assert line.count(b"\n") == 1, "one event became several lines"

    def prove(self) -> None:
        with_secret = json.loads(INSPECTION) | {"Config": {"Env": [SECRET], "Image": "a", "Labels": {"x": SECRET}}}
        shown = filters.body(filters.INSPECTION)(json.dumps(with_secret).encode())
        assert SECRET.encode() not in shown, "a secret was passed on"
        assert json.loads(shown)["State"]["Status"] == "running"
        for document, kept in ((LIST, filters.LISTED), (INFO, filters.INFO), (STATS, filters.STATS)):
            assert json.loads(filters.body(kept)(document))
        assert json.loads(filters.event(EVENT))["Action"] == "die"

    def close(self) -> None:
        pass


def build() -> ProxyAnswers:
    """Make it."""
    return ProxyAnswers()
