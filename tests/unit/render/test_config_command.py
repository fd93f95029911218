"""`vv config`."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.render.conftest import EVERY_CHANNEL
from vv_exporter.cli.config import command
from vv_exporter.probes import filesystem
from vv_exporter.probes.filesystem import Usage
from vv_exporter.render import files


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Nothing of this machine's own configuration."""
    for name in EVERY_CHANNEL:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    (tmp_path / "vv.yml").write_text("{}")
    (tmp_path / "vv.yml").chmod(0o600)
    return {
        "VV_CONFIG": str(tmp_path / "vv.yml"),
        "VV_STATE_DIR": str(tmp_path / "state"),
        "VV_DEVICE_ID": "edge-7",
        "DEADMAN_URL": "https://example.org/ping",
    }


def run(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), env=environ)


def test_check_says_in_one_line_which_channels_are_on(environ: dict[str, str]) -> None:
    result = run(environ | {"SLACK_WEBHOOK_URL": "https://example.org/s"}, "check")

    assert result.exit_code == 0
    assert result.stderr == ""
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["ok:", "disk"]
    assert "on: app.log" not in result.stdout.split("off:")[1]
    assert "ok: device edge-7; channels on: dead man's switch, app.log, Slack; off:" in result.stdout
    assert "PagerDuty (PAGERDUTY_ROUTING_KEY)" in result.stdout.split("off:")[1]


def test_check_says_below_which_free_space_each_disk_is_told(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usages = {Path("/"): Usage(32 * 10**9, 10**9, 0, 0, readonly=False)}
    monkeypatch.setattr(filesystem, "usage_within", lambda path, seconds: usages.get(path))
    given = environ | {"VIDEO_STORAGE_ROOT": "/gone", "DISK_CRITICAL_FREE": "5GB"}

    assert run(given, "check").stdout.splitlines()[1:] == [
        "disk / (32.0 GB): DISK_WARNING_FREE below 9.6 GB (50.0 GB count as at most 30% of it), "
        "DISK_CRITICAL_FREE below 5.0 GB",
        "disk /gone: its limits follow from its size, which is not known now",
    ]


def test_a_disk_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hung = threading.Event()
    monkeypatch.setattr(filesystem, "read_usage", lambda path: hung.wait(60) and filesystem.Answer(None, "late"))
    try:
        assert filesystem.usage_within(Path("/hung"), 0.05) is None
    finally:
        hung.set()


def test_check_names_every_problem_in_a_line_of_its_own(environ: dict[str, str]) -> None:
    result = run(environ | {"VV_SCRAPE_INTERVAL": "often", "VV_EXPORTER_PORT": "0"}, "check")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert sorted(line.split(":")[1].strip() for line in result.stderr.splitlines()) == [
        "VV_EXPORTER_PORT",
        "VV_SCRAPE_INTERVAL",
    ]


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"TELEGRAM_BOT_TOKEN": "t", "TELEGRAM_CHAT_ID": "@operators"}, "TELEGRAM_CHAT_ID"),
        ({"SMTP_SMARTHOST": "mail", "SMTP_FROM": "a@b.org", "ALERT_EMAIL_TO": "c@d.org"}, "SMTP_SMARTHOST"),
        ({"SMTP_USERNAME": "u"}, "SMTP_PASSWORD"),
        ({"SMTP_PASSWORD": "p"}, "SMTP_USERNAME"),
    ],
)
def test_check_knows_what_channels_cannot_use(environ: dict[str, str], wrong: dict[str, str], key: str) -> None:
    result = run(environ | wrong, "check")

    assert result.exit_code == 2
    assert [line.split(":")[:2] for line in result.stderr.splitlines()] == [["vv", f" {key}"]]


def test_check_warns_of_a_secret_that_others_can_read(environ: dict[str, str], tmp_path: Path) -> None:
    secret = tmp_path / "slack"
    secret.write_text("https://example.org/s")
    secret.chmod(0o644)

    result = run(environ | {"SLACK_WEBHOOK_URL_FILE": str(secret)}, "check")

    assert result.exit_code == 0
    assert result.stderr.strip() == (
        f"vv: warning: SLACK_WEBHOOK_URL_FILE: others can read {secret}; chmod 600 {secret}"
    )


def test_check_warns_of_secrets_in_a_configuration_that_others_can_read(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "vv.yml").write_text("settings: {SLACK_WEBHOOK_URL: 'https://example.org/s'}")
    (tmp_path / "vv.yml").chmod(0o644)

    assert "vv: warning: VV_CONFIG: others can read" in run(environ, "check").stderr


def test_check_warns_when_nobody_would_be_told(environ: dict[str, str]) -> None:
    result = run(environ | {"DEADMAN_URL": ""}, "check")

    assert result.exit_code == 0
    assert [line.split(":")[2].strip() for line in result.stderr.splitlines()] == ["SLACK_WEBHOOK_URL", "DEADMAN_URL"]
    assert "when this device is off nobody learns of it; set it to" in result.stderr.splitlines()[1]


def test_render_says_where_nobody_would_learn_that_the_device_is_off(environ: dict[str, str], tmp_path: Path) -> None:
    """It is what the deployment by compose starts with."""
    out = str(tmp_path / "out")
    (line,) = run(environ | {"DEADMAN_URL": ""}, "render", "--out", out).stderr.splitlines()

    assert line.startswith("vv: warning: DEADMAN_URL: is not set; when this device is off nobody learns of it; set it")
    assert run(environ, "render", "--out", out).stderr == ""


