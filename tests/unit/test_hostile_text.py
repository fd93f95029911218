"""Names and messages that others chose reach series, Alertmanager, pages and terminals without what obeys or hides."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.core import Metric as Family

from vv_core.common.texts import UNSAFE
from vv_exporter.alertmanager.payload import payload
from vv_exporter.cli import vv
from vv_exporter.cli.quarantine import command as quarantine
from vv_exporter.metrics import gauges
from vv_exporter.metrics.pipeline import STAGE_RUNNING
from vv_exporter.stack.terminal import say
from vv_exporter.state.openalerts import OpenAlert
from vv_exporter.state.timeline import clean
from vv_exporter.web.guard import Guarded, gather
from vv_exporter.web.pages import _template_environment

HOSTILE = "scan\x1b[2J\x9b31m\u202egpj.exe\u2066\u200b\u200e\ufeff"


def unsafe(text: str) -> list[str]:
    return [char for char in text if ord(char) in UNSAFE and char not in "\n\t"]


class Stages:
    name = "stages"

    def collect(self) -> Iterable[Family]:
        yield gauges(STAGE_RUNNING, [((HOSTILE,), 1), (("scan",), 2), (("two\nlines",), 3)])


def test_series_have_it_as_escapes_and_stay_apart() -> None:
    family = next(one for one in gather([Guarded(Stages())]) if one.name == STAGE_RUNNING.name)

    stages = {sample.labels["stage"]: sample.value for sample in family.samples}
    assert unsafe("".join(stages)) == []
    assert sorted(stages.values()) == [1, 2, 3]
    assert stages[r"scan\x1b[2J\x9b31m\u202egpj.exe\u2066\u200b\u200e\ufeff"] == 1
    assert stages["two\nlines"] == 3


def test_alerts_go_to_alertmanager_with_escapes() -> None:
    alert = OpenAlert(
        id="1", key="k", title=HOSTILE, severity="error", component=HOSTILE, first=1.0, last=1.0, ends=2.0,
        details=HOSTILE, suggested_actions=HOSTILE, context={"video": HOSTILE},
    )  # fmt: skip

    sent = payload(alert, "edge-7", "https://example.org", "http://127.0.0.1")

    assert unsafe("".join([*sent["labels"].values(), *sent["annotations"].values()])) == []
    assert r"\u202egpj.exe" in sent["annotations"]["description"]


def test_pages_show_a_sign_in_its_place() -> None:
    page = _template_environment().from_string('<p title="{{ name }}">{{ name }}</p>').render(name=HOSTILE)

    assert unsafe(page) == unsafe(clean(HOSTILE)) == []
    assert "gpj.exe" in page


@pytest.mark.parametrize("arguments", [("list",), ("show", HOSTILE), ("release", HOSTILE)])
def test_the_quarantine_is_listed_without_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "corrupted").mkdir()
    (tmp_path / "corrupted" / HOSTILE).write_text("x")
    (tmp_path / "corrupted" / f"{HOSTILE}.json").write_text("{}")

    result = CliRunner().invoke(quarantine, ["--root", str(tmp_path), *arguments])

    assert unsafe(result.output) == []


def test_what_a_program_of_the_stack_said_last_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"Prometheus ended. It said last:\n{HOSTILE}\nthe end")

    printed = capsys.readouterr().out
    assert unsafe(printed) == []
    assert len(printed.splitlines()) == 3


def test_what_the_configuration_gets_wrong_is_printed_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = HOSTILE.encode("unicode_escape").decode()
    (tmp_path / "vv.yml").write_text(f'settings: {{"{name}": 1, VV_EXPORTER_PORT: "{name}"}}\njobs: {{"{name}": {{}}}}')
    monkeypatch.setenv("VV_CONFIG", str(tmp_path / "vv.yml"))

    result = CliRunner().invoke(vv, ["config", "check"])

    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 3
    assert unsafe(result.output) == []
