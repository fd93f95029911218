"""A slice of the fuzzing: what once broke a target, and new inputs for as long as there is time.

In CI the targets share two minutes, elsewhere a few seconds each are enough to see that all of it works. The seed is
the day's, so that a failure can be repeated and no two days are the same.
"""

import datetime
import os
import subprocess
import sys

import pytest

from tests.fuzz import engine

SECONDS_IN_CI = 120.0
SECONDS = 30.0
LIMIT = 200  # seconds for a target that finds something, which then is made smaller


def seed() -> str:
    return os.environ.get("FUZZ_SEED") or datetime.datetime.now(datetime.UTC).strftime("%Y%m%d")


@pytest.mark.timeout(2 * LIMIT)
@pytest.mark.parametrize("target", engine.names())
def test_a_critical_alert_arrives_whatever_is_written(target: str) -> None:
    seconds = (SECONDS_IN_CI if os.environ.get("CI") else SECONDS) / len(engine.names())
    command = ["-m", "tests.fuzz", "--target", target, "--seconds", str(seconds), "--seed", seed()]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=LIMIT)
    print(done.stdout)

    assert done.returncode == 0, f"python {' '.join(command)}\n{done.stdout[-6_000:]}{done.stderr[-2_000:]}"


def test_a_seed_repeats_a_run() -> None:
    target = engine.build("proxy_requests")
    seeds = target.seeds()
    runs = []
    for _ in range(2):
        rng = engine.random_of("proxy_requests", 7)
        runs.append([target.mutate(rng, rng.choice(seeds), seeds) for _ in range(200)])

    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 150


def test_what_breaks_a_batch_is_found_in_it_and_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fragile:
        batch = 10

        def seeds(self) -> list[bytes]:
            return [b"some text with a BUG in it"]

        def mutate(self, rng: object, seed: bytes, seeds: object) -> bytes:
            return seed

        def feed(self, data: bytes) -> None:
            assert b"BUG" not in data, "a bug"

        def prove(self) -> None: ...
        def close(self) -> None: ...

    monkeypatch.setattr(engine, "build", lambda name: Fragile())
    result = engine.fuzz("fragile", 5.0, 1)

    assert len(result.failures) == engine.MAX_FAILURES
    assert {tuple(failure.inputs) for failure in result.failures} == {(b"BUG",)}
