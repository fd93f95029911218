"""Each small change of a rule makes one of its unit tests fail."""

from pathlib import Path

import pytest
from tests.rules.mutate import RULES, Mutant, is_noticed, survivors
from tests.support.servers import Programs


@pytest.mark.prometheus
@pytest.mark.timeout(2700)
@pytest.mark.parametrize("file", sorted(RULES.glob("*.yml")), ids=lambda path: path.stem)
def test_every_change_of_a_rule_is_noticed(file: Path, programs: Programs) -> None:
    left, tried = survivors(file, programs.promtool)

    assert tried > 0
    assert left == []


@pytest.mark.prometheus
@pytest.mark.parametrize("file", sorted(RULES.glob("*.yml")), ids=lambda path: path.stem)
def test_unchanged_rules_are_not_noticed(file: Path, programs: Programs) -> None:
    unchanged = Mutant("", "nothing", file.read_text())

    assert not is_noticed(unchanged, file, programs.promtool)
