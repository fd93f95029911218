"""The configuration is read strictly, and every complaint names its key and the cure."""

import os
from itertools import combinations, permutations
from pathlib import Path

import pytest

from vv_exporter.settings import FreeSpace, Settings, SettingsError, load, variables
from vv_exporter.settings.sections import (
    ContainersSettings,
    DvrSettings,
    JobSettings,
    SelfMonitorSettings,
    StageSettings,
)

MAIL = {"SMTP_SMARTHOST": "mail.example.org:587", "SMTP_FROM": "vv@example.org", "ALERT_EMAIL_TO": "ana@example.org"}


def problems(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as error:
        load(environ)
    return error.value.problems


def problem(environ: dict[str, str]) -> str:
    (only,) = problems(environ)
    return only


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "vv.yml"


def with_file(config: Path, text: str, **environ: str) -> dict[str, str]:
    config.write_text(text)
    return {"VV_CONFIG": str(config), **environ}


def test_nothing_needs_to_be_set() -> None:
    settings = load({})

    assert settings.exporter_port == 19461
    assert settings.scrape_interval == 10
    assert settings.disk_warning_free == FreeSpace(0.2, 50_000_000_000, 0.3)
    assert settings.disk_critical_free == FreeSpace(0.1, 10_000_000_000, 0.15)
    assert settings.container_cpu_high == settings.host_memory_high == 0.9
    assert settings.logs == settings.state_dir / "logs"
    assert not settings.slack_webhook_url
    assert settings.alertmanager == "http://127.0.0.1:9093"


def test_the_environment_wins_over_the_file(config: Path) -> None:
    text = "settings: {VV_DEVICE_ID: from-file, VV_EXPORTER_PORT: 9000, DISK_WARNING_FREE: 30%}"
    settings = load(with_file(config, text, VV_DEVICE_ID="from-environment"))

    assert settings.device_id == "from-environment"
    assert settings.exporter_port == 9000
    assert settings.disk_warning_free == FreeSpace(0.3, None)


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert load({"VV_EXPORTER_PORT": "", "SLACK_WEBHOOK_URL": ""}) == load({})


def test_sections_of_the_file(config: Path) -> None:
    text = """
stages:
  scan_video: {limit: 15m}
jobs:
  cleanup: {schedule: "0 3 * * *", timezone: Europe/Lisbon, grace: 30m}
containers:
  essential: [agent_dvr]
"""
    settings = load(with_file(config, text))

    assert settings.stages["scan_video"].limit == 900
    assert settings.jobs["cleanup"].grace == 1800
    assert settings.containers.essential == ("agent_dvr",)


def test_the_environments_limit_of_a_stage_wins(config: Path) -> None:
    text = "stages: {scan_video: {limit: 15m}, summarize_scene: {limit: 1m}}"
    settings = load(with_file(config, text, MAX_PROCESSING_TIME_SCAN_VIDEO="90"))

    assert settings.stages["scan_video"].limit == 90
    assert settings.stages["summarize_scene"].limit == 60


def test_a_secret_can_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "slack"
    file.write_text("https://hooks.example/T/B/x\n")

    assert load({"SLACK_WEBHOOK_URL_FILE": str(file)}).slack_webhook_url.value == "https://hooks.example/T/B/x"


def test_a_secret_is_never_shown() -> None:
    settings = load({"PAGERDUTY_ROUTING_KEY": "r0ut1ng", "WEBHOOK_URL": "http://h/s3cret"})

    shown = f"{settings!r} {settings} {settings.pagerduty_routing_key}"
    assert "r0ut1ng" not in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize("name", ["SLACK_WEBHOOK_URL", "WEBHOOK_URL", "DEADMAN_URL", "VV_REMOTE_WRITE_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/s3cret",
        "https://u:[s3cret]@host/",
        "https://[s3cret]/",
        "https://u:s3cret\u2100@h/",
        "http://[s3cret",
        "https://h:s3cret/",
        "https://u:s3cret@h:99999/",
    ],
)
def test_a_wrong_url_is_not_quoted(name: str, url: str) -> None:
    said = problem({name: url})

    assert said.startswith(f"{name}: must ")
    assert "s3cret" not in said


@pytest.mark.parametrize(
    "value",
    [
        "'s3cret",
        '"s3cret\\q"',
        "s3cret: x",
        "[s3cret",
        "*s3cret",
        "!s3cret x",
        "!x s3cret",
        "!!int s3cret",
        "!!binary s3cret\u00e9",
        "%s3cret",
        "@s3cret",
        "&s3cret &s3cret x",
        "|s3cret",
        "{s3cret: [}",
    ],
)
def test_yaml_that_is_wrong_is_not_quoted_for_it_may_be_a_secret(config: Path, value: str) -> None:
    told = problems(with_file(config, f"settings:\n  SMTP_PASSWORD: {value}\n"))

    assert told[0].startswith(("VV_CONFIG: ", "SMTP_PASSWORD: "))
    assert "s3cret" not in " ".join(told)
    assert "s3" not in " ".join(told)


@pytest.mark.parametrize(
    ("size", "warning", "critical"),
    [(5e9, 1.5e9, 0.75e9), (32e9, 9.6e9, 4.8e9), (64e9, 19.2e9, 9.6e9), (200e9, 50e9, 20e9), (2e12, 400e9, 200e9)],
)
def test_the_default_limits_of_a_disk_are_sensible_for_its_size(size: float, warning: float, critical: float) -> None:
    settings = load({})

    assert settings.disk_warning_free.least(size) == pytest.approx(warning)
    assert settings.disk_critical_free.least(size) == pytest.approx(critical)


@pytest.mark.parametrize("text", ["50GB", "20%,50GB", "50GB, max 100%"])
def test_who_sets_a_limit_gets_it(text: str) -> None:
    assert load({"DISK_WARNING_FREE": text}).disk_warning_free.least(60e9) == 50e9


def test_yaml_that_is_wrong_is_told_with_its_place(config: Path) -> None:
    assert "line 2, column 16: mapping values are not allowed here" in problem(
        with_file(config, "a: {}\nVV_DEVICE_ID: b: c")
    )


@pytest.mark.parametrize(
    "key",
    [
        "VV_ALERTMANAGER_PUBLIC_URL",
        "VV_ALERTMANAGER_URL",
        "VV_EXPORTER_URL",
        "VV_PROMETHEUS_URL",
        "VV_PROMETHEUS_HOST_URL",
        "VV_ALERTMANAGER_HOST_URL",
        "VV_EXPORTER_HOST_URL",
        "VV_PUBLIC_URL",
        "VV_RUNBOOK_BASE_URL",
    ],
)
def test_an_address_that_messages_show_holds_no_password(key: str) -> None:
    said = problem({key: "http://me:hidden@server:9090"})

    assert said.startswith(f"{key}: must not hold a user or password")
    assert "hidden" not in said


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"VV_SCRAPE_INTERVAL": "soon"}, "VV_SCRAPE_INTERVAL: "),
        ({"VV_SCRAPE_INTERVAL": "100ms"}, "VV_SCRAPE_INTERVAL: "),
        ({"VV_ALERT_WINDOW": "0"}, "VV_ALERT_WINDOW: '0' must be longer than 0"),
        ({"MAX_PROCESSING_TIME_SCAN_VIDEO": "-5"}, "MAX_PROCESSING_TIME_SCAN_VIDEO: "),
        ({"VV_EXPORTER_PORT": "http"}, "VV_EXPORTER_PORT: 'http' is not a port; give a number from 1 to 65535"),
        ({"VV_EXPORTER_PORT": "70000"}, "VV_EXPORTER_PORT: '70000' is not a port"),
        ({"VV_EXPORTER_PORT": "9090"}, "VV_PROMETHEUS_PORT: 9090 is the port of VV_EXPORTER_PORT too"),
        ({"VV_STATE_DIR": "state"}, "VV_STATE_DIR: 'state' is not an absolute path; begin it with /"),
        ({"VV_DEVICE_ID": "two words"}, "VV_DEVICE_ID: letters, digits"),
        ({"DISK_WARNING_FREE": "20"}, "DISK_CRITICAL_FREE: is above DISK_WARNING_FREE"),
        ({"DISK_WARNING_FREE": "120%"}, "DISK_WARNING_FREE: '120%' is not a percentage between 0% and 100%"),
        ({"DISK_WARNING_FREE": "x%"}, "DISK_WARNING_FREE: 'x%' is not a percentage"),
        ({"CONTAINER_CPU_HIGH": "0.9"}, "CONTAINER_CPU_HIGH: '0.9' is not a percentage above 0%"),
        ({"HOST_MEMORY_HIGH": "0%"}, "HOST_MEMORY_HIGH: '0%' is not a percentage above 0%"),
        ({"HOST_MEMORY_HIGH": "101%"}, "HOST_MEMORY_HIGH: '101%' is not a percentage above 0%"),
        ({"CONTAINER_CPU_HIG": "90%"}, "CONTAINER_CPU_HIG: unknown key; did you mean CONTAINER_CPU_HIGH?"),
        ({"DISK_WARNING_FREE": "50GB,max30"}, "DISK_WARNING_FREE: '30' is not a percentage"),
        ({"DISK_WARNING_FREE": "20%,max30%"}, "DISK_WARNING_FREE: max without a size"),
        ({"DISK_CRITICAL_FREE": "lots"}, "DISK_CRITICAL_FREE: "),
        ({"SLACK_WEBHOOK_URL": "hooks"}, "SLACK_WEBHOOK_URL: must be a URL"),
        ({"DIGEST_AT": "7 am"}, "DIGEST_AT: '7 am' is not a time of day; write e.g. 07:00, or off"),
        ({"DIGEST_AT": "24:00"}, "DIGEST_AT: '24:00' is not a time of day"),
        ({"DIGEST_TIMEZONE": "Lisbon"}, "DIGEST_TIMEZONE: 'Lisbon' is not known; write e.g. Europe/Lisbon"),
        (
            {"SLACK_WEBHOOK_URL_FILE": "/nowhere/slack"},
            "SLACK_WEBHOOK_URL: SLACK_WEBHOOK_URL_FILE: /nowhere/slack cannot",
        ),
        ({"TELEGRAM_BOT_TOKEN": "t"}, "TELEGRAM_CHAT_ID: is not set, but TELEGRAM_BOT_TOKEN is"),
        ({"VV_CONFIG": "/nowhere/vv.yml"}, "VV_CONFIG: /nowhere/vv.yml cannot be read (No such file or directory)"),
        ({"VV_STATEDIR": "/x"}, "VV_STATEDIR: unknown key; did you mean VV_STATE_DIR?"),
        ({"DISK_WARNING_FRE": "5%"}, "DISK_WARNING_FRE: unknown key; did you mean DISK_WARNING_FREE?"),
        ({"VV_HISTORY_DAYS": "0"}, "VV_HISTORY_DAYS: '0' is not a whole number above 0"),
        ({"VV_HISTORY_DAYS": "9" * 400}, "VV_HISTORY_DAYS: '999"),
        ({"VV_EXPORTER_PORT": "9" * 5_000}, "VV_EXPORTER_PORT: '999"),
        (
            {"VV_REMOTE_WRITE_URL": "https://me:hidden@store.example.org"},
            "VV_REMOTE_WRITE_URL: must not hold a user or password; there are variables for them",
        ),
        ({"VV_REMOTE_WRITE_TOKEN": "t"}, "VV_REMOTE_WRITE_URL: is not set, but a credential for it is"),
        (
            {"VV_REMOTE_WRITE_URL": "https://store.example.org", "VV_REMOTE_WRITE_USERNAME": "me"},
            "VV_REMOTE_WRITE_PASSWORD: is not set, but the other half is",
        ),
        (
            {
                "VV_REMOTE_WRITE_URL": "https://store.example.org",
                "VV_REMOTE_WRITE_USERNAME": "me",
                "VV_REMOTE_WRITE_PASSWORD": "p",
                "VV_REMOTE_WRITE_TOKEN": "t",
            },
            "VV_REMOTE_WRITE_TOKEN: is set beside user and password; choose one way",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_key(environ: dict[str, str], said: str) -> None:
    assert problem(environ).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("settings: {VV_DEVICE: x}", "VV_DEVICE: unknown key in vv.yml below settings:"),
        ("jbos: {}", "unknown key `jbos`; its sections are settings, stages, jobs, containers"),
        ("stages: {scan: {limit: soon}}", "stages.scan: "),
        ("stages: {scan: {limits: 5}}", "stages.scan: unknown key `limits`; known keys: limit"),
        ("jobs: {nightly: {}}", "jobs.nightly: says nothing; give a schedule"),
        ('jobs: {nightly: {schedule: "61 * * * *"}}', "jobs.nightly.schedule: '61 * * * *' is not a cron expression"),
        (
            'jobs: {nightly: {schedule: "1 * * * *", timezone: Mars/Base}}',
            "jobs.nightly.timezone: 'Mars/Base' is not known",
        ),
        ("containers: {essential: 5}", "containers: "),
        ("a: b: c", "is not valid YAML"),
        ("stages: {}\nstages: {}", "duplicate key stages"),
        ("- list", "VV_CONFIG: "),
    ],
)
def test_a_wrong_file_is_told_with_the_key(config: Path, text: str, said: str) -> None:
    assert said in problem(with_file(config, text))


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("DIGEST_AT: off", "digest_at", ""),
        ("DIGEST_AT: 07:00", "digest_at", "07:00"),
        ("DIGEST_AT: '07:00'", "digest_at", "07:00"),
        ("VV_DEVICE_ID: 0123", "device_id", "0123"),
        ("VV_DEVICE_ID: 1e3", "device_id", "1e3"),
        ("VV_DEVICE_ID: 2026-11-29", "device_id", "2026-11-29"),
        ("VV_DEVICE_ID: yes", "device_id", "yes"),
        ("VV_DEVICE_ID: 1_000", "device_id", "1_000"),
        ("VV_DEVICE_ID: 2026-13-45", "device_id", "2026-13-45"),
        ("VV_DEVICE_ID: ! true", "device_id", "true"),
        ("SMTP_REQUIRE_TLS: yes", "smtp_require_tls", "true"),
        ("SMTP_REQUIRE_TLS: Off", "smtp_require_tls", "false"),
        ("SMTP_REQUIRE_TLS: true", "smtp_require_tls", "true"),
        ("VV_EXPORTER_PORT: 9001", "exporter_port", 9001),
    ],
)
def test_text_stays_text_in_the_file_as_in_an_environment(config: Path, text: str, name: str, value: object) -> None:
    assert getattr(load(with_file(config, f"settings:\n  {text}\n")), name) == value


