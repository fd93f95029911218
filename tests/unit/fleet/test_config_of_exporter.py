"""The whole way: signed by `vv fleet sign`, pulled by a real exporter, in use, seen, refused."""

import json
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from tests.support.certificates import Certificates
from tests.support.exporter import QUIET, Exporter
from tests.support.signed import serving
from tests.support.waiting import wait_until
from vv_exporter.cli import vv


def run(*words: str | Path, **environ: str) -> Result:
    return CliRunner().invoke(vv, [str(word) for word in words], env={"VV_CONFIG": "", **environ})


class Centre:
    """What an operator of the centre has: a key, a vv.yml, and the signed file."""

    def __init__(self, folder: Path) -> None:
        self.key, self.config, self.out = folder / "fleet.key", folder / "vv.yml", folder / "vv.signed"
        made = run("fleet", "keygen", self.key)
        assert made.exit_code == 0, made.output
        self.public = made.output.strip().removeprefix("VV_FLEET_CONFIG_KEY=")

    def sign(self, config: str, version: int, *options: str | Path) -> Result:
        self.config.write_text(config)
        words = ("--key", self.key, "--version", str(version), "--out", self.out, *options)
        return run("fleet", "sign", self.config, *words)


@pytest.fixture
def operator(tmp_path: Path) -> Centre:
    return Centre(tmp_path)


def test_what_is_signed_is_used_by_a_device_and_what_is_older_is_refused(
    tmp_path: Path, operator: Centre, certificates: Certificates
) -> None:
    assert operator.sign("settings: {DVR_DOWN: 1h}", 8, "--devices", "site=porto").exit_code == 0
    with serving(certificates) as centre:
        centre.file = operator.out.read_bytes()
        environ = {
            "REQUESTS_CA_BUNDLE": str(certificates.authority),
            "VV_FLEET_CONFIG_URL": centre.url,
            "VV_FLEET_CONFIG_KEY": operator.public,
            "VV_FLEET_CONFIG_INTERVAL": "1s",
            "VV_SITE": "porto",
            **QUIET,
        }
        with Exporter(tmp_path / "state", **environ) as exporter:
            pid = exporter.pid
            wait_until(lambda: value(exporter, "vv_fleet_config_version") == 8, 60, what="the new configuration")
            assert value(exporter, "vv_threshold_dvr_down_seconds") == 3600
            assert exporter.pid == pid
            assert (
                exporter.metrics()['vv_exporter_starts_total{previous="stopped"}'] == 2
            )  # the first start, and this one
            assert exporter.metrics()['vv_exporter_starts_total{previous="killed"}'] == 0

            told = {**exporter.environ, **environ}
            shown = run("fleet", "status", "--json", **told)
            assert json.loads(shown.stdout)["configuration_version"] == "8"
            assert shown.exit_code == 0

            assert operator.sign("settings: {DVR_DOWN: 2h}", 7).exit_code == 0
            centre.file = operator.out.read_bytes()
            exporter.wait_for('vv_fleet_config_refused{reason="version"}', 1)
            assert exporter.metrics()["vv_fleet_config_version"] == 8
            assert "refused (version)" in requests.get(exporter.url, timeout=10).text
            shown = run("fleet", "status", **told)
            assert "version 7 is older than 8" in shown.stdout
            assert shown.exit_code == 1


def value(exporter: Exporter, name: str) -> float | None:
    """None while it begins anew."""
    try:
        return exporter.metrics().get(name)
    except requests.RequestException:
        return None


def test_canaries_are_signed_above_what_the_others_keep(operator: Centre) -> None:
    operator.sign("stages: {a: {limit: 1m}}", 1)
    done = operator.sign(
        "stages: {a: {limit: 2m}}", 2, "--devices", "site=porto", "--devices", "n-1", "--above", operator.out
    )
    assert done.exit_code == 0, done.output
    assert "version 2, for site=porto, n-1" in done.output

    document = json.loads(operator.out.read_bytes().partition(b"\n")[2])
    assert [(one["version"], one["devices"]) for one in document["releases"]] == [(2, ["site=porto", "n-1"]), (1, [])]

    again = operator.sign("stages: {a: {limit: 3m}}", 2, "--above", operator.out)
    assert again.exit_code == 1
    assert "not newer than 2" in again.output


def test_what_devices_would_refuse_is_not_signed(operator: Centre) -> None:
    done = operator.sign("settings: {SLACK_WEBHOOK_URL: 'https://x/hunter2', DVR_DOWN: never}\ndvrs: {a: {url: x}}", 1)

    assert done.exit_code == 2
    for said in ("SLACK_WEBHOOK_URL: is a secret", "DVR_DOWN", "dvrs: is for the device to say"):
        assert said in done.output
    assert "hunter2" not in done.output
    assert not operator.out.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--devices", "rack=4"), "no devices are selected by"),
        (("--from", "soon"), "is no time"),
        (("--above", "/nowhere"), "/nowhere"),
    ],
)
def test_what_cannot_be_meant_is_said(operator: Centre, options: tuple[str, ...], said: str) -> None:
    done = operator.sign("stages: {}", 1, *options)

    assert done.exit_code in (1, 2)
    assert said in done.output
    assert not operator.out.exists()


def test_another_keys_file_is_not_signed_anew(operator: Centre, tmp_path: Path) -> None:
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    other = Centre(other_folder)
    other.sign("stages: {}", 1)

    done = operator.sign("stages: {}", 2, "--above", other.out)

    assert done.exit_code == 1
    assert "is not signed with" in done.output


def test_a_file_that_is_no_text_is_refused(operator: Centre) -> None:
    operator.config.write_bytes(b"\xff\xfe")

    done = run("fleet", "sign", operator.config, "--key", operator.key, "--version", "1", "--out", operator.out)

    assert done.exit_code == 1
    assert "is not UTF-8" in done.output


def test_the_files_may_lie_in_the_current_folder(operator: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    operator.config.write_text("settings: {DVR_DOWN: 1h}")
    monkeypatch.chdir(operator.config.parent)

    done = run("fleet", "sign", "vv.yml", "--key", "fleet.key", "--version", "1", "--out", "vv.signed")

    assert done.exit_code == 0, done.output
    assert operator.out.read_bytes().startswith(b"vv-fleet-config ed25519 ")


def test_a_key_is_made_once(operator: Centre) -> None:
    before = operator.key.read_bytes()

    assert run("fleet", "keygen", operator.key).exit_code == 1
    assert operator.key.read_bytes() == before
