"""Each small change of a rule makes one of its unit tests fail."""

from pathlib import Path

import pytest
from tests.rules.catalogue import RULES
from tests.rules.mutate import noticed, proofs, survivors
from tests.support.servers import Programs

pytestmark = [pytest.mark.prometheus, pytest.mark.first]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("file", RULES, ids=lambda path: path.stem)
def test_every_change_of_a_rule_is_noticed(file: Path, programs: Programs) -> None:
    left, tried = survivors(file, programs.promtool)

    assert tried > 0
    assert left == []


@pytest.mark.parametrize("file", RULES, ids=lambda path: path.stem)
def test_unchanged_rules_are_not_noticed(file: Path, programs: Programs) -> None:
    quickest = proofs(file)[0]

    assert noticed([file.read_text()] * 2, [quickest] * 2, file, programs.promtool) == [False, False]