def test_a_password_of_digits_is_what_was_written(config: Path) -> None:
    text = "settings: {DVR_URL: 'rtsp://camera/stream', DVR_USERNAME: 007, DVR_PASSWORD: 01234567}"
    dvr = load(with_file(config, text)).dvrs["dvr"]

    assert (dvr.username, dvr.password.value) == ("007", "01234567")


def test_a_section_that_is_wrong_hides_nothing_of_others(config: Path) -> None:
    text = "stages: [a]\njbos: {}\ncontainers: {essential: 5}\nsettings: {VV_EXPORTER_PORT: x}\njobs: {n: {}}\n"
    told = " | ".join(problems(with_file(config, text)))

    for said in ("$.stages", "unknown key `jbos`", "containers: ", "VV_EXPORTER_PORT: 'x'", "jobs.n: says nothing"):
        assert said in told


SECTIONS = {
    "stages": ("stages: {n: {%s}}", StageSettings),
    "jobs": ("jobs: {n: {%s}}", JobSettings),
    "dvrs": ("dvrs: {n: {%s}}", DvrSettings),
    "containers": ("containers: {%s}", ContainersSettings),
    "self_monitor": ("self_monitor: {%s}", SelfMonitorSettings),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_key_that_is_wrong_hides_nothing_of_the_others_of_its_section(config: Path, section: str) -> None:
    """Each pair of them, and each with one that nobody knows."""
    text, type_ = SECTIONS[section]
    wrong = [f"{name}: [[1]]" for name in type_.__struct_fields__] + ["colour: 1"]
    for one, other in combinations(wrong, 2):
        told = " | ".join(problems(with_file(config, text % f"{one}, {other}")))
        for key in (one.partition(":")[0], other.partition(":")[0]):
            assert f"$.{key}" in told or f"unknown key `{key}`" in told, (one, other, told)


def test_what_is_missing_is_told_beside_what_is_wrong(config: Path) -> None:
    told = " | ".join(problems(with_file(config, "dvrs: {n: {interval: soon, colour: 1}}")))

    for said in ("missing required field `url`", "unknown key `colour`", "at `$.interval`"):
        assert said in told


@pytest.mark.parametrize(("one", "other"), list(permutations(SECTIONS, 2)))
def test_a_section_that_is_wrong_hides_nothing_of_any_other(config: Path, one: str, other: str) -> None:
    bad = {name: SECTIONS[name][0] % "colour: 1" for name in (one, other)}
    for first in (f"{one}: 5", bad[one]):
        told = " | ".join(problems(with_file(config, f"{first}\n{bad[other]}\n")))
        for said in (one, other, "unknown key `colour`"):
            assert said in told


def test_everything_that_is_wrong_is_told_at_once() -> None:
    told = problems({"VV_EXPORTER_PORT": "x", "VV_SCRAPE_INTERVAL": "y", "VV_CONFIG": "/nowhere"})

    assert [line.partition(":")[0] for line in told] == ["VV_CONFIG", "VV_EXPORTER_PORT", "VV_SCRAPE_INTERVAL"]


def test_an_unreadable_secret_is_told_without_its_content(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xff\xfes3cret")

    assert problem({"OPSGENIE_API_KEY_FILE": str(file)}) == (
        f"OPSGENIE_API_KEY: OPSGENIE_API_KEY_FILE: {file} is not text; it must hold the secret alone"
    )
    file.write_text("")
    assert problem({"OPSGENIE_API_KEY_FILE": str(file)}).endswith("is empty; put the secret into it")


def test_other_programs_variables_are_none_of_our_business() -> None:
    assert load({"VV_CAMERA_COLOUR": "green", "HOME": "/root"}) == load({})


def test_every_variable_says_what_it_means() -> None:
    for variable in variables().values():
        assert variable.meaning.endswith("."), variable.name
    assert len({variable.name for variable in variables().values()}) == len(variables())


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "slack"
    file.write_text("https://h/x")

    assert "are both set; keep one" in problem(
        {"SLACK_WEBHOOK_URL": "https://h/y", "SLACK_WEBHOOK_URL_FILE": str(file)}
    )


def test_settings_cannot_be_changed() -> None:
    settings = load({})

    with pytest.raises(AttributeError):
        settings.device_id = "other"  # type: ignore[misc]
    assert isinstance(settings, Settings)


def test_who_needs_no_secrets_does_not_touch_their_files(tmp_path: Path) -> None:
    config = tmp_path / "vv.yml"
    config.write_text(
        "settings: {WEBHOOK_URL_FILE: /nonexistent/webhook}\n"
        "dvrs: {front: {url: rtsp://192.0.2.7/, password_file: /nonexistent/dvr}}\n"
        "self_monitor: {containers: [agent_dvr]}\n"
    )
    environ = {
        "VV_CONFIG": str(config),
        "SLACK_WEBHOOK_URL_FILE": "/nonexistent/slack",
        "TELEGRAM_BOT_TOKEN": "123:abc",
        "SELF_MONITOR_MAX_RESTARTS": "7",
    }

    settings = load(environ, secrets=False)

    assert (settings.max_restarts, settings.self_monitor.containers) == (7, ("agent_dvr",))
    assert not settings.telegram_bot_token
    with pytest.raises(SettingsError, match="SLACK_WEBHOOK_URL"):
        load(environ)


@pytest.mark.parametrize(
    "value", ["22:00", "22-06", "22:00-22:00", "24:00-06:00", "25:00-06:00", "22:60-06:00", "always"]
)
def test_quiet_hours_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"VV_QUIET_HOURS: .* write e.g. 22:00-06:00"):
        load({"VV_QUIET_HOURS": value})


@pytest.mark.parametrize("value", ["hot", "-5", "0", "1000", "85C", "nan"])
def test_temperatures_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"HOST_TEMPERATURE_HIGH: .* e.g. 85"):
        load({"HOST_TEMPERATURE_HIGH": value})


