"""Hostile text from a script's `send_alert`, through the exporter and Alertmanager, to everybody: whole, and inert."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.exporter import QUIET, Exporter
from tests.support.hostile import HOSTILE
from tests.support.servers import Programs
from tests.support.world import TEXTS, World, open_world, told

pytestmark = pytest.mark.prometheus

# What the SDK must make harmless, and as what it is shown.
MENDED = {
    "NUL": ("a\0b", r"a\x00b"),
    "escape sequences": ("\x1b[2J\x1b]0;gone\x07\x9b31m", r"\x1b[2J\x1b]0;gone\x07\x9b31m"),
    "invalid UTF-8": ("b\udcffc\ud800", "b?c?"),
    "bytes": (b"\xff\xfe/video\x00", r"\x00"),
    "right to left": ("\u202egpj.exe", r"\u202egpj.exe"),
    "line separators": ("one\u2028two", "two"),
}
CASES = {kind: (text, " ".join(text.split())) for kind, text in HOSTILE.items() if kind not in MENDED} | MENDED
SCRIPT = """
import ast, sys
from vv_core.alerter import send_alert
for number, text in enumerate(ast.literal_eval(sys.stdin.read())):
    for level in ("CRITICAL", "WARNING"):
        context = {"video": text, "note": text}
        send_alert(level, text, text, f"script-{number}.py", context=context, suggested_actions=[text])
"""


@pytest.fixture(scope="module", params=("en", "pt-BR"))
def world(
    programs: Programs, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[World]:
    """A script has raised every case as a critical alert and as a warning."""
    folder = tmp_path_factory.mktemp("hostile")
    with open_world(folder, programs, VV_LANGUAGE=request.param) as world:
        environ = QUIET | {"VV_ALERTMANAGER_PORT": str(world.settings.alertmanager_port), "VV_DEVICE_ID": "edge-7"}
        environ["VV_LANGUAGE"] = request.param
        with Exporter(folder / "exporter", **environ) as exporter:
            subprocess.run(
                [sys.executable, "-c", SCRIPT],
                input=repr([text for text, _ in CASES.values()] + ["x" * 1_000_000]).encode(),
                env=os.environ | exporter.environ,
                check=True,
            )
            yield world
    assert {type(one).__name__: one.violations for one in world.receivers() if one.violations} == {}


@pytest.mark.parametrize("channel", TEXTS)
@pytest.mark.parametrize("kind", CASES)
def test_text_of_a_script_arrives_and_does_nothing(world: World, kind: str, channel: str) -> None:
    number, shown = list(CASES).index(kind), CASES[kind][1]

    got = told(world, channel, f"script-{number}.py", timeout=60)

    flat = " ".join(got.split())
    if channel == "Slack":
        shown = shown.replace("```", "'''")  # they would end the block that the error stands in
    assert flat.count(shown) >= 3  # title, details, what to do
    assert "edge-7" in got
    assert "VVEvent.md" in got


@pytest.mark.parametrize("channel", TEXTS)
def test_a_megabyte_of_a_script_is_cut_and_no_field_is_lost(world: World, channel: str) -> None:
    got = told(world, channel, f"script-{len(CASES)}.py", timeout=60)

    assert len(got) < 200_000
    assert "x" * 100 in got
    silence = "" if channel in ("webhook", "app.log") else "/silence?filter="  # programs make their own link
    for wanted in ("edge-7", "VVEvent.md", silence, "20"):
        assert wanted in got
