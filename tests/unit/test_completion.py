"""Completion in shells: what `vv completion` prints, and what the shells then ask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from vv_exporter.cli import vv

BIN = Path(sys.executable).parent
ENVIRON = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
SHELLS = ("bash", "zsh", "fish")


def run(*command: str, **environ: str) -> str:
    done = subprocess.run(command, env=ENVIRON | environ, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout


def test_bash_completes_commands_and_options() -> None:
    ask = (
        'eval "$(vv completion bash)"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _vv_completion vv; echo "${COMPREPLY[@]}"'
    )

    assert run("bash", "-c", f"COMP_WORDS=(vv sta); {ask}").split() == ["status"]
    assert run("bash", "-c", f"COMP_WORDS=(vv timeline --severity ''); {ask}").split() == [
        "info",
        "warning",
        "error",
        "critical",
    ]
    assert "--watch" in run("bash", "-c", f"COMP_WORDS=(vv status --w); {ask}").split()


@pytest.mark.parametrize(
    ("shell", "words"),
    [("zsh", {"COMP_WORDS": "vv sta", "COMP_CWORD": "1"}), ("fish", {"COMP_WORDS": "vv sta", "COMP_CWORD": "sta"})],
)
def test_the_others_are_answered_with_help(shell: str, words: dict[str, str]) -> None:
    answer = run("vv", _VV_COMPLETE=f"{shell}_complete", **words)

    assert "status" in answer
    assert "Show the device's state" in answer


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shells_script_is_made_for_vv(shell: str) -> None:
    script = run("vv", "completion", shell)

    assert f"_VV_COMPLETE={shell}_complete" in script


def test_another_shell_is_wrong_use_and_the_known_ones_are_named() -> None:
    result = CliRunner().invoke(vv, ["completion", "csh"])

    assert result.exit_code == 2
    assert all(shell in result.output for shell in SHELLS)
