"""Requests to the exporter's pages: paths, parameters and headers of any kind; none is a 500, none takes long."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.fuzz.mutators import PIECES, evil, mutate_bytes, mutate_lines
from tests.fuzz.targets._device import Device

TIMES = (
    "1h",
    "24h",
    "1700000000",
    "1700000000.5",
    "2023-11-14T22:13:20Z",
    "now",
    "-1",
    "999999999999",
    "1e9",
    "nan",
    "inf",
)
QUERIES = (
    "/timeline?since={}&until={}&severity=error&component=scan.py&video=a.mp4&limit=10",
    "/timeline?at={}&component=scan.py",
    "/timeline?around={}&severity=critical&before={}_7",
    "/api/v1/timeline?since={}&until={}&limit=5&component=x",
    "/api/v1/timeline?before={}_1&since={}",
    "/api/v1/digest?since={}&until={}",
    "/?theme={}&{}",
    "/api/v1/status?{}",
    "/metrics?{}",
    "/-/healthy",
    "/-/ready",
    "/static/style.css",
)
HEADERS = (
    b"Accept: application/openmetrics-text; version=1.0.0; escaping=allow-utf-8, text/plain;version=0.0.4;q=0.5",
    b"Accept-Encoding: gzip, br;q=0.1, *;q=0",
    b"X-Prometheus-Scrape-Timeout-Seconds: 9.5",
    b"Authorization: Basic dXNlcjpwYXNz",
    b"Authorization: Bearer abc",
    b"Host: localhost:19461",
    b"Cookie: theme=dark; a=b",
    b'If-None-Match: "abc"',
    b"If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT",
    b"Range: bytes=0-5",
    b"Accept-Language: de;q=0.5",
    b"Content-Type: application/x-www-form-urlencoded; charset=utf-7",
    b"X-Forwarded-For: 10.0.0.1",
)


class Routes:
    """An input is a request line and headers."""

    batch = 25

    def __init__(self) -> None:
        self._device = Device()
        self._device.fill()

    def seeds(self) -> Sequence[bytes]:
        targets = [query.format(one, other) for query in QUERIES for one, other in zip(TIMES, TIMES[3:], strict=False)]
        seeds = [b"\n".join((b"GET " + target.encode(), *HEADERS[:3])) for target in dict.fromkeys(targets)]
        return [*seeds, b"\n".join((b"POST /api/v1/alertmanager", *HEADERS)), b"HEAD /metrics", b"OPTIONS *"]

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        line, *headers = seed.split(b"\n")
        for _ in range(rng.choice((1, 1, 2))):
            names = [place for place, byte in enumerate(line) if byte in b"=?&/_"] or [0]
            place = rng.choice(names) + 1
            value = rng.choice((evil(rng).strip(b'"')[:2_000], rng.choice(PIECES), rng.choice(TIMES).encode()))
            end = next((at for at in range(place, len(line)) if line[at] in b"&_"), len(line))
            line = line[:place] + value + (line[end:] if rng.random() < 0.8 else line[place:])
        if rng.random() < 0.3:
            headers.append(mutate_lines(rng, rng.choice(HEADERS), HEADERS))
        if rng.random() < 0.1:
            line = mutate_bytes(rng, line, [])
        return b"\n".join((line.replace(b"\n", b""), *headers))

    def feed(self, data: bytes) -> None:
        line, *headers = data.decode("latin-1").split("\n")
        method, _, target = line.partition(" ")
        named = {name: value.strip() for name, _, value in (one.partition(":") for one in headers) if name}
        status, body = self._device.ask(method or "GET", target, named)
        assert status < 500 or status == 503, f"answered with {status}: {body[:300]!r}"

    def prove(self) -> None:
        for target in ("/timeline", "/api/v1/timeline?limit=5", "/metrics"):
            status, body = self._device.ask("GET", target)
            assert status == 200, f"{target} is answered with {status}: {body[:300]!r}"
        self._device.prove()

    def close(self) -> None:
        self._device.close()


def build() -> Routes:
    """Make it."""
    return Routes()
