"""How Prometheus, Alertmanager and `vv` ask an exporter that has TLS and users."""

import dataclasses
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.certificates import make_certificates
from tests.unit.render.conftest import Load
from vv_exporter.render import render
from vv_exporter.settings import Settings, SettingsError, load

PASSWORD = "s3cret-of-the-exporter"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates")).authority


def test_the_servers_know_its_user_and_its_authority(settings_of: Load, authority: Path, tmp_path: Path) -> None:
    settings = settings_of(
        VV_EXPORTER_URL="https://exporter:19461",
        VV_EXPORTER_USERNAME="prometheus",
        VV_EXPORTER_PASSWORD=PASSWORD,
        VV_EXPORTER_CA_FILE=str(authority),
    )
    one, other = tmp_path / "alertmanager", tmp_path / "prometheus"

    render(settings, one, other)

    prometheus = yaml.safe_load((other / "prometheus.yml").read_text())
    scrape, events = (job for job in prometheus["scrape_configs"] if job["job_name"].startswith("vv-exporter"))
    password = other / "secrets" / "exporter_password"
    tls = {"ca": authority.read_text()}
    assert (scrape["scheme"], scrape["tls_config"]) == ("https", tls)
    assert scrape["basic_auth"] == {"username": "prometheus", "password_file": str(password)}
    assert (password.read_text(), stat.S_IMODE(password.stat().st_mode)) == (PASSWORD, 0o600)
    assert all(events[key] == scrape[key] for key in ("scheme", "tls_config", "basic_auth"))
    alertmanager = yaml.safe_load((one / "alertmanager.yml").read_text())
    (recorder,) = alertmanager["event_recorder"]["webhook_outputs"]
    ours = [
        hook
        for receiver in alertmanager["receivers"]
        for hook in receiver.get("webhook_configs", [])
        if hook.get("url", "").startswith("https://exporter:19461/")
    ]
    assert len(ours) == 2
    for hook in (recorder, *ours):
        assert hook["http_config"]["tls_config"] == tls
        assert "authorization" in hook["http_config"]
    readable = [*one.rglob("*.*ml"), *other.rglob("*.*ml")]
    assert [path for path in readable if PASSWORD in path.read_text()] == []


def test_whatever_asks_the_exporter_knows_its_authority(settings_of: Load, authority: Path, tmp_path: Path) -> None:
    """With every channel that may lead by way of it."""
    render(
        settings_of(
            VV_EXPORTER_URL="https://exporter:19461",
            VV_EXPORTER_CA_FILE=str(authority),
            TELEGRAM_BOT_TOKEN="1:t",
            TELEGRAM_CHAT_ID="-100123",
            TELEGRAM_THROUGH_EXPORTER="true",
        ),
        tmp_path,
    )

    asking = [
        mapping
        for file in tmp_path.rglob("*.yml")
        for mapping in _mappings(yaml.safe_load(file.read_text()))
        if any(str(text).startswith("https://exporter:19461/api/") for text in mapping.values())
    ]
    assert len([one for one in asking if "api_url" in one]) >= 2
    assert len(asking) >= 5
    for one in asking:
        assert one["http_config"]["tls_config"] == {"ca": authority.read_text()}


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _mappings(one)


def test_other_servers_are_asked_as_before(settings_of: Load, authority: Path, tmp_path: Path) -> None:
    render(settings_of(VV_EXPORTER_URL="https://e", VV_EXPORTER_CA_FILE=str(authority)), tmp_path)

    jobs = yaml.safe_load((tmp_path / "prometheus.yml").read_text())["scrape_configs"]
    assert [job["job_name"] for job in jobs if "tls_config" in job] == ["vv-exporter", "vv-exporter-events"]


def test_an_authority_that_cannot_be_read_is_named(settings_of: Load, tmp_path: Path) -> None:
    settings = settings_of(VV_EXPORTER_URL="https://e", VV_EXPORTER_CA_FILE=str(tmp_path / "missing.pem"))

    with pytest.raises(SettingsError, match=r"VV_EXPORTER_CA_FILE: .*missing\.pem"):
        render(settings, tmp_path / "out")


ADDRESSES = sorted(
    variable.name
    for field in dataclasses.fields(Settings)
    for variable in field.metadata.values()
    if variable.name.endswith("_URL") and not variable.secret
)


def test_every_address_that_is_shown_is_known_here() -> None:
    assert {"VV_EXPORTER_URL", "VV_ALERTMANAGER_URL", "TELEGRAM_API_URL", "PAGERDUTY_URL", "OPSGENIE_API_URL"} <= {
        *ADDRESSES
    }


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "url", ["http://ana:pw-of-ana@e:1", "https://ana@e", "http://ana:pw-of-ana@[e", "http://:pw-of-ana@\u2100e"]
)
def test_credentials_in_an_address_are_refused_and_not_repeated(name: str, url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load({"VV_CONFIG": "", name: url})

    (problem,) = raised.value.problems
    assert problem.startswith(f"{name}: must ")
    assert "pw-of-ana" not in problem


def test_the_cure_is_named() -> None:
    with pytest.raises(SettingsError, match="set VV_EXPORTER_USERNAME and VV_EXPORTER_PASSWORD_FILE"):
        load({"VV_CONFIG": "", "VV_EXPORTER_URL": "http://ana:pw@e:1"})


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"VV_EXPORTER_USERNAME": "ana"}, "VV_EXPORTER_PASSWORD_FILE: is not set"),
        ({"VV_EXPORTER_PASSWORD": "pw"}, "VV_EXPORTER_USERNAME: is not set"),
        ({"VV_EXPORTER_CA_FILE": "/x"}, "VV_EXPORTER_URL: does not begin with https://"),
    ],
)
def test_half_of_it_is_refused(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load({"VV_CONFIG": "", **environ})


def test_a_program_that_reads_no_secrets_does_not_miss_their_other_half() -> None:
    environ = {"VV_EXPORTER_USERNAME": "ana", "VV_EXPORTER_PASSWORD": "pw", "VV_CONFIG": ""}
    store = {"VV_REMOTE_WRITE_URL": "https://s", "VV_REMOTE_WRITE_USERNAME": "u", "VV_REMOTE_WRITE_PASSWORD": "pw"}

    assert load(environ | store, secrets=False).exporter_username == "ana"