@pytest.mark.parametrize(
    ("environ", "schedule"),
    [
        ({}, ""),
        ({"DIGEST_AT": "07:00"}, ""),
        (MAIL, "0 7 * * *"),
        (MAIL | {"DIGEST_AT": "00:05"}, "5 0 * * *"),
        (MAIL | {"DIGEST_AT": "off"}, ""),
    ],
)
def test_there_is_a_digest_only_with_a_mail_server_and_unless_it_is_off(environ: dict[str, str], schedule: str) -> None:
    assert load(environ).digest_schedule == schedule


@pytest.mark.parametrize(
    "value",
    [
        "!!int ''",
        "!!bool maybe",
        "2026-01-31 99:99:99",
        "!!timestamp x",
        "[" * 2_000,
        "!!binary a",
        "1" * 5_000,
    ],
)
def test_whatever_the_yaml_holds_is_told_in_a_line(config: Path, value: str) -> None:
    told = problems(with_file(config, f"settings:\n  VV_DEVICE_ID: {value}\n"))

    assert all(line.startswith(("VV_CONFIG: ", "VV_DEVICE_ID: ")) for line in told)


@pytest.mark.parametrize(
    "text", ['self_monitor: "\\uD800"', 'stages: {x: "\\uD800"}', 'settings: {VV_DEVICE_ID: "\\uD800"}']
)
def test_half_a_character_is_told_in_a_line(config: Path, text: str) -> None:
    assert len(problems(with_file(config, text))) == 1


