"""What is decoded of the Engine's answers, field by field, and at the edges of what is believed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from vv_exporter.containers.observed import (
    SECOND,
    Event,
    Inspection,
    Listed,
    decode_event,
    decode_inspection,
    decode_list,
    is_one_off,
    nanoseconds,
)

LABELS = {
    "com.docker.compose.project": "site",
    "com.docker.compose.service": "front",
    "com.docker.compose.oneoff": "True",
    "vv.self-monitor": "TRUE",
}
FULL: dict[str, Any] = {
    "Id": "1",
    "Name": "/web",
    "Created": "1970-01-01T00:00:01Z",
    "RestartCount": 4,
    "State": {
        "Status": "running",
        "OOMKilled": True,
        "ExitCode": 3,
        "Error": "none",
        "Pid": 77,
        "StartedAt": "1970-01-01T00:00:02Z",
        "FinishedAt": "1970-01-01T00:00:03.5Z",
        "Health": {
            "Status": "unhealthy",
            "FailingStreak": 5,
            "Log": [{"Start": "1970-01-01T00:00:05Z"}, {"Start": "1970-01-01T00:00:04Z"}],
        },
    },
    "Config": {"Image": "web:1", "Labels": LABELS},
    "HostConfig": {
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 6},
        "AutoRemove": True,
        "NetworkMode": "host",
        "NanoCpus": 1_500_000_000,
        "Memory": 1000,
    },
}


def inspected(**changes: Any) -> Inspection:
    return decode_inspection(json.dumps({**FULL, **changes}).encode())


def test_every_field_of_an_inspection() -> None:
    assert inspected() == Inspection(
        id="1", name="web", image="web:1", project="site", service="front", one_off=True, policy="on-failure",
        max_retries=6, auto_remove=True, state="running", health="unhealthy", streak=5, exit_code=3, oom_killed=True,
        error="none", restart_count=4, created=SECOND, started=2 * SECOND, finished=3_500_000_000, probed=5 * SECOND,
        opted="true", pid=77, network_mode="host", cpu_limit=1.5, memory_limit=1000,
    )  # fmt: skip


def test_what_an_inspection_does_not_say() -> None:
    bare = decode_inspection(b'{"Id": "1", "Name": "web", "State": {"Status": "created"}}')

    assert bare == Inspection(
        id="1", name="web", image="", project="", service="", one_off=False, policy="no", max_retries=0,
        auto_remove=False, state="created", health="", streak=0, exit_code=0, oom_killed=False, error="",
        restart_count=0, created=0, started=0, finished=0,
    )  # fmt: skip


@pytest.mark.parametrize(("status", "health", "streak"), [("none", "", 0), ("", "", 0), ("starting", "starting", 5)])
def test_a_health_check_that_there_is_not_has_no_streak(status: str, health: str, streak: int) -> None:
    state = {**FULL["State"], "Health": {"Status": status, "FailingStreak": 5, "Log": []}}
    one = inspected(State=state)

    assert (one.health, one.streak, one.probed) == (health, streak, 0)


def test_texts_of_others_are_cut_at_two_hundred_characters() -> None:
    long = dict.fromkeys(LABELS, "x" * 201)
    one = inspected(Config={"Image": "y" * 201, "Labels": long})
    (listed,) = decode_list(json.dumps([{"Id": "1", "Image": "y" * 201, "Labels": long}]).encode()).containers

    for found in (one, listed):
        assert (len(found.image), len(found.project), len(found.service), len(found.opted)) == (200,) * 4


@pytest.mark.parametrize(
    ("host", "cores"),
    [
        ({"NanoCpus": 1}, 1e-9),
        ({"NanoCpus": 0}, None),
        ({"CpuQuota": 50_000}, 0.5),
        ({"CpuQuota": 50_000, "CpuPeriod": 25_000}, 2.0),
        ({"CpuQuota": 1, "CpuPeriod": 1}, 1.0),
        ({"CpuQuota": -1}, None),
        ({"NanoCpus": 10**9, "CpuQuota": 50_000}, 1.0),
    ],
)
def test_cores(host: dict[str, int], cores: float | None) -> None:
    assert inspected(HostConfig=host).cpu_limit == cores
    assert inspected(HostConfig=host).memory_limit is None


@pytest.mark.parametrize(
    ("state", "policy", "code", "retries", "made", "overruled", "certain"),
    [
        ("exited", "always", 0, 0, 3, True, 2),
        ("exited", "always", 0, 0, 0, True, 0),
        ("exited", "no", 1, 0, 3, False, 3),
        ("running", "always", 0, 0, 3, False, 3),
        ("restarting", "always", 1, 0, 3, False, 2),
        ("restarting", "always", 1, 0, 0, False, 0),
        ("dead", "always", 1, 0, 3, False, 3),
        ("exited", "on-failure", 0, 0, 3, False, 3),
        ("exited", "on-failure", 1, 0, 3, True, 2),
        ("exited", "on-failure", 1, 3, 3, False, 3),
        ("exited", "on-failure", 1, 3, 4, False, 4),
        ("exited", "on-failure", 1, 4, 3, True, 2),
        ("exited", "on-failure", 1, 1, 1, False, 1),
        ("exited", "on-failure", 0, 4, 3, False, 3),
        ("exited", "unless-stopped", 0, 1, 3, True, 2),
    ],
)
def test_restarts_by_policy_that_there_certainly_were(
    state: str, policy: str, code: int, retries: int, made: int, overruled: bool, certain: int
) -> None:
    one = inspected()._replace(state=state, policy=policy, exit_code=code, max_retries=retries, restart_count=made)

    assert (one.overruled, one.policy_restarts) == (overruled, certain)


@pytest.mark.parametrize(
    ("state", "running"), [("running", True), ("paused", True), ("exited", False), ("dead", False)]
)
def test_a_paused_one_lives(state: str, running: bool) -> None:
    assert inspected()._replace(state=state).running == running
    assert Listed("1", "web", state, "", one_off=False).running == running


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000001Z", 1000),
        ("1970-01-01T00:00:01", SECOND),
        ("1970-01-01T01:00:01+01:00", SECOND),
        ("1969-12-31T23:59:59Z", 0),
        ("0001-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59Z", 2**63 - 1),
        ("x", 0),
    ],
)
def test_a_time_is_within_what_can_be_kept(text: str, found: int) -> None:
    assert nanoseconds(text) == found


def event(**changes: Any) -> dict[str, Any]:
    actor = {"ID": "1", "Attributes": {"name": "web", "exitCode": "3"}}
    return {"Type": "container", "Action": "die", "Actor": actor, "timeNano": 5, **changes}


def decoded(**changes: Any) -> Event | None:
    return decode_event(json.dumps(event(**changes)).encode())


def test_every_field_of_an_event() -> None:
    assert decoded() == Event("1", "web", "die", 5, {"name": "web", "exitCode": "3"})
    assert decoded(Actor={"ID": "1"}) == Event("1", "", "die", 5, {})
    health = decoded(Action="health_status: unhealthy")
    assert health is not None
    assert (health.action, health.attributes["detail"], health.name) == ("health_status", "unhealthy", "web")
    assert decoded(Type="network") is None
    assert decoded(Actor={"ID": ""}) is None


@pytest.mark.parametrize("number", [-(2**63), 2**63 - 1])
def test_a_number_fits_64_bits(number: int) -> None:
    found = decoded(timeNano=number)
    assert found is not None
    assert found.time == number

    with pytest.raises(msgspec.MsgspecError):
        decoded(timeNano=number + (1 if number > 0 else -1))


def listed(**changes: Any) -> Listed:
    (one,) = decode_list(json.dumps([{"Id": "1", **changes}]).encode()).containers
    return one


def test_every_field_of_an_entry() -> None:
    one = listed(
        Names=["/other/alias", "/web"], Image="web:1", State="exited", Status="Exited (3) 5 minutes ago", Labels=LABELS
    )

    assert one == Listed("1", "web", "exited", "", True, "web:1", "site", "front", "true", 3)
    assert listed() == Listed("1", "", "", "", one_off=False)


@pytest.mark.parametrize(
    ("state", "status", "health", "found"),
    [
        ("running", "Up 5 minutes (healthy)", None, "healthy"),
        ("running", "Up 5 minutes (unhealthy)", None, "unhealthy"),
        ("running", "Up 5 minutes (health: starting)", None, "starting"),
        ("running", "Up 5 minutes", None, ""),
        ("running", "Up 5 minutes (healthy)", "unhealthy", "unhealthy"),
        ("running", "Up 5 minutes (healthy)", "none", ""),
        ("paused", "Up 5 minutes (Paused)", "unhealthy", ""),
    ],
)
def test_the_health_of_an_entry(state: str, status: str, health: str | None, found: str) -> None:
    more = {} if health is None else {"Health": {"Status": health}}

    assert listed(State=state, Status=status, **more).health == found


def test_an_entry_that_is_not_understood_is_told() -> None:
    whole = decode_list(b'[{"Id": "1"}, {"Id": "2"}]')
    part = decode_list(b'[{"Id": "1"}, {"Id": 2}]')

    assert ([one.id for one in whole.containers], whole.complete) == (["1", "2"], True)
    assert ([one.id for one in part.containers], part.complete) == (["1"], False)


@pytest.mark.parametrize(("value", "one_off"), [("True", True), ("true", True), ("False", False), ("", False)])
def test_what_compose_run_made(value: str, one_off: bool) -> None:
    assert is_one_off({"com.docker.compose.oneoff": value}) == one_off
    assert not is_one_off({})
