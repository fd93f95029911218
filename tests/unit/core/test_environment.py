import os
from pathlib import Path

import pytest

from vv_core.common import environment
from vv_exporter.settings import load


def test_the_state_folder_is_the_one_that_is_named() -> None:
    assert environment.state_dir({"VV_STATE_DIR": "/srv/state"}) == "/srv/state"


@pytest.mark.parametrize(
    ("user", "environ", "folder"),
    [
        (0, {}, "/var/lib/vv"),
        (1000, {"XDG_STATE_HOME": "/h/.state"}, "/h/.state/vv"),
        (1000, {}, os.path.expanduser("~/.local/state/vv")),  # noqa: PTH111
    ],
)
def test_by_default_it_is_the_systems_for_root_and_the_users_own_for_others(
    monkeypatch: pytest.MonkeyPatch, user: int, environ: dict[str, str], folder: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(environment, "INSTALLED", ())

    assert folder == environment.state_dir(environ)


def test_a_user_without_a_home_uses_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    monkeypatch.setattr(environment, "INSTALLED", ())
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)

    assert environment.state_dir({}) == "/var/lib/vv"


@pytest.mark.parametrize("installed", [0, 1])
def test_where_the_exporter_is_installed_every_user_meets_it_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: int
) -> None:
    folders = [str(tmp_path / "lib"), str(tmp_path / "etc")]
    Path(folders[installed]).mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(environment, "INSTALLED", folders)

    assert environment.state_dir({"XDG_STATE_HOME": "/h/.state"}) == "/var/lib/vv"
    assert environment.state_dir({"VV_STATE_DIR": "/srv"}) == "/srv"


@pytest.mark.parametrize("installed", [False, True])
def test_the_exporter_follows_the_same_rule_as_scripts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(environment, "INSTALLED", [str(tmp_path)] if installed else [])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("VV_STATE_DIR", raising=False)

    assert str(load({}).state_dir) == environment.state_dir()


def test_logs_lie_in_the_state_folder_unless_named() -> None:
    assert environment.log_dir({"VV_STATE_DIR": "/srv"}) == "/srv/logs"
    assert environment.log_dir({"VV_STATE_DIR": "/srv", "VV_LOG_DIR": "/var/log/vv"}) == "/var/log/vv"


def test_the_device_is_the_host_unless_named() -> None:
    assert os.uname().nodename == environment.device_id({})
    assert environment.device_id({"VV_DEVICE_ID": "edge-7"}) == "edge-7"


def test_the_more_particular_limit_counts() -> None:
    environ = {"MAX_PROCESSING_TIME_SUMMARIZE": "60", "MAX_PROCESSING_TIME_SUMMARIZE_SCENE": "2m"}

    assert environment.stage_limit("summarize_scene", environ) == 120
    assert environment.stage_limit("summarize_day", environ) == 60


def test_a_wrong_value_is_told_and_its_default_used(caplog: pytest.LogCaptureFixture) -> None:
    assert environment.journal_max({"VV_JOURNAL_MAX": "lots"}) == environment.JOURNAL_MAX
    assert "VV_JOURNAL_MAX: 'lots' is not a size" in caplog.text


@pytest.mark.parametrize("value", ["9" * 5_000, "9" * 400, "0", "-1", "three"])
def test_a_number_of_attempts_that_there_cannot_be_raises_nothing(value: str) -> None:
    assert environment.max_attempts({"VV_MAX_ATTEMPTS": value}) == environment.MAX_ATTEMPTS


@pytest.mark.parametrize("value", [" /srv/vv ", "/srv/vv\r", "~/vv", "/srv/vv/", "  "])
@pytest.mark.parametrize("name", ["VV_STATE_DIR", "VV_LOG_DIR"])
def test_a_folder_is_read_from_the_environment_as_the_exporter_reads_it(name: str, value: str) -> None:
    environ = {"VV_STATE_DIR": "/srv/other"} | {name: value}
    settings = load(environ)

    assert environment.state_dir(environ) == str(settings.state_dir)
    assert environment.log_dir(environ) == str(settings.logs)
