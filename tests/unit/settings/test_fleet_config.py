"""What a fleet's centre may say of a device's settings, what wins, and what is left out."""

import time
from pathlib import Path

import msgspec
import pytest

from vv_exporter.settings import Settings, SettingsError, load, load_with_fleet_config, variables
from vv_exporter.settings.fleet_config import (
    MAX_KEPT_BYTES,
    REMOTE_SECTIONS,
    REMOTE_SETTINGS,
    KeptConfig,
    find_costly_yaml,
    kept_file,
    read_kept,
    usable_kept,
)
from vv_exporter.settings.loading import MAX_CONFIG_BYTES
from vv_exporter.settings.sections import ConfigFile
from vv_exporter.settings.values import FreeSpace, Secret

KEY = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
OTHER_KEY = "MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="


class Device:
    """A device that pulls; `vv.yml` is its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "vv.yml"
        self.file.write_text("{}")
        (folder / "state" / "exporter").mkdir(parents=True)
        self.environ = {
            "VV_STATE_DIR": str(folder / "state"),
            "VV_CONFIG": str(self.file),
            "VV_FLEET_CONFIG_URL": "https://fleet.example.org/vv.signed",
            "VV_FLEET_CONFIG_KEY": KEY,
        }

    def keep(self, config: str, version: int = 8, key: str = KEY) -> None:
        kept_file(self.load()).write_bytes(msgspec.json.encode(KeptConfig(version, key, config)))

    def load(self, **environ: str) -> Settings:
        return load({**self.environ, **environ})

    def problems(self, config: str) -> str:
        with pytest.raises(SettingsError) as error:
            load_with_fleet_config(self.environ, KeptConfig(8, KEY, config))
        return "\n".join(error.value.problems)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_the_environment_beats_the_centre_and_the_centre_beats_the_file(device: Device) -> None:
    device.file.write_text("""
settings: {HOST_CPU_HIGH: 50%, HOST_MEMORY_HIGH: 50%, DVR_DOWN: 1h}
stages: {scan_video: {limit: 1m}, own: {limit: 2m}}
""")
    device.keep("""
