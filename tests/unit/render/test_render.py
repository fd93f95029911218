"""What `render` writes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.servers import Programs, check
from tests.unit.render.conftest import EVERY_CHANNEL, SECRETS, Load
from vv_exporter.alertmanager.token import read_token
from vv_exporter.render import files, render
from vv_exporter.settings import SettingsError


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_stand_in_private_files_and_nowhere_else(settings_of: Load, tmp_path: Path) -> None:
    render(settings_of(**EVERY_CHANNEL), tmp_path / "out")

    secrets = {path.name: path.read_text() for path in (tmp_path / "out" / "secrets").iterdir()}
    assert set(SECRETS.values()) <= set(secrets.values())
    assert {mode(path) for path in (tmp_path / "out" / "secrets").iterdir()} == {0o600}
    assert mode(tmp_path / "out" / "secrets") == 0o700
    elsewhere = b"".join(content for name, content in tree(tmp_path / "out").items() if not name.startswith("secrets/"))
    assert [secret for secret in secrets.values() if secret.encode() in elsewhere] == []


def test_the_same_settings_give_the_same_files(settings_of: Load, tmp_path: Path) -> None:
    settings = settings_of(**EVERY_CHANNEL)

    render(settings, tmp_path / "out")
    first = tree(tmp_path / "out")
    render(settings, tmp_path / "out")

    assert tree(tmp_path / "out") == first


def test_what_is_no_longer_configured_goes(settings_of: Load, tmp_path: Path) -> None:
    render(settings_of(**EVERY_CHANNEL), tmp_path / "out")
    (tmp_path / "out" / "rules" / "old.yml").write_text("groups: []")
    render(settings_of(), tmp_path / "out")
    render(settings_of(), tmp_path / "new")

    # Paths are absolute, and the only difference.
    replaced = {n: c.replace(b"/new/", b"/out/") for n, c in tree(tmp_path / "new").items()}
    assert tree(tmp_path / "out") == replaced
    assert [path.name for path in (tmp_path / "out" / "secrets").iterdir()] == ["exporter-token"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(tmp_path / "a.yml", "old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)

    with pytest.raises(OSError, match="No space"):
        files.write(tmp_path / "a.yml", "new")
    assert tree(tmp_path) == {"a.yml": b"old"}


def test_a_secret_is_private_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    monkeypatch.setattr("os.fsync", lambda _: modes.extend(mode(path) for path in tmp_path.iterdir()))

    files.write(tmp_path / "key", "secret", private=True)

    assert modes == [0o600]


def test_device_ports_and_interval_are_set(settings_of: Load, tmp_path: Path) -> None:
    settings = settings_of(
        VV_EXPORTER_PORT="1001", VV_PROMETHEUS_PORT="1002", VV_ALERTMANAGER_PORT="1003", VV_SCRAPE_INTERVAL="5s"
    )

    render(settings, tmp_path)
    prometheus = read(tmp_path / "prometheus.yml")

    assert prometheus["global"] == {
        "scrape_interval": "5s",
        "evaluation_interval": "5s",
        "external_labels": {"device": "edge-7"},
    }
    assert {job["job_name"]: job["static_configs"] for job in prometheus["scrape_configs"]} == {
        "vv-exporter": [{"targets": ["127.0.0.1:1001"], "labels": {"device": "edge-7"}}],
        "vv-exporter-events": [{"targets": ["127.0.0.1:1001"], "labels": {"device": "edge-7"}}],
        "prometheus": [{"targets": ["127.0.0.1:1002"], "labels": {"device": "edge-7"}}],
        "alertmanager": [{"targets": ["127.0.0.1:1003"], "labels": {"device": "edge-7"}}],
    }
    assert prometheus["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:1003"]}]}]}
    assert "http://127.0.0.1:1001/api/v1/alertmanager" in (tmp_path / "alertmanager.yml").read_text()
    assert "http://127.0.0.1:1001/" in (tmp_path / "templates" / "links.tmpl").read_text()


@pytest.mark.parametrize(("interval", "events"), [("10s", "2s"), ("2s", "2s"), ("1s", "1s")])
def test_events_are_asked_for_more_often_than_the_rest(
    settings_of: Load, tmp_path: Path, interval: str, events: str
) -> None:
    render(settings_of(VV_SCRAPE_INTERVAL=interval, VV_EXPORTER_URL="http://exporter:19461/vv"), tmp_path)
    jobs = {job["job_name"]: job for job in read(tmp_path / "prometheus.yml")["scrape_configs"]}

    assert jobs["vv-exporter-events"]["scrape_interval"] == events
    assert jobs["vv-exporter-events"]["metrics_path"] == "/vv/metrics/events"
    assert jobs["vv-exporter"]["metrics_path"] == "/vv/metrics"
    assert "scrape_interval" not in jobs["vv-exporter"]


def test_an_alertmanager_elsewhere_is_reached_there(settings_of: Load, tmp_path: Path) -> None:
    render(settings_of(VV_ALERTMANAGER_URL="https://am.example.org/am"), tmp_path)
    prometheus = read(tmp_path / "prometheus.yml")

    assert prometheus["alerting"]["alertmanagers"] == [
        {"scheme": "https", "path_prefix": "/am", "static_configs": [{"targets": ["am.example.org"]}]}
    ]
    (job,) = (job for job in prometheus["scrape_configs"] if job["job_name"] == "alertmanager")
    assert (job["scheme"], job["metrics_path"]) == ("https", "/am/metrics")


def test_servers_in_containers_find_each_other_by_name(settings_of: Load, tmp_path: Path) -> None:
    render(
        settings_of(VV_EXPORTER_URL="http://exporter:19461", VV_ALERTMANAGER_URL="http://alertmanager:9093"), tmp_path
    )
    prometheus = read(tmp_path / "prometheus.yml")

    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]}
    assert targets == {
        "vv-exporter": ["exporter:19461"],
        "vv-exporter-events": ["exporter:19461"],
        "prometheus": ["127.0.0.1:9090"],
        "alertmanager": ["alertmanager:9093"],
    }
    assert prometheus["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]}
    assert "http://exporter:19461/api/v1/alertmanager" in (tmp_path / "alertmanager.yml").read_text()


def test_links_lead_to_where_people_reach_the_status_page(settings_of: Load, tmp_path: Path) -> None:
    settings = settings_of(VV_EXPORTER_URL="http://exporter:19461", VV_PUBLIC_URL="https://edge-7.example.org/vv/")

    render(settings, tmp_path)

    assert "https://edge-7.example.org/vv/{{" in (tmp_path / "templates" / "links.tmpl").read_text()


def test_links_lead_to_this_machine_unless_told_otherwise(settings_of: Load) -> None:
    settings = settings_of(
        VV_EXPORTER_URL="http://exporter:19461",
        VV_ALERTMANAGER_URL="http://alertmanager:9093",
        VV_EXPORTER_PORT="1001",
        VV_ALERTMANAGER_PORT="1003",
    )

    assert settings.public_url == "http://127.0.0.1:1001"
    assert settings.alertmanager_public_url == "http://127.0.0.1:1003"


def test_rules_link_to_the_runbooks_of_this_device(settings_of: Load, tmp_path: Path) -> None:
    render(settings_of(VV_RUNBOOK_BASE_URL="https://wiki.example.org/runbooks"), tmp_path)
    rules = [
        rule
        for path in (tmp_path / "rules").iterdir()
        for group in read(path)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]

    assert len(rules) > 10
    assert {rule["annotations"]["runbook_url"] for rule in rules} == {
        f"https://wiki.example.org/runbooks/{rule['alert']}.md" for rule in rules
    }


def test_rules_name_this_devices_folder_of_logs(settings_of: Load, tmp_path: Path) -> None:
    render(settings_of(VV_LOG_DIR="/srv/logs"), tmp_path)
    text = "".join(path.read_text() for path in (tmp_path / "rules").iterdir())

    assert "/srv/logs/app.log" in text
    assert "/var/lib/vv/logs" not in text


def test_what_a_channel_cannot_use_is_refused_before_anything_is_written(settings_of: Load, tmp_path: Path) -> None:
    settings = settings_of(TELEGRAM_BOT_TOKEN="t", TELEGRAM_CHAT_ID="@operators")

    with pytest.raises(SettingsError, match=r"^TELEGRAM_CHAT_ID: .*number"):
        render(settings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_token_is_made_once_and_private(settings_of: Load) -> None:
    settings = settings_of()

    token = read_token(settings)
    path = settings.exporter_dir / "alertmanager-token"

    assert path.read_text() == f"{token}\n"
    assert mode(path) == 0o600
    assert len(token) >= 32
    assert read_token(settings) == token
    assert [item.name for item in path.parent.iterdir()] == ["alertmanager-token"]


def test_who_comes_second_takes_the_token_that_is_there(settings_of: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of()
    path = settings.exporter_dir / "alertmanager-token"
    exists = Path.exists

    def a_moment_too_early(self: Path) -> bool:
        found = exists(self)
        if self == path and not found:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("theirs\n")
        return found

    monkeypatch.setattr(Path, "exists", a_moment_too_early)

    assert read_token(settings) == "theirs"


@pytest.mark.parametrize("content", [b"", b" \n", b"two words", b"\xff\xfe", b"a\nb", b"a" * 5000])
def test_what_is_no_token_lets_nobody_in_and_is_made_anew(settings_of: Load, content: bytes) -> None:
    settings = settings_of()
    path = settings.exporter_dir / "alertmanager-token"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)

    token = read_token(settings)

    assert len(token) >= 32
    assert read_token(settings) == token
    (aside,) = set(path.parent.iterdir()) - {path}
    assert aside.read_bytes() == content


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_token_is_made_whatever_lies_in_its_place(settings_of: Load, make: Callable[[Path], None]) -> None:
    settings = settings_of()
    path = settings.exporter_dir / "alertmanager-token"
    path.parent.mkdir(parents=True)
    make(path)

    token = read_token(settings)

    assert read_token(settings) == token
    assert mode(path) == 0o600


STORE = {"VV_REMOTE_WRITE_URL": "https://store.example.org/api/v1/push"}
WITH_PASSWORD = STORE | {"VV_REMOTE_WRITE_USERNAME": "edge", "VV_REMOTE_WRITE_PASSWORD": "store-secret"}
WITH_TOKEN = STORE | {"VV_REMOTE_WRITE_TOKEN": "store-token"}


@pytest.mark.parametrize(
    ("environ", "key", "told", "secret"),
    [
        (STORE, None, None, {}),
        (WITH_PASSWORD, "basic_auth", "password_file", {"remote_write_password": "store-secret"}),
        (WITH_TOKEN, "authorization", "credentials_file", {"remote_write_token": "store-token"}),
    ],
    ids=["open", "password", "token"],
)
def test_a_store_gets_all_series_and_its_secret_is_a_file(
    settings_of: Load,
    tmp_path: Path,
    environ: dict[str, str],
    key: str | None,
    told: str | None,
    secret: dict[str, str],
) -> None:
    render(settings_of(**environ), tmp_path / "out")

    (store,) = read(tmp_path / "out" / "prometheus.yml")["remote_write"]
    files = {path.name: path.read_text() for path in (tmp_path / "out" / "secrets").iterdir()}
    assert store["url"] == "https://store.example.org/api/v1/push"
    assert secret.items() <= files.items()
    assert [value for value in secret.values() if value in (tmp_path / "out" / "prometheus.yml").read_text()] == []
    if key and told:
        assert store[key][told] == str(tmp_path / "out" / "secrets" / next(iter(secret)))
    else:
        assert store.keys() == {"name", "url", "queue_config"}


def test_without_a_store_nothing_is_sent(settings_of: Load, tmp_path: Path) -> None:
    render(settings_of(), tmp_path / "out")

    assert "remote_write" not in read(tmp_path / "out" / "prometheus.yml")


def test_telegram_can_be_written_to_by_way_of_the_exporter(settings_of: Load, tmp_path: Path) -> None:
    render(settings_of(**EVERY_CHANNEL, TELEGRAM_THROUGH_EXPORTER="yes"), tmp_path / "out")

    receivers = read(tmp_path / "out" / "alertmanager.yml")["receivers"]
    entries = [entry for receiver in receivers for entry in receiver.get("telegram_configs", ())]
    assert {entry["api_url"] for entry in entries} == {"http://127.0.0.1:19461/api/v1/telegram"}


@pytest.mark.prometheus
@pytest.mark.parametrize(
    "environ",
    [{}, EVERY_CHANNEL, {**EVERY_CHANNEL, "TELEGRAM_THROUGH_EXPORTER": "true"}, WITH_PASSWORD, WITH_TOKEN],
    ids=["no channel", "every channel", "through the exporter", "a store with password", "a store with token"],
)
def test_the_servers_own_tools_find_no_fault(
    settings_of: Load, tmp_path: Path, programs: Programs, environ: dict[str, str]
) -> None:
    render(settings_of(**environ), tmp_path / "out")

    check(programs.amtool, "check-config", tmp_path / "out" / "alertmanager.yml")
    check(programs.promtool, "check", "config", tmp_path / "out" / "prometheus.yml")


@pytest.mark.prometheus
def test_the_committed_files_are_valid_as_they_stand(programs: Programs) -> None:
    root = Path(__file__).parents[3]

    check(programs.amtool, "check-config", root / "alertmanager" / "alertmanager.yml")
    check(programs.promtool, "check", "config", root / "prometheus" / "prometheus.yml")
