"""Where everything is required (CI), a test that would be skipped fails: a green run then means that all ran."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPPING = {
    "a test": "import pytest\ndef test_it(): pytest.skip('no engine')\n",
    "a fixture": "import pytest\n@pytest.fixture\ndef engine(): pytest.skip('no engine')\ndef test_it(engine): pass\n",
    "a mark": "import pytest\n@pytest.mark.skip(reason='no engine')\ndef test_it(): pass\n",
    "a module": "import pytest\npytest.skip('no engine', allow_module_level=True)\n",
}
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\ndef test_other(): pass\n"


def run(folder: Path, content: str, **environment: str) -> subprocess.CompletedProcess[str]:
    test = folder / "test_it.py"
    test.write_text(content)
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "VV_REQUIRE_ALL")}
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", "/dev/null", "-rs", str(test)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=kept | environment, timeout=60
    )


@pytest.mark.parametrize("content", SKIPPING.values(), ids=SKIPPING.keys())
@pytest.mark.parametrize("variable", ["CI", "VV_REQUIRE_ALL"])
@pytest.mark.exhaustive
def test_a_skip_fails_where_all_is_required(tmp_path: Path, content: str, variable: str) -> None:
    done = run(tmp_path, content, **{variable: "true"})

    assert done.returncode not in (0, 5), done.stdout
    assert "nothing may be skipped here" in done.stdout
    assert "no engine" in done.stdout


@pytest.mark.parametrize("content", SKIPPING.values(), ids=SKIPPING.keys())
@pytest.mark.exhaustive
def test_a_skip_is_told_elsewhere(tmp_path: Path, content: str) -> None:
    done = run(tmp_path, content)

    assert done.returncode in (0, 5), done.stdout
    assert "1 skipped" in done.stdout
    assert "no engine" in done.stdout


@pytest.mark.exhaustive
def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    assert run(tmp_path, EXPECTED_FAILURE, CI="true").returncode == 0
