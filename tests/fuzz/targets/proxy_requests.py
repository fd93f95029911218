"""What the Docker proxy's clients say: understood in one way, or refused."""

from __future__ import annotations

import random
from collections.abc import Sequence
from urllib.parse import urlencode

from tests.fuzz.mutators import mutate_bytes, mutate_lines
from vv_exporter.docker_proxy.policy import ACT, READ
from vv_exporter.docker_proxy.request import BadRequestError, parse

SEEDS = [
    b"GET /v1.41/containers/json?all=1 HTTP/1.1\r\nHost: docker\r\nAccept: */*\r\nConnection: keep-alive",
    b"GET /v1.41/containers/" + b"a" * 64 + b"/json HTTP/1.1\r\nHost: docker",
    b"GET /_ping HTTP/1.0",
    b"GET /v1.44/events?since=1.5&filters=%7B%22type%22%3A%5B%22container%22%5D%7D HTTP/1.1\r\nHost: x",
    b"POST /v1.41/containers/"
    + b"b" * 64
    + b"/update HTTP/1.1\r\nContent-Length: 57\r\nContent-Type: application/json",
    b"POST /containers/" + b"c" * 64 + b"/restart HTTP/1.1\r\nContent-Length: 0\r\nUser-Agent: docker-sdk-python",
    b"GET /v1.41/containers/" + b"d" * 64 + b"/logs?stdout=1&stderr=1&follow=0&tail=5 HTTP/1.1\r\nHost: x",
    b"DELETE /containers/" + b"e" * 64 + b"?force=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nUpgrade: tcp",
]


class ProxyRequests:
    """The parser, and the rules that would allow it."""

    batch = 1_000

    def seeds(self) -> Sequence[bytes]:
        return SEEDS

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        return (mutate_bytes if rng.random() < 0.7 else mutate_lines)(rng, seed, seeds)

    def feed(self, data: bytes) -> None:
        try:
            request = parse(data)
        except BadRequestError:
            return
        target = request.version + request.path + (f"?{urlencode(request.query)}" if request.query else "")
        again = parse(f"{request.method} {target} HTTP/1.1".encode())
        assert again[:4] == request[:4], "what is passed on is read in another way"
        for rule in (*READ, *ACT):
            if rule.allows(request):
                assert ".." not in request.path, "a way up"
                rule.body(data)

    def prove(self) -> None:
        for seed in SEEDS[:-1]:
            assert parse(seed).path, "a good request is not understood any more"

    def close(self) -> None:
        pass


def build() -> ProxyRequests:
    """Make it."""
    return ProxyRequests()
