"""Settings that contradict each other: each pair, at its edge, and with one of them not read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from vv_exporter.settings.checks import back_off, contradictions, job_problems, misspelt
from vv_exporter.settings.sections import JobSettings
from vv_exporter.settings.values import FreeSpace, Secret

USER, PASSWORD, TOKEN = {"remote_write_username": "u"}, {"remote_write_password": Secret("p")}, {
    "remote_write_token": Secret("t")
}  # fmt: skip
STORE = {"remote_write_url": "https://store"}
NO_PASSWORD: dict[str, Any] = {"remote_write_password": Secret("")}

WELL: list[dict[str, Any]] = [
    {},
    {"exporter_port": 1, "prometheus_port": 2},
    {"disk_warning_free": FreeSpace(0.2, 50), "disk_critical_free": FreeSpace(0.2, 50)},
    {"disk_warning_free": FreeSpace(0.2, None), "disk_critical_free": FreeSpace(None, 50)},
    {"disk_critical_free": FreeSpace(0.2, None)},
    STORE | USER | PASSWORD,
    STORE | TOKEN,
    STORE | NO_PASSWORD,
    USER | PASSWORD,
    USER,
    {"exporter_username": "u", "exporter_password": Secret("p")},
    {"exporter_username": "u"},
    {"exporter_username": "", "exporter_password": Secret("")},
    {"exporter_ca_file": "/ca", "own_url": "https://a"},
    {"own_url": "http://a"},
    {"drill_at": "0 10 * * 1", "drill_overdue": 7 * 86400.0 + 1},
    {"drill_at": "", "drill_overdue": 1.0},
    {"drill_at": "0 10 * * 1", "drill_overdue": None},
    {"restart_backoff": 5.0, "restart_backoff_max": 300.0, "max_restarts": 3, "restart_window": 35.1},
    {"restart_backoff": 5.0, "restart_backoff_max": 300.0, "max_restarts": 3},
    {"restart_backoff": 5.0, "restart_backoff_max": 300.0, "restart_window": 1.0},
    {"restart_backoff": 5.0, "max_restarts": 3, "restart_window": 1.0},
    {"restart_backoff_max": 5.0, "max_restarts": 3, "restart_window": 1.0},
    {"telegram_bot_token": "t", "telegram_chat_id": "1"},
    {"smtp_smarthost": "h", "alert_email_to": "a", "smtp_from": "f"},
]

PROBLEMS: list[tuple[dict[str, Any], str]] = [
    ({"exporter_port": 9100, "prometheus_port": 9100}, "VV_PROMETHEUS_PORT: 9100 is the port of VV_EXPORTER_PORT too"),
    (
        {"disk_warning_free": FreeSpace(0.2, None), "disk_critical_free": FreeSpace(0.21, None)},
        "DISK_CRITICAL_FREE: is above",
    ),
    (
        {"disk_warning_free": FreeSpace(0.2, 50), "disk_critical_free": FreeSpace(0.2, 51)},
        "DISK_CRITICAL_FREE: is above",
    ),
    ({"remote_write_url": ""} | TOKEN, "VV_REMOTE_WRITE_URL: is not set"),
    ({"remote_write_url": ""} | USER | PASSWORD, "VV_REMOTE_WRITE_URL: is not set"),
    (STORE | USER | NO_PASSWORD, "VV_REMOTE_WRITE_PASSWORD: is not set"),
    (STORE | PASSWORD, "VV_REMOTE_WRITE_USERNAME: is not set"),
    (STORE | TOKEN | USER, "VV_REMOTE_WRITE_TOKEN: is set beside"),
    ({"exporter_username": "u", "exporter_password": Secret("")}, "VV_EXPORTER_PASSWORD_FILE: is not set"),
    ({"exporter_username": "", "exporter_password": Secret("p")}, "VV_EXPORTER_USERNAME: is not set"),
    ({"exporter_ca_file": "/ca", "own_url": "http://a"}, "VV_EXPORTER_URL: does not begin with https://"),
    ({"exporter_ca_file": "/ca"}, "VV_EXPORTER_URL: does not begin with https://"),
    ({"drill_at": "0 10 * * 1", "drill_overdue": 7 * 86400.0}, "VV_DRILL_OVERDUE: VV_DRILL_AT may come only after 7 d"),
    (
        {"restart_backoff": 5.0, "restart_backoff_max": 300.0, "max_restarts": 3, "restart_window": 35.0},
        "SELF_MONITOR_WINDOW: the back-offs of 3 restarts add up to 35 s or more",
    ),
    (
        {"restart_backoff": 5.0, "restart_backoff_max": 10.0, "max_restarts": 3, "restart_window": 25.0},
        "SELF_MONITOR_WINDOW: the back-offs of 3 restarts add up to 25 s or more",
    ),
    (
        {"restart_backoff": 1.0, "restart_backoff_max": 1.0, "max_restarts": 99_999, "restart_window": 10_000.0},
        "SELF_MONITOR_WINDOW: the back-offs of 99999 restarts add up to 10000 s or more",
    ),
    ({"telegram_bot_token": "t"}, "TELEGRAM_CHAT_ID: is not set, but TELEGRAM_BOT_TOKEN is"),
    ({"telegram_chat_id": "1"}, "TELEGRAM_BOT_TOKEN: is not set, but TELEGRAM_CHAT_ID is"),
    ({"alert_email_to": "a"}, "SMTP_SMARTHOST: is not set, but ALERT_EMAIL_TO is"),
    ({"smtp_smarthost": "h", "smtp_from": "f"}, "ALERT_EMAIL_TO: is not set, but SMTP_SMARTHOST is"),
    ({"smtp_smarthost": "h", "alert_email_to": "a"}, "SMTP_FROM: is not set"),
]


@pytest.mark.parametrize("values", WELL)
def test_what_goes_together_is_no_problem(values: Mapping[str, Any]) -> None:
    assert contradictions(values) == []


@pytest.mark.parametrize(("values", "said"), PROBLEMS)
def test_what_does_not_is_one(values: Mapping[str, Any], said: str) -> None:
    (problem,) = contradictions(values)

    assert problem.startswith(said)


def test_a_limit_that_is_wrong_twice_is_told_once() -> None:
    values = {"disk_warning_free": FreeSpace(0.2, 50), "disk_critical_free": FreeSpace(0.3, 60)}

    assert len(contradictions(values)) == 1


@pytest.mark.parametrize(("made", "seconds"), [(0, 5.0), (1, 10.0), (2, 20.0), (5, 160.0), (6, 300.0), (10_000, 300.0)])
def test_the_wait_doubles_up_to_the_longest(made: int, seconds: float) -> None:
    assert back_off(made, 5.0, 300.0) == seconds


def test_the_wait_can_be_reckoned_after_any_number_of_restarts() -> None:
    assert back_off(64, 5.0, 1e30) == 5.0 * 2.0**64
    assert back_off(65, 5.0, 1e30) == 5.0 * 2.0**64


NAMES = {"VV_DEVICE_ID", "VV_CONFIG", "SLACK_WEBHOOK_URL"}


@pytest.mark.parametrize(
    ("environ", "in_file", "said"),
    [
        ({}, {"VV_DEVICE_ID": 1}, []),
        ({"VV_DEVICE_ID": "a", "PATH": "/", "VV_OTHER": "x", "SLACK_WEBHOOK_UR": "x"}, {}, []),
        ({"VV_DEVICE_IDS": "a"}, {}, ["VV_DEVICE_IDS: unknown key; did you mean VV_DEVICE_ID?"]),
        ({}, {"x": 1}, ["x: unknown key in vv.yml below settings:"]),
        (
            {},
            {"VV_DEVICEID": 1},
            ["VV_DEVICEID: unknown key in vv.yml below settings:; did you mean VV_DEVICE_ID?"],
        ),
        (
            {},
            {"VV_CONFIG": 1},
            ["VV_CONFIG: unknown key in vv.yml below settings:; did you mean VV_CONFIG?"],
        ),
    ],
)
def test_a_key_that_nobody_reads_is_told(environ: dict[str, str], in_file: dict[str, Any], said: list[str]) -> None:
    assert misspelt(environ, in_file, NAMES) == said


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"schedule": "0 3 * * *"}, []),
        ({"heartbeat_file": "/run/x"}, []),
        ({"max_runtime": 60.0}, []),
        ({}, [": says nothing"]),
        ({"schedule": "x"}, [".schedule: 'x' is not a cron expression"]),
        ({"schedule": "0 3 * * *", "timezone": "Nowhere"}, [".timezone: 'Nowhere' is not known"]),
        ({"heartbeat_file": "run/x"}, [".heartbeat_file: 'run/x' is not an absolute path"]),
        ({"schedule": "x", "timezone": "y"}, [".schedule", ".timezone"]),
    ],
)
def test_what_is_wrong_with_a_job(job: dict[str, Any], said: list[str]) -> None:
    problems = job_problems(JobSettings(**job))

    assert len(problems) == len(said)
    assert all(problem.startswith(start) for problem, start in zip(problems, said, strict=True))
