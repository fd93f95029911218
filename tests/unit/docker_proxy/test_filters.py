"""What of the Engine's answers is passed on."""

from __future__ import annotations

import json

import pytest

from vv_exporter.docker_proxy import filters

SECRET = "hunter2"
INSPECTION = {
    "Id": "1" * 64,
    "Name": "/agent_dvr",
    "Created": "2026-11-27T10:00:00Z",
    "Path": "agent",
    "Args": [f"--password={SECRET}"],
    "RestartCount": 2,
    "State": {
        "Status": "running",
        "Pid": 77,
        "Health": {
            "Status": "healthy",
            "FailingStreak": 0,
            "Log": [{"Start": "2026-11-27T10:00:09Z", "Output": SECRET}],
        },
    },
    "Mounts": [{"Source": f"/{SECRET}"}],
    "Config": {
        "Image": "agent:1",
        "Env": [f"PASSWORD={SECRET}"],
        "Cmd": [SECRET],
        "Entrypoint": [SECRET],
        "Healthcheck": {"Test": ["CMD", SECRET]},
        "Labels": {"com.docker.compose.project": "vv", "vv.self-monitor": "true", "token": SECRET},
        "Tty": False,
    },
    "HostConfig": {
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "Memory": 1000,
        "Binds": [f"/{SECRET}:/x"],
        "LogConfig": {"Config": {"token": SECRET}},
    },
    "NetworkSettings": {"SandboxKey": SECRET},
}


def test_an_inspection_has_no_secrets_left_and_all_that_is_used() -> None:
    shown = filters.body(filters.INSPECTION)(json.dumps(INSPECTION).encode())

    assert SECRET not in shown.decode()
    assert json.loads(shown) == {
        "Id": "1" * 64,
        "Name": "/agent_dvr",
        "Created": "2026-11-27T10:00:00Z",
        "RestartCount": 2,
        "State": {
            "Status": "running",
            "Pid": 77,
            "Health": {"Status": "healthy", "FailingStreak": 0, "Log": [{"Start": "2026-11-27T10:00:09Z"}]},
        },
        "Config": {
            "Image": "agent:1",
            "Labels": {"com.docker.compose.project": "vv", "vv.self-monitor": "true"},
            "Tty": False,
        },
        "HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}, "Memory": 1000},
    }


def test_a_list_is_filtered_element_by_element() -> None:
    listed = [{"Id": "1", "Names": ["/a"], "Command": SECRET, "Labels": {"x": SECRET}}, {"Id": "2", "Labels": None}]

    shown = json.loads(filters.body(filters.LISTED)(json.dumps(listed).encode()))

    assert shown == [{"Id": "1", "Names": ["/a"], "Labels": {}}, {"Id": "2", "Labels": None}]


def test_the_health_of_a_listed_container_is_shown_without_what_its_checks_printed() -> None:
    listed = [{"Id": "1", "Health": {"Status": "unhealthy", "FailingStreak": 3, "Log": [{"Output": SECRET}]}}]

    shown = json.loads(filters.body(filters.LISTED)(json.dumps(listed).encode()))

    assert shown == [{"Id": "1", "Health": {"Status": "unhealthy", "FailingStreak": 3}}]


def test_an_event_of_a_health_check_does_not_show_its_command() -> None:
    line = {
        "status": f"exec_start: sh -c {SECRET}",
        "Type": "container",
        "Action": f"exec_start: sh -c {SECRET}",
        "Actor": {"ID": "1", "Attributes": {"name": "a", "execID": "2", "token": SECRET, "exitCode": "1"}},
        "timeNano": 5,
    }

    shown = filters.event(json.dumps(line).encode())

    assert shown.endswith(b"}\n")
    assert json.loads(shown) == {
        "Type": "container",
        "Action": "exec_start",
        "Actor": {"ID": "1", "Attributes": {"name": "a", "exitCode": "1"}},
        "timeNano": 5,
    }


def test_an_event_tells_the_state_of_health() -> None:
    line = {"Type": "container", "Action": "health_status: unhealthy", "Actor": {"ID": "1"}, "timeNano": 5}

    assert json.loads(filters.event(json.dumps(line).encode()))["Action"] == "health_status: unhealthy"


def test_events_of_other_kinds_are_counted_and_not_shown() -> None:
    line = {"Type": "image", "Action": "tag", "Actor": {"ID": "x", "Attributes": {"name": SECRET}}, "timeNano": 5}

    assert json.loads(filters.event(json.dumps(line).encode())) == {"Type": "image", "Action": "tag", "timeNano": 5}


@pytest.mark.parametrize(
    "line", [b"[]\n", b"7\n", b"{\n", b"\xff\n", b"[" * 100_000 + b"\n", b'{"Action": NaN, "Actor": 1}\n']
)
def test_an_event_that_is_not_understood_is_counted_and_breaks_nothing_off(line: bytes) -> None:
    shown = filters.event(line)

    assert shown.count(b"\n") == 1
    assert b"container" not in shown


DEEP = 100_000  # deeper than any Python goes: some go ten times as deep as others


@pytest.mark.parametrize("answer", [b"[" * 100_000, b'{"Id":' * 100_000, b'{"Id":' * DEEP + b"1" + b"}" * DEEP])
def test_an_answer_that_is_too_deep_is_not_understood(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"deep|Expecting|array"):
        filters.body(filters.LISTED)(answer)