settings: {HOST_CPU_HIGH: 60%, HOST_MEMORY_HIGH: 60%}
stages: {scan_video: {limit_per_gb: 5m}}
jobs: {nightly: {schedule: "0 3 * * *"}}
""")
    settings = device.load(HOST_MEMORY_HIGH="70%")

    assert settings.fleet_config_version == 8
    assert (settings.host_cpu_high, settings.host_memory_high, settings.dvr_down) == (0.6, 0.7, 3600)
    # A name is taken as a whole: what the file says of it is not mixed in.
    assert settings.stages["scan_video"].limit is None
    assert settings.stages["scan_video"].limit_per_gb == 300
    assert settings.stages["own"].limit == 120
    assert settings.jobs["nightly"].schedule == "0 3 * * *"


def test_what_may_be_said_are_limits_and_times_only() -> None:
    known = {variable.name: attribute for attribute, variable in variables().items()}
    secrets = {variable.name for variable in variables().values() if variable.secret}

    assert known.keys() >= REMOTE_SETTINGS
    assert not REMOTE_SETTINGS & secrets
    for name in REMOTE_SETTINGS:
        value = getattr(load({"VV_CONFIG": ""}), known[name])
        assert not isinstance(value, (Path, Secret)), name
        assert isinstance(value, (float, FreeSpace, int, type(None))) or name in (
            "DIGEST_AT", "DIGEST_TIMEZONE", "VV_DRILL_AT", "VV_DRILL_TIMEZONE"
        ), name  # fmt: skip


def test_everything_else_is_refused_by_its_name(device: Device) -> None:
    others = [variable for variable in variables().values() if variable.name not in REMOTE_SETTINGS]
    secret = [name for one in others if one.secret for name in (one.name, f"{one.name}_FILE")]
    plain = [one.name for one in others if not one.secret]
    found = device.problems("settings:\n" + "".join(f"  {name}: hunter2\n" for name in (*secret, *plain)))

    for name in secret:
        assert f"{name}: is a secret, or the file of one, and may not stand in" in found
    for name in plain:
        assert f"{name}: is for the device to say, and may not stand in" in found


@pytest.mark.parametrize("name", ["VV_CONFIG", "VV_HMAC_KEY_FILE", "VV_REQUIRE_ALL", "SPELT_WRONGLY", "<<", "PATH"])
def test_a_key_that_is_no_setting_of_the_exporter_is_refused(device: Device, name: str) -> None:
    assert f"{name}: is for the device to say" in device.problems(f"settings: {{'{name}': x}}")


def test_no_secret_of_what_is_refused_is_shown(device: Device) -> None:
    found = device.problems("settings: {SLACK_WEBHOOK_URL: 'https://hooks.example.org/hunter2'}")

    assert "is a secret" in found
    assert "hunter2" not in found


@pytest.mark.parametrize("section", [one for one in ConfigFile.__struct_fields__ if one not in REMOTE_SECTIONS])
def test_what_is_probed_and_restarted_is_for_the_device_to_say(device: Device, section: str) -> None:
    assert f"{section}: is for the device to say" in device.problems(f"{section}: {{containers: [a]}}")


def test_a_path_in_a_job_is_refused(device: Device) -> None:
    found = device.problems("jobs: {a: {heartbeat_file: /etc/shadow}}")

    assert "jobs.a.heartbeat_file: is a path" in found


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("stages: [", "is not valid YAML: line 1"),
        ("stages: {}\nstages: {}", "duplicate key stages"),
        ("settings: {DVR_DOWN: 1h, DVR_DOWN: 2h}", "duplicate key DVR_DOWN"),
        ("settings: {DVR_DOWN: \x00}", "is not valid YAML"),
        ("settings: {DVR_DOWN: \ud800}", "is not valid YAML"),
        ("!!python/object/apply:os.system [reboot]", "could not determine a constructor"),
        ("a: &a [1]\nstages: {scan: *a}", "has aliases"),
        ("[" * 100_000, "nested more than 20 deep"),
        ("a:\n" + "".join(f"{' ' * n}a:\n" for n in range(1, 500)), "nested more than 20 deep"),
        ("just words", "holds no sections"),
        ("command: reboot", "command"),
        ("settings: {DVR_DOWN: never}", "DVR_DOWN"),
        ("settings: {DVR_DOWN: [1h]}", "DVR_DOWN: must be a single value"),
        ("stages: {scan: {limit: 1m, run: reboot}}", "unknown key `run`"),
        ("settings: {DISK_WARNING_FREE: 5%, DISK_CRITICAL_FREE: 50%}", "DISK_CRITICAL_FREE"),
    ],
)
def test_what_is_wrong_is_said(device: Device, config: str, problem: str) -> None:
    assert problem in device.problems(config)


def test_a_few_lines_that_stand_for_millions_cost_nothing(device: Device) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join(9 * [f'*{before}'])}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    began = time.monotonic()

    assert "has aliases" in device.problems("\n".join(lines))
    assert time.monotonic() - began < 5


def test_what_does_not_go_together_with_the_device_any_more_is_left_out(device: Device) -> None:
    device.keep("settings: {DISK_CRITICAL_FREE: 15%, DISK_WARNING_FREE: 20%}\nstages: {scan: {limit: 1m}}")
    assert device.load().fleet_config_version == 8

    settings = device.load(DISK_WARNING_FREE="12%")

    assert settings.fleet_config_version == 0
    assert settings.stages == {}


def test_what_is_wrong_on_the_device_itself_is_still_told(device: Device) -> None:
    device.keep("settings: {DVR_DOWN: 1h}")

    with pytest.raises(SettingsError, match="VV_EXPORTER_PORT"):
        device.load(VV_EXPORTER_PORT="x")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": "8"}', b"\xff", b"[" * 100_000])
def test_what_cannot_be_read_is_none(device: Device, content: bytes) -> None:
    device.keep("settings: {DVR_DOWN: 1h}")
    kept_file(device.load()).write_bytes(content)

    assert read_kept(device.load()) is None
    assert device.load().dvr_down == 900


def test_a_link_or_a_pipe_in_its_place_is_none(device: Device, tmp_path: Path) -> None:
    device.keep("settings: {DVR_DOWN: 1h}")
    file = kept_file(device.load())
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")

    assert device.load().fleet_config_version == 0


def test_with_another_key_or_without_an_address_it_is_not_used(device: Device) -> None:
    device.keep("settings: {DVR_DOWN: 1h}", key=OTHER_KEY)
    assert device.load().dvr_down == 900

    device.keep("settings: {DVR_DOWN: 1h}")
    assert device.load().dvr_down == 3600
    assert usable_kept(device.load(VV_FLEET_CONFIG_URL="", VV_FLEET_CONFIG_KEY="")) is None


def test_depth_is_counted_and_not_length() -> None:
    assert find_costly_yaml(b"[" * 20 + b"]" * 20) == ""
    assert "20 deep" in find_costly_yaml(b"[" * 21 + b"]" * 21)
    assert find_costly_yaml(b"[" + b"[{}], " * 100 + b"]") == ""


def test_the_largest_one_can_be_read_again(device: Device) -> None:
    """JSON writes a control character as six."""
    device.keep("\x01" * MAX_CONFIG_BYTES)

    assert read_kept(device.load()) is not None
    assert MAX_KEPT_BYTES == 8_388_608
