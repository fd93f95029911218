"""The command line in the language of the shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pseudo import forgotten, speaking_pseudo
from tests.support.states import device
from vv_exporter.cli.status import lines
from vv_exporter.status import Known, status
from vv_exporter.web.guard import gather

NOW = 1_795_762_800.0


def vv(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    plain = {name: text for name, text in os.environ.items() if not name.startswith(("LC_", "LANG", "VV_"))}
    return subprocess.run(
        [sys.executable, "-m", "vv_exporter", *words],
        env={**plain, "VV_STATE_DIR": str(folder), **environ}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"LC_ALL": "pt_BR.UTF-8"}, "o exporter não responde em"),
        ({"LANG": "pt_PT.UTF-8"}, "o exporter não responde em"),
        ({"LANG": "C.UTF-8"}, "the exporter does not answer at"),
        ({"LC_ALL": "C.UTF-8", "VV_LANGUAGE": "pt-BR"}, "the exporter does not answer at"),
    ],
)
def test_it_answers_in_the_language_of_the_shell(tmp_path: Path, environ: dict[str, str], said: str) -> None:
    answer = vv(tmp_path, "status", "--url", "http://127.0.0.1:1", **environ)

    assert answer.returncode == 1
    assert answer.stderr.startswith(f"vv: {said}")


@pytest.mark.parametrize("broken", [False, True])
def test_every_word_of_the_verdict_is_in_the_catalogue(broken: bool) -> None:
    families = gather(device(NOW, broken=broken), 60.0)
    with speaking_pseudo():
        first = lines(status(families, Known(), "edge-7", NOW))[0]

    assert forgotten(first, ["edge-7"]) == []
