"""Each small change of a rule makes one of its unit tests fail.

A seventh of them a day, all in a week (FUZZ_SEED=0 to 6): all take 20 minutes of two cores (`make mutants-rules`).
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.rules.catalogue import RULES
from tests.rules.mutate import mutants, noticed, proofs, survivors
from tests.support.servers import Programs

pytestmark = pytest.mark.prometheus

PARTS = 7
PART = int(os.environ.get("FUZZ_SEED") or datetime.now(UTC).strftime("%Y%m%d")) % PARTS


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("file", RULES, ids=lambda path: path.stem)
def test_every_change_of_a_rule_is_noticed(file: Path, programs: Programs) -> None:
    left, tried = survivors(file, programs.promtool, PART, PARTS)

    assert tried > 0
    assert left == []


@pytest.mark.parametrize("file", RULES, ids=lambda path: path.stem)
def test_every_change_is_in_one_part(file: Path) -> None:
    every = [mutant.change for mutant in mutants(file)]
    parts = [every[part::PARTS] for part in range(PARTS)]

    assert sorted(change for part in parts for change in part) == sorted(every)
    assert all(parts)


@pytest.mark.parametrize("file", RULES, ids=lambda path: path.stem)
def test_unchanged_rules_are_not_noticed(file: Path, programs: Programs) -> None:
    quickest = proofs(file)[0]

    assert noticed([file.read_text()] * 2, [quickest] * 2, file, programs.promtool) == [False, False]
