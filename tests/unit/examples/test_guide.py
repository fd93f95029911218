"""What docs/instrument-a-script.md shows of the example pipeline is its code."""

import re
from pathlib import Path

import pytest

from tests.unit.examples.conftest import PIPELINE

GUIDE = Path(__file__).parents[3] / "docs" / "instrument-a-script.md"
SHOWN = re.findall(r"```python (\S+)\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.mark.parametrize(("script", "code"), SHOWN, ids=[script for script, _ in SHOWN])
def test_what_the_guide_shows_is_the_script(script: str, code: str) -> None:
    assert code in (PIPELINE / script).read_text()


def test_the_guide_shows_the_structure_of_stages_and_orchestrator() -> None:
    assert {"scan_video.py", "orchestrator.py", "logline_generator.py"} <= {script for script, _ in SHOWN}
