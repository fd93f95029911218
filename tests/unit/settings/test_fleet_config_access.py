"""Where a fleet's configuration is pulled, and the key that it is believed by."""

from pathlib import Path

import pytest

from vv_exporter.settings import Settings, SettingsError, load

KEY = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def pulling(**environ: str) -> Settings:
    both = {"VV_FLEET_CONFIG_URL": "https://fleet.example.org/vv.signed", "VV_FLEET_CONFIG_KEY": KEY}
    return load({"VV_CONFIG": "", **both, **environ})


def test_a_key_is_text_or_a_file(tmp_path: Path) -> None:
    pem = tmp_path / "fleet.pub"
    pem.write_text(f"-----BEGIN PUBLIC KEY-----\n{KEY}\n-----END PUBLIC KEY-----\n")
    plain = tmp_path / "plain.pub"
    plain.write_text(f"{KEY}\n")

    assert {pulling(VV_FLEET_CONFIG_KEY=key).fleet_config_key for key in (KEY, str(pem), str(plain))} == {KEY}


@pytest.mark.parametrize("key", ["x", KEY[:-4], "A" * 60, "/nowhere/fleet.pub", f"{KEY}{KEY}", "é"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="VV_FLEET_CONFIG_KEY"):
        pulling(VV_FLEET_CONFIG_KEY=key)


@pytest.mark.parametrize(
    "url",
    [
        "http://fleet.example.org/vv",
        "ftp://fleet.example.org/",
        "https://a:b@fleet.example.org/",
        "file:///etc/vv/vv.yml",
    ],
)
def test_an_address_is_https_without_a_password(url: str) -> None:
    with pytest.raises(SettingsError, match="VV_FLEET_CONFIG_URL"):
        pulling(VV_FLEET_CONFIG_URL=url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/vv", "http://localhost/vv", "http://[::1]/vv"])
def test_plain_http_is_for_this_machine(url: str) -> None:
    assert pulling(VV_FLEET_CONFIG_URL=url).fleet_config_url == url


def test_an_address_needs_a_key_and_a_key_an_address() -> None:
    with pytest.raises(SettingsError, match="VV_FLEET_CONFIG_KEY: is not set"):
        pulling(VV_FLEET_CONFIG_KEY="")
    with pytest.raises(SettingsError, match="VV_FLEET_CONFIG_URL: is not set"):
        pulling(VV_FLEET_CONFIG_URL="")
