"""`vv get`, and `vv --env-file`."""

import os
from pathlib import Path

import bcrypt
import pytest
from click.testing import CliRunner

from tests.unit.web.conftest import Serve, context, serve  # noqa: F401 - fixtures
from vv_exporter.cli import vv
from vv_exporter.context import Context
from vv_exporter.settings.environmentfile import environment_line, parse_environment_file
from vv_exporter.web import WebConfig, create_app

USERS = WebConfig(basic_auth_users={"ana": bcrypt.hashpw(b"pw", bcrypt.gensalt(4)).decode()})


@pytest.fixture(autouse=True)
def environment_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {name: text for name, text in os.environ.items() if name[:3] != "VV_"})


def told(folder: Path, **settings: str) -> list[str]:
    file = folder / "vv.env"
    file.write_text("".join(environment_line(name, value) for name, value in {"VV_CONFIG": "", **settings}.items()))
    return ["--env-file", str(file)]


def test_it_asks_as_the_user_of_the_settings(context: Context, serve: Serve, tmp_path: Path) -> None:  # noqa: F811
    url = serve(create_app(context, [], USERS)).url
    asked = told(tmp_path, VV_EXPORTER_URL=url, VV_EXPORTER_USERNAME="ana", VV_EXPORTER_PASSWORD="pw")

    done = CliRunner().invoke(vv, [*asked, "get", "/-/ready"])

    assert (done.exit_code, done.output) == (0, "ready\n")


def test_who_is_not_known_is_told_the_cure(context: Context, serve: Serve, tmp_path: Path) -> None:  # noqa: F811
    url = serve(create_app(context, [], USERS)).url

    done = CliRunner().invoke(vv, [*told(tmp_path, VV_EXPORTER_URL=url), "get", "/metrics"])

    assert done.exit_code == 1
    assert "set VV_EXPORTER_USERNAME and VV_EXPORTER_PASSWORD_FILE" in done.output


def test_what_it_answers_is_shown_whatever_the_status(context: Context, serve: Serve, tmp_path: Path) -> None:  # noqa: F811
    url = serve(create_app(context, [])).url

    done = CliRunner().invoke(vv, [*told(tmp_path, VV_EXPORTER_URL=url), "get", "/nothing"])

    assert (done.exit_code, done.output) == (1, "404 Not Found\nvv: it answers 404 NOT FOUND\n")


def test_a_path_begins_with_a_slash() -> None:
    assert CliRunner().invoke(vv, ["get", "metrics"]).exit_code == 2


@pytest.mark.parametrize("value", ["", "a b", 'q"uo$te`s\\', "tab\tand 'one'", "ü#;=", "x\\"])
def test_a_line_of_the_file_is_read_as_it_was_meant(value: str) -> None:
    text = environment_line("A", value) + environment_line("B", "b")

    assert parse_environment_file(text) == {"A": value, "B": "b"}
