"""Whether the unit tests of the pure modules notice small changes of them: prints those that none notices.

python -m tests.mutation                                   200 at random, of all modules
python -m tests.mutation --module cron --count 1000000     every one of a module
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from tests.mutation import harness
from tests.mutation.catalogue import MODULES
from tests.mutation.operators import Mutant, compiled, mutants
from tests.mutation.survivors import explained

LEAST_SHARE = 0.95


def every() -> list[Mutant]:
    """All mutants of all modules."""
    return [one for module in MODULES for one in mutants(module, (harness.EXPORTER / module).read_text())]


def sample(of: Sequence[Mutant], seed: str, count: int) -> list[Mutant]:
    """So many at random. Which ones depends on the seed and on their own lines alone."""
    return sorted(of, key=lambda one: hashlib.sha256(f"{seed} {one.identity}".encode()).digest())[:count]


def unnoticed(chosen: Sequence[Mutant]) -> Iterator[tuple[Mutant, bool]]:
    """Each mutant, and whether no test notices it; module by module."""
    by_module: dict[str, list[Mutant]] = {}
    for mutant in chosen:
        by_module.setdefault(mutant.module, []).append(mutant)
    for module, some in by_module.items():
        path = harness.EXPORTER / module
        source = path.read_text()
        unchanged = harness.measure(path, MODULES[module])
        for mutant in some:
            tests = unchanged.tests_of(mutant.first, mutant.last)
            code = compiled(source, mutant.number, str(path))
            yield mutant, not harness.is_noticed(path, code, tests, unchanged)


def main() -> int:
    """Exit code 1 when too few of the mutants that are not explained were noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--seed", default=time.strftime("%Y%m%d"), help="repeats a run (default: the day)")
    parser.add_argument("--count", type=int, default=200, help="how many mutants (default: 200)")
    parser.add_argument("--module", action="append", default=[], help="only those whose path has this in it")
    given = parser.parse_args()
    of = [one for one in every() if not given.module or any(part in one.module for part in given.module)]
    chosen = sample(of, given.seed, given.count)
    print(f"seed {given.seed}: {len(chosen)} of {len(of)} mutants", flush=True)
    reasons = explained()
    left = excused = 0
    with tempfile.TemporaryDirectory() as cache:
        harness.preload(cache)
        for mutant, is_left in unnoticed(chosen):
            if is_left and mutant.identity in reasons:
                excused += 1
            elif is_left:
                left += 1
                print(f"not noticed: {mutant.module}:{mutant.first} {mutant.place}: {mutant.change}", flush=True)
    counted = len(chosen) - excused
    share = 1 - left / counted if counted else 1.0
    print(f"{counted - left} of {counted} noticed ({share:.1%}); {excused} more change nothing, and are explained")
    return 0 if share >= LEAST_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