@pytest.mark.parametrize("value", ["[a, b]", "{a: b}", "!!set {a}"])
def test_a_setting_is_a_single_value(config: Path, value: str) -> None:
    said = problem(with_file(config, f"settings: {{VV_DEVICE_ID: {value}}}"))

    assert said == "VV_DEVICE_ID: must be a single value"


def test_aliases_do_not_multiply(config: Path) -> None:
    layers = "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    text = f"a: &a [x, x]\n{layers}settings:\n  VV_DEVICE_ID: *i\n"

    assert any("VV_CONFIG" in line or "VV_DEVICE_ID" in line for line in problems(with_file(config, text)))


@pytest.mark.parametrize("make", ["device", "pipe", "huge"])
@pytest.mark.parametrize("key", ["VV_CONFIG", "SLACK_WEBHOOK_URL_FILE"])
def test_a_file_is_read_within_bounds(tmp_path: Path, key: str, make: str) -> None:
    file = tmp_path / "file"
    if make == "device":
        file.symlink_to("/dev/zero")
    elif make == "pipe":
        os.mkfifo(file)
    else:
        file.touch()
        os.truncate(file, 1 << 40)

    assert key in problem({key: str(file)})


def test_a_secret_may_be_a_link_as_those_that_are_mounted_are(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("https://hooks.example.org/x\n")
    (tmp_path / "secret").symlink_to("data")

    assert (
        load({"SLACK_WEBHOOK_URL_FILE": str(tmp_path / "secret")}).slack_webhook_url.value
        == "https://hooks.example.org/x"
    )


@pytest.mark.parametrize("name", ["VV_STATE_DIR", "VV_LOG_DIR", "VIDEO_STORAGE_ROOT"])
def test_the_home_of_nobody_is_told(name: str) -> None:
    assert problem({name: "~nosuchuser/x"}).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        ('{files: "{dvr}.mp4"}', "footage.gate.files: '{dvr}.mp4' does not say when a file begins"),
        ("{length: 0.5s}", "footage.gate.length: 0.5 s is not between 1s and 6h"),
        ("{length: 7h}", "footage.gate.length: 25200 s is not between 1s and 6h"),
        ("{expected: nights}", "footage.gate.expected: 'nights' is not a cron expression"),
        ("{timezone: Mars}", "footage.gate.timezone: 'Mars' is not known"),
        ("{file: x}", "footage.gate: unknown key `file`; known keys: files, length, expected, timezone, "),
        ('{files: "{dvr}_{start:%s}.mp4"}', "VIDEO_STORAGE_ROOT: is not set, but footage in vv.yml has files"),
    ],
)
def test_what_is_wrong_with_footage_is_named(tmp_path: Path, camera: str, said: str) -> None:
    config = tmp_path / "vv.yml"
    config.write_text(f"footage:\n  gate: {camera}\n")

    with pytest.raises(SettingsError) as failure:
        load({"VV_CONFIG": str(config)})

    assert any(problem.startswith(said) for problem in failure.value.problems)


def test_footage_is_always_expected_unless_it_is_said(tmp_path: Path) -> None:
    config = tmp_path / "vv.yml"
    config.write_text('footage:\n  gate: {files: "{dvr}_{start:%s}.mp4"}\n  yard:\n')

    footage = load({"VV_CONFIG": str(config), "VIDEO_STORAGE_ROOT": "/srv"}).footage

    assert {name: (one.length, one.expected, one.timezone) for name, one in footage.items()} == {
        "gate": (60, "always", "UTC"),
        "yard": (60, "always", "UTC"),
    }