def test_render_writes_the_folder(environ: dict[str, str], tmp_path: Path) -> None:
    result = run(environ, "render", "--out", str(tmp_path / "out"))

    assert result.exit_code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        ".vv-config",
        "alertmanager.yml",
        "prometheus.yml",
        "rules",
        "secrets",
        "templates",
    }
    assert "https://example.org/ping" not in result.output


def test_a_folder_that_cannot_be_written_is_wrong_use(environ: dict[str, str]) -> None:
    result = run(environ, "render", "--out", "/proc/vv")

    assert result.exit_code == 2
    assert "--out" in result.stderr


def all_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["notes.txt", "rules/mine.yml", "secrets/key", "prometheus.yml", ".hidden"])
def test_render_touches_nothing_in_a_folder_of_others(environ: dict[str, str], tmp_path: Path, name: str) -> None:
    own = tmp_path / "etc" / name
    own.parent.mkdir(parents=True)
    own.write_text("mine")

    result = run(environ, "render", "--out", str(tmp_path / "etc"))

    assert result.exit_code == 2
    assert "name a new or an empty folder" in result.stderr
    assert all_files(tmp_path / "etc") == {name: b"mine"}


def test_render_takes_an_empty_folder_and_then_its_own(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "out" / "lost+found").mkdir(parents=True)  # a disk of its own

    for _ in range(2):
        assert run(environ, "render", "--out", str(tmp_path / "out")).exit_code == 0
    assert (tmp_path / "out" / "prometheus.yml").is_file()


def rendered_by_an_older_version(environ: dict[str, str], out: Path) -> None:
    assert run(environ, "render", "--out", str(out)).exit_code == 0
    (out / files.MARKER).unlink()


def test_render_knows_a_folder_of_an_older_version(environ: dict[str, str], tmp_path: Path) -> None:
    rendered_by_an_older_version(environ, tmp_path / "out")

    assert run(environ, "render", "--out", str(tmp_path / "out")).exit_code == 0
    assert (tmp_path / "out" / files.MARKER).is_file()


def test_an_older_versions_folder_with_something_else_beside_is_left_alone(
    environ: dict[str, str], tmp_path: Path
) -> None:
    rendered_by_an_older_version(environ, tmp_path / "out")
    (tmp_path / "out" / "web.yml").write_text("mine")
    before = all_files(tmp_path / "out")

    assert run(environ, "render", "--out", str(tmp_path / "out")).exit_code == 2
    assert all_files(tmp_path / "out") == before


def test_nothing_is_removed_where_a_link_leads(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "mine.yml").write_text("mine")
    assert run(environ, "render", "--out", str(tmp_path / "out")).exit_code == 0
    shutil.rmtree(tmp_path / "out" / "rules")
    (tmp_path / "out" / "rules").symlink_to(tmp_path / "etc")

    result = run(environ, "render", "--out", str(tmp_path / "out"))

    assert result.exit_code == 2
    assert "is a link" in result.stderr
    assert all_files(tmp_path / "etc") == {"mine.yml": b"mine"}


@pytest.mark.parametrize("there", ["out", "out/", "out/rules", "out/../out", "."])
def test_prometheus_folder_is_apart_from_the_one_with_the_channels_secrets(
    environ: dict[str, str], tmp_path: Path, there: str
) -> None:
    out = tmp_path / "out"
    assert run(environ, "render", "--out", str(out)).exit_code == 0
    before = all_files(tmp_path)

    result = run(environ, "render", "--out", str(out), "--prometheus-out", f"{tmp_path}/{there}")

    assert result.exit_code == 2
    assert "apart" in result.stderr
    assert all_files(tmp_path) == before


@pytest.mark.parametrize("kind", ["a link", "a file of somebody's", "a folder", "a pipe", "prometheus.yml is a pipe"])
def test_what_is_no_mark_marks_no_folder(environ: dict[str, str], tmp_path: Path, kind: str) -> None:
    (tmp_path / "out" / "rules").mkdir(parents=True)
    (tmp_path / "out" / "rules" / "mine.yml").write_text("mine")
    (tmp_path / "elsewhere").write_text("mine")
    marker = tmp_path / "out" / files.MARKER
    if kind == "a link":
        marker.symlink_to(tmp_path / "elsewhere")
    elif kind == "a file of somebody's":
        marker.write_text("[options]\n")
    elif kind == "a folder":
        marker.mkdir()
    else:
        os.mkfifo(marker if kind == "a pipe" else tmp_path / "out" / "prometheus.yml")

    result = run(environ, "render", "--out", str(tmp_path / "out"))

    assert result.exit_code == 2
    assert "name a new or an empty folder" in result.stderr
    assert (tmp_path / "out" / "rules" / "mine.yml").read_text() == "mine"


def test_check_says_how_much_of_the_language_is_there(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "language" not in run(environ, "check").stdout  # English lacks nothing

    portuguese = run(environ | {"VV_LANGUAGE": "pt_BR"}, "check")
    monkeypatch.setattr("vv_exporter.language.untranslated", lambda name: 12)
    lacking = run(environ | {"VV_LANGUAGE": "pt-BR"}, "check")

    assert "language pt-BR: every message is there\n" in portuguese.stdout
    assert "shown in English: 12\n" in lacking.stdout
    assert lacking.exit_code == 0


def test_a_language_that_is_not_there_is_refused(environ: dict[str, str]) -> None:
    result = run(environ | {"VV_LANGUAGE": "tlh"}, "check")

    assert result.exit_code == 2
    assert "VV_LANGUAGE" in result.stderr
    assert "en, pt-BR" in result.stderr
