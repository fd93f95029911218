"""`python -m tests.fuzz`: how many inputs each target took, and what broke one, with a reproducer."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

from tests.fuzz import engine


def main() -> int:
    """Exit code 1 when something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="for all targets together (default: 120)")
    parser.add_argument("--inputs", type=int, default=sys.maxsize, help="at most so many a target")
    parser.add_argument("--target", action="append", choices=engine.names(), help="this one only; may be repeated")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run (default: the time)")
    parser.add_argument("--finds", type=Path, default=Path(".vv/fuzz"), help="where reproducers go")
    parser.add_argument("--replay", type=Path, help="feed this file, and nothing else, to --target")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    targets = given.target or engine.names()
    if given.replay:
        problem = engine.alone(targets[0], [given.replay.read_bytes()])
        print(problem or "nothing is wrong")
        return 1 if problem else 0
    print(f"seed {given.seed}", flush=True)
    failed = False
    for name in targets:
        result = engine.fuzz(name, given.seconds / len(targets), given.seed, given.inputs)
        print(result, flush=True)
        for failure in result.failures:
            failed = True
            print(f"--- {name}: {engine.save(given.finds, failure)}\n{failure.inputs[0][:300]!r}\n{failure.problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
