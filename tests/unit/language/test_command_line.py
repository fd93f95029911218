"""The command line in the language of the shell."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.support.pseudo import forgotten, speaking_pseudo
from tests.support.states import device
from vv_exporter import cli
from vv_exporter.cli._language import CLICKS_WORDS, let_click_speak, translated
from vv_exporter.cli.footage import lines as footage_lines
from vv_exporter.cli.status import lines
from vv_exporter.footage.document import CameraFootage, Footage, Missing
from vv_exporter.footage.ledger import STEPS
from vv_exporter.language import speaking_everywhere
from vv_exporter.status import Known, status
from vv_exporter.web.guard import gather

PACKAGE = Path(cli.__file__).parents[1]
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


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for below in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), below)
            assert found is not None
            yield from commands(found, f"{name} {below}")


@contextmanager
def clicks_words() -> Iterator[None]:
    """Within the block click speaks our languages; after it its own words again."""
    before = [(module, dict(vars(module))) for name, module in sys.modules.items() if name.partition(".")[0] == "click"]
    let_click_speak()
    try:
        yield
    finally:
        for module, words in before:
            vars(module).update(words)


def test_what_every_command_says_of_itself_is_in_the_catalogue() -> None:
    with speaking_pseudo():
        said = {
            f"{name} {getattr(one, 'name', '')}": one.help
            for name, command in commands(translated(cli.vv), "vv")
            for one in (command, *(option for option in command.params if isinstance(option, click.Option)))
        }

    assert len(said) > 80
    assert {name: text for name, text in said.items() if not text or forgotten(text.replace("\b", ""), [])} == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "Erro: Não há o comando 'nothing'."),
        (["timeline", "--nothing"], "Erro: Não há a opção '--nothing'."),
        (["timeline", "--severity", "x"], "'x' não é nenhum de 'info', 'warning', 'error', 'critical'."),
        (["timeline", "--limit", "0"], "0 está fora da faixa 1<=x<=1000."),
        (["config", "render"], "Erro: Falta a opção '--out'."),
        (["get"], "Erro: Falta o argumento 'PATH'."),
        (["status", "more"], "Erro: Argumento a mais, inesperado (more)"),
    ],
)
def test_a_mistake_is_told_in_the_language_of_the_shell(words: list[str], said: str) -> None:
    with clicks_words(), speaking_everywhere("pt-BR"):
        answer = CliRunner().invoke(translated(cli.vv), words)

    assert answer.exit_code == 2
    assert said in answer.output
    assert answer.output.startswith("Uso: ")
    assert " --help'" in answer.output


def test_clicks_words_are_still_clicks() -> None:
    """A word that a later version says in another way would be English."""
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(click.__file__).parent.glob("*.py"))
    plain = {word.replace('"', '\\"') for word in CLICKS_WORDS}

    assert [word for word in plain if word.splitlines()[0] not in sources] == []


def test_english_is_as_it_was() -> None:
    assert translated(cli.vv) is cli.vv


SAYING = {"say", "echo", "ClickException", "UsageError", "BadParameter", "StackError", "Finding"}
TRANSLATED = {"_", "ngettext", "translatable"}


def sentences(node: ast.AST) -> Iterator[str]:
    """Texts of more than one word that are not looked up in the catalogue."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in TRANSLATED:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search("[a-z]{2,} [a-z]{2,}", node.value):
        yield node.value
    for below in ast.iter_child_nodes(node):
        yield from sentences(below)


@pytest.mark.parametrize("file", ["cli/*.py", "stack/up.py", "stack/demo.py", "installation/doctor.py"])
def test_what_commands_answer_is_in_the_catalogue(file: str) -> None:
    found = [
        f"{path.name}:{call.lineno}: {text}"
        for path in sorted(PACKAGE.glob(file))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and (getattr(call.func, "id", "") in SAYING or getattr(call.func, "attr", "") in SAYING)
        for argument in call.args[:2]  # a third is a command
        for text in sentences(argument)
        if not text.startswith("pip install")
    ]

    assert found == []


def test_what_is_said_of_a_cameras_footage_is_in_the_catalogue() -> None:
    missing = Missing(NOW - 90, NOW - 60, "dvr_down", "")
    camera = CameraFootage(
        dvr="gate",
        basis="recorded",
        due=NOW,
        expected_seconds=90.0,
        seconds=dict.fromkeys(STEPS, 60.0),
        missing_seconds=30.0,
        missing_by_cause={"dvr_down": 30.0},
        closed_seconds=2.0,
        latest={},
        missing=(missing,),
        left_out=1,
    )
    with speaking_pseudo():
        shown = "\n".join(footage_lines(Footage(NOW, NOW - 90, NOW, (camera,))))

    assert forgotten(shown, ["gate", "min"]) == []
    assert [step for step in STEPS if f"«{step}»" not in shown] == []
