"""What is generated or packaged equals what is committed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tools import reference
from tools.reference.configuration_page import example, page
from vv_exporter.render import base
from vv_exporter.settings import compose, load, variables

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", reference.targets(ROOT), ids=lambda path: path.name)
def test_the_committed_page_is_what_is_generated(path: Path) -> None:
    assert path.read_text() == reference.targets(ROOT)[path], "run: python -m tools.reference"


def test_the_example_is_accepted_with_every_line_taken_in(tmp_path: Path) -> None:
    """Each default is what leaving the variable out means."""
    lines = [line.removeprefix("#") for line in example().splitlines() if "=" in line and line[1] != " "]
    files_of_secrets = {f"{variable.name}_FILE" for variable in variables().values() if variable.secret}
    given = dict(line.split("=", 1) for line in lines)
    environ = {name: text for name, text in given.items() if name not in files_of_secrets}

    known = {variable.name for variable in variables().values() if not variable.secret}
    assert set(environ) == known | {variable.name for variable in compose.VARIABLES}
    assert load(environ) == load({})


def test_the_pages_yaml_is_accepted(tmp_path: Path) -> None:
    example = page().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "slack").write_text("https://example.org/s")
    (tmp_path / "front").write_text("pa:ss")
    (tmp_path / "vv.yml").write_text(example.replace("/etc/vv/secrets", str(tmp_path)))

    settings = load({"VV_CONFIG": str(tmp_path / "vv.yml")})

    assert settings.device_id == "edge-device-001"
    assert settings.slack_webhook_url.value == "https://example.org/s"
    assert set(settings.jobs) == {"cleanup_old_files", "backup"}
    assert settings.dvrs["front"].password.value == "pa:ss"


def test_an_installed_package_brings_the_files_it_renders() -> None:
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "force-include"
    ]

    runbooks = [path.relative_to(ROOT) for path in sorted((ROOT / "docs").glob("**/runbooks"))]
    folders = [
        "alertmanager",
        "fleet/alertmanager.yml",
        "fleet/rules",
        "fleet/templates",
        "prometheus",
        *map(str, runbooks),
    ]
    assert len(runbooks) > 1
    assert included == {folder: f"vv_exporter/_deploy/{folder}" for folder in folders}
    sent_to_the_builder = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [folder for folder in folders if f"!{folder}" not in sent_to_the_builder] == []


def test_an_installed_package_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "vv_exporter"
    (package / "_deploy").mkdir(parents=True)
    monkeypatch.setattr(base, "__file__", str(package / "render" / "base.py"))

    assert base.folder() == package / "_deploy"


def test_a_checkout_is_its_own_source() -> None:
    assert base.folder() == ROOT
