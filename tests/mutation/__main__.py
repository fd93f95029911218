"""Whether the unit tests of the pure modules notice small changes of them: prints those that none notices.

python -m tests.mutation                                   200 at random, of all modules
python -m tests.mutation --module cron --count 1000000     every one of a module
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

from tests.mutation import harness
from tests.mutation.catalogue import MODULES
from tests.mutation.operators import Mutant, compiled, mutants
from tests.mutation.survivors import explained

LEAST_SHARE = 0.95


def every() -> list[Mutant]:
    """All mutants of all modules."""
    return [one for module in MODULES for one in mutants(module, (harness.EXPORTER / module).read_text())]


def sample(of: Sequence[Mutant], seed: str, count: int, modules: int = sys.maxsize) -> list[Mutant]:
    """So many at random, of so many modules. Which ones depends on the seed and on their own lines alone."""
    ranked = sorted(of, key=lambda one: hashlib.sha256(f"{seed} {one.identity}".encode()).digest())
    chosen = list(dict.fromkeys(one.module for one in ranked))[:modules]
    return [one for one in ranked if one.module in chosen][:count]


class Result(NamedTuple):
    """A module's mutants that no test noticed, how many were tried, and with how many tests."""

    module: str
    left: list[Mutant]
    tried: int
    tests: int


def try_module(some: Sequence[Mutant]) -> Result:
    """Show the mutants of one module to its tests."""
    module = some[0].module
    path = harness.EXPORTER / module
    source = path.read_text()
    unchanged = harness.measure(path, MODULES[module])
    left = []
    for mutant in some:
        tests = unchanged.tests_of(mutant.first, mutant.last)
        if not harness.is_noticed(path, compiled(source, mutant.number, str(path)), tests, unchanged):
            left.append(mutant)
    return Result(module, left, len(some), len(unchanged.seconds))


def by_module(chosen: Sequence[Mutant]) -> list[list[Mutant]]:
    """The mutants of each module, most first."""
    found: dict[str, list[Mutant]] = {}
    for mutant in chosen:
        found.setdefault(mutant.module, []).append(mutant)
    return sorted(found.values(), key=len, reverse=True)


def main() -> int:
    """Exit code 1 when too few of the mutants were noticed, of those that are not explained in `survivors.toml`."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--seed", default=time.strftime("%Y%m%d"), help="repeats a run (default: the day)")
    parser.add_argument("--count", type=int, default=200, help="how many mutants (default: 200)")
    parser.add_argument("--module", action="append", default=[], help="only those whose path has this in it")
    parser.add_argument("--modules", type=int, default=sys.maxsize, help="of so many modules (default: all)")
    parser.add_argument("--least", type=float, default=LEAST_SHARE, help="the share that must be noticed (0.95)")
    parser.add_argument("--jobs", type=int, default=1, help="how many modules at the same time (default: 1)")
    given = parser.parse_args()
    of = [one for one in every() if not given.module or any(part in one.module for part in given.module)]
    chosen = sample(of, given.seed, given.count, given.modules)
    print(f"seed {given.seed}: {len(chosen)} of {len(of)} mutants", flush=True)
    reasons = explained()
    left = excused = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        harness.preload(cache)
        with multiprocessing.get_context("fork").Pool(given.jobs) as pool:
            for result in pool.imap_unordered(try_module, by_module(chosen)):
                print(f"{result.module}: {result.tried} mutants, {result.tests} tests", flush=True)
                for mutant in result.left:
                    if mutant.identity in reasons:
                        excused += 1
                    else:
                        left += 1
                        print(f"  not noticed, line {mutant.first}: {mutant.place}: {mutant.change}", flush=True)
    counted = len(chosen) - excused
    share = 1 - left / counted if counted else 1.0
    print(f"{counted - left} of {counted} noticed ({share:.1%}); {excused} more change nothing, and are explained")
    return 0 if share >= given.least else 1


if __name__ == "__main__":
    sys.exit(main())
