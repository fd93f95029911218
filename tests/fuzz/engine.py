"""The loop: seeds are mutated, fed to a target in batches, and after each batch the target proves that it lives.

What breaks a batch is looked for in it: first each input alone, then ever smaller halves; then it is shortened.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import importlib
import pkgutil
import random
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

from tests.fuzz import targets

CORPUS = Path(__file__).with_name("corpus")
PATIENCE = 20.0  # seconds that a batch, with the proof after it, may take on a busy machine
SLOW = 5.0  # seconds of processor that a batch may take
MAX_MEMORY = 4 << 30  # bytes: what reads without a bound is to fail, not to take the machine
MAX_FAILURES = 3  # of a target, then it is left
SHORTENING = 60  # tries


class Target(Protocol):
    """One way in. It is made anew now and then, and after each failure."""

    batch: int
    """Inputs between two proofs."""

    def seeds(self) -> Sequence[bytes]:
        """What to begin with, beside the files of the corpus."""
        ...

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        """An input made of a seed."""
        ...

    def feed(self, data: bytes) -> None:
        """Hand over one input. Raises whatever escapes from the product, and `AssertionError`."""
        ...

    def prove(self) -> None:
        """All that was fed has been worked off, and a CRITICAL alert arrives. Raises what is wrong."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class HungError(Exception):
    """Something took too long."""


@dataclass
class Failure:
    """What broke a target, and how."""

    target: str
    inputs: list[bytes]
    problem: str

    def reproducer(self) -> bytes:
        """The input, or all of them with a line of their lengths before."""
        return self.inputs[0] if len(self.inputs) == 1 else b"\n".join(self.inputs)


@dataclass
class Result:
    """What was done to a target."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    def __str__(self) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0.0
        return f"{self.target:14} {self.inputs:10,} inputs {rate:10,.0f}/s {len(self.failures):3} failures"


def names() -> list[str]:
    """All targets: the modules of `targets/`."""
    return sorted(module.name for module in pkgutil.iter_modules(targets.__path__) if not module.name.startswith("_"))


def build(name: str) -> Target:
    """Make a target."""
    target: Target = importlib.import_module(f"{targets.__name__}.{name}").build()
    return target


def corpus(name: str) -> list[bytes]:
    """The files of a target's corpus: real inputs, and what once broke it."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*")) if path.is_file()]


def random_of(name: str, seed: int) -> random.Random:
    """What decides about a target's inputs."""
    return random.Random(f"{name}-{seed}")


def fuzz(name: str, seconds: float, seed: int, limit: int = sys.maxsize) -> Result:
    """Feed a target for so long, or until so many inputs; the corpus goes first, as it is."""
    rng = random_of(name, seed)
    threading.stack_size(1 << 20)  # collectors have a thread for life, and devices are made anew again and again
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, before[1]))
    try:
        return _fuzzed(name, seconds, rng, limit)
    finally:
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_DATA, before)
        threading.stack_size(0)


def _fuzzed(name: str, seconds: float, rng: random.Random, limit: int) -> Result:
    result = Result(name)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        target = build(name)
        stack.callback(lambda: target.close())
        seeds = [*target.seeds(), *corpus(name)]
        waiting = list(seeds)
        while (time.monotonic() - began < seconds or waiting) and result.inputs < limit:
            batch, waiting = waiting[: target.batch], waiting[target.batch :]
            while len(batch) < target.batch:
                batch.append(target.mutate(rng, rng.choice(seeds), seeds))
            problem = _problem(target, batch)
            result.inputs += len(batch)
            if not problem:
                continue
            target.close()
            result.failures.append(_narrowed(name, batch, problem))
            if len(result.failures) >= MAX_FAILURES:
                break
            target = build(name)
    result.seconds = time.monotonic() - began
    return result


def _problem(target: Target, batch: Sequence[bytes]) -> str:
    """What goes wrong with these inputs, "" if nothing does."""
    try:
        with _alarm():
            used = time.process_time()
            for data in batch:
                target.feed(data)
            target.prove()
            used = time.process_time() - used
            if used > SLOW:
                raise HungError(f"{used:.1f} s of processor were used")
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {frame.filename}:{frame.lineno}\n{traceback.format_exc(limit=-8)}"
    return ""


def alone(name: str, batch: Sequence[bytes]) -> str:
    """What goes wrong with these inputs and a new target."""
    try:
        target = build(name)
    except Exception:  # no room for another one, after so many: what was found stays as long as it is
        return ""
    try:
        return _problem(target, batch)
    finally:
        target.close()


def _narrowed(name: str, batch: list[bytes], problem: str) -> Failure:
    for data in batch:
        if found := alone(name, [data]):
            return Failure(name, [_shortened(name, data, found)], found)
    while len(batch) > 1:
        half = len(batch) // 2
        for part in (batch[:half], batch[half:]):
            if found := alone(name, part):
                batch, problem = part, found
                break
        else:
            break
    return Failure(name, batch, problem)


def _shortened(name: str, data: bytes, problem: str) -> bytes:
    """A shorter input that makes the same problem."""
    end = time.monotonic() + PATIENCE
    wanted, tries, step = _kind(problem), 0, max(len(data) // 2, 1)
    while step and tries < SHORTENING and time.monotonic() < end:
        place, shorter = 0, False
        while place < len(data) and tries < SHORTENING and time.monotonic() < end:
            candidate = data[:place] + data[place + step :]
            tries += 1
            if _kind(alone(name, [candidate])) == wanted:
                data, shorter = candidate, True
            else:
                place += step
        if not shorter:
            step //= 2
    return data


def _kind(problem: str) -> str:
    """What makes two problems the same: the exception and where it was raised."""
    return problem.partition("\n")[0]


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise HungError(f"no end within {PATIENCE:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    _watch_from_outside()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


_watched = [0.0]


def _watch_from_outside() -> None:
    """End the process with a traceback if it hangs in code that hears no signal."""
    if time.monotonic() - _watched[0] > PATIENCE:
        faulthandler.dump_traceback_later(6 * PATIENCE, exit=True)
        _watched[0] = time.monotonic()


def save(folder: Path, failure: Failure) -> Path:
    """Write the reproducer into a folder; what it is named by is its content."""
    data = failure.reproducer()
    path = folder / failure.target / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
