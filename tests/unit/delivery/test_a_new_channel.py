"""That a channel is one file: one that is put beside the others is found wherever there is a list of channels."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tools.reference import configuration_page
from vv_exporter import channels
from vv_exporter.alerting import direct_channels
from vv_exporter.cli import vv
from vv_exporter.delivery.alertmanager_watch import channel_of
from vv_exporter.drills.plan import drill_channels, plan
from vv_exporter.render import alertmanager, secrets
from vv_exporter.settings import Settings, load
from vv_exporter.stack.up import summary

# A variable of its own would stand in settings/catalogue.py; this one borrows another channel's.
SIREN = """
from vv_exporter.channels import Answer, Channel

SENT = []


class Siren:
    name, title = "siren", "Siren"

    def __init__(self, settings):
        self._url = settings.deadman_url.value

    def send(self, message):
        SENT.append((self._url, message.title))
        return Answer(200, "howls")

    def test(self, message):
        return self.send(message)._replace(text="howls briefly")


def problems(settings):
    if "quiet" in settings.deadman_url.value:
        yield "DEADMAN_URL: is quiet; take a loud one"


CHANNEL = Channel(
    name="siren",
    title="Siren",
    kind="chat",
    needs=("deadman_url",),
    build=Siren,
    addressed_by=("deadman_url",),
    secrets={"siren-url": lambda settings: settings.deadman_url},
    adapt=lambda entry, settings: entry | {"volume": settings.device_id},
    problems=problems,
)
"""
URL = "https://siren.example.org/secret"


@pytest.fixture(autouse=True)
def siren(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "channels"
    folder.mkdir()
    (folder / "siren.py").write_text(SIREN)
    monkeypatch.setattr(channels, "__path__", [*channels.__path__, str(folder)])
    _forget()
    yield
    _forget()
    monkeypatch.delitem(sys.modules, "vv_exporter.channels.siren", raising=False)


def _forget() -> None:
    channels.all_channels.cache_clear()
    channels.names_of.cache_clear()


def settings_with(tmp_path: Path, url: str = URL) -> Settings:
    return load({"VV_STATE_DIR": str(tmp_path / "state"), "VV_DEVICE_ID": "edge-7", "DEADMAN_URL": url})


def run(tmp_path: Path, *arguments: str, url: str = URL) -> Result:
    environ = {"VV_STATE_DIR": str(tmp_path / "state"), "DEADMAN_URL": url}
    return CliRunner().invoke(vv, [*arguments], env=environ)


def test_it_is_shown_with_what_it_needs(tmp_path: Path) -> None:
    on, off = run(tmp_path, "config", "check"), run(tmp_path, "config", "check", url="")

    assert "channels on: dead man's switch, app.log, Siren; off:" in on.output
    assert "neither chat nor pager" not in on.output
    assert "Siren (DEADMAN_URL)" in off.output
    assert "neither chat nor pager" in off.output
    assert "dead man's switch, Siren" in summary(settings_with(tmp_path))
    assert configuration_page.page().count("Siren and Slack and Telegram") == 3


def test_what_it_cannot_use_is_said_by_every_command(tmp_path: Path) -> None:
    for command in (("config", "check"), ("config", "render", "--out", str(tmp_path / "out")), ("notify", "test")):
        result = run(tmp_path, *command, url="https://quiet.example.org/secret")

        assert result.exit_code != 0, command
        assert "DEADMAN_URL: is quiet; take a loud one" in str(result.output) + str(result.exception), command


def test_it_is_tried(tmp_path: Path) -> None:
    result = run(tmp_path, "notify", "test", "--channel", "siren")

    assert result.exit_code == 0, result.output
    assert "200 howls briefly" in result.stdout


def test_alertmanager_has_its_entries_and_its_secret_once_it_is_configured(tmp_path: Path) -> None:
    entry = {"url_file": "secrets/siren-url"}
    committed = {
        "event_recorder": {"webhook_outputs": []},
        "templates": [],
        "route": {"receiver": "chat"},
        "time_intervals": [],
        "receivers": [{"name": "chat", "siren_configs": [entry]}],
    }
    on, off = settings_with(tmp_path), settings_with(tmp_path, "")

    (receiver,) = alertmanager.document(committed, on, Path("/o"))["receivers"]
    assert receiver == {"name": "chat", "siren_configs": [{"url_file": "/o/secrets/siren-url", "volume": "edge-7"}]}
    assert secrets.of_channels(on)["siren-url"] == URL
    assert alertmanager.document(committed, off, Path("/o"))["receivers"] == []
    assert "siren-url" not in secrets.of_channels(off)


def test_what_it_takes_is_accounted_for_and_drilled_and_it_is_told_directly(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)

    assert channel_of("siren", "chat") == channel_of("webhook", "siren") == "siren"
    assert [channel.name for channel in direct_channels(settings)] == ["siren"]
    assert drill_channels(settings) == ["siren"]
    assert [step.channels for step in plan("", "", drill_channels(settings))] == [("siren",)]
    assert channels.addresses(settings)["siren"] == f"deadman_url={URL}"


def test_where_it_is_not_configured_nobody_knows_of_it(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, "")

    assert "siren" not in channels.configured(settings)
    assert drill_channels(settings) == []
    assert direct_channels(settings) == []
