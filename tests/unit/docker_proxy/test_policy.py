"""Who may ask what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

import pytest

from vv_exporter.containers import engine
from vv_exporter.containers.observed import SELF_MONITOR_LABEL
from vv_exporter.docker_proxy.policy import ACT, READ, Rule, policy_only
from vv_exporter.docker_proxy.request import parse

ID = "0123456789abcdef" * 4


def allowed(rules: Sequence[Rule], line: str) -> bool:
    request = parse(f"{line} HTTP/1.1".encode())
    return any(rule.allows(request) for rule in rules)


@pytest.mark.parametrize(
    "line",
    [
        "GET /_ping",
        "GET /version",
        "GET /v1.44/info",
        "GET /v1.41/containers/json?all=1",
        "GET /v1.41/events?since=1795360824.123456789&filters=%7B%22type%22%3A%5B%22container%22%5D%7D",
        f"GET /v1.41/containers/{ID}/json",
        f"GET /v1.41/containers/{ID}/stats?stream=false&one-shot=true",
        "GET /v1.41/networks/bridge",
    ],
)
def test_both_may_look(line: str) -> None:
    assert allowed(READ, line)
    assert allowed(ACT, line)


@pytest.mark.parametrize(
    "line",
    [
        f"POST /v1.41/containers/{ID}/start",
        f"POST /v1.41/containers/{ID}/stop",
        f"POST /v1.41/containers/{ID}/restart",
        f"POST /v1.41/containers/{ID}/update",
        f"GET /v1.41/containers/{ID}/logs?stdout=1&stderr=1&timestamps=0&follow=0&tail=5",
        f"GET /v1.41/containers/{ID}/top?ps_args=-eo+pid%2Cargs",
    ],
)
def test_only_the_self_monitor_may_act(line: str) -> None:
    assert allowed(ACT, line)
    assert not allowed(READ, line)


@pytest.mark.parametrize(
    "line",
    [
        "POST /v1.41/containers/create",
        f"POST /v1.41/containers/{ID}/exec",
        f"POST /v1.41/containers/{ID}/attach",
        f"POST /v1.41/containers/{ID}/kill",
        f"POST /v1.41/containers/{ID}/rename?name=x",
        f"POST /v1.41/containers/{ID}/start?detachKeys=x",
        f"POST /v1.41/containers/{ID}/stop?signal=KILL",
        "POST /v1.41/containers/agent_dvr/start",
        f"POST /v1.41/containers/{ID[:12]}/start",
        f"DELETE /v1.41/containers/{ID}",
        f"GET /v1.41/containers/{ID}/export",
        f"GET /v1.41/containers/{ID}/archive?path=/",
        f"GET /v1.41/containers/{ID}/top?ps_args=e",
        f"GET /v1.41/containers/{ID}/logs?stdout=1&follow=1",
        f"GET /v1.41/containers/{ID}/json?size=1",
        f"GET /v1.41/containers/{ID}/stats",  # without an end
        f"GET /v1.41/containers/{ID}/stats?one-shot=true",
        "GET /v1.41/containers/json?all=1&size=1",
        "GET /v1.41/events?until=x",
        "GET /v1.41/images/json",
        "POST /v1.41/images/create?fromImage=x",
        "POST /v1.41/build",
        "GET /v1.41/secrets",
        "GET /v1.41/networks/other",
        "POST /v1.41/networks/bridge",
        "POST /v1.41/swarm/init",
        "GET /v1.41/volumes",
        "POST /v1.41/session",
        "HEAD /_ping",
        "GET /v1.41/_pingx",
        "GET /v1.41/info?x=1",
    ],
)
def test_nobody_may_do_anything_else(line: str) -> None:
    assert not allowed(READ, line)
    assert not allowed(ACT, line)


def test_an_update_changes_the_restart_policy_and_nothing_else() -> None:
    policy = {"Name": "no", "MaximumRetryCount": 0}

    assert policy_only(json.dumps({"RestartPolicy": policy}).encode())
    refused: list[object] = [
        {},
        {"RestartPolicy": policy, "Memory": 0},
        {"RestartPolicy": policy | {"X": 1}},
        {"RestartPolicy": policy | {"Name": "sometimes"}},
        {"RestartPolicy": policy | {"MaximumRetryCount": -1}},
        {"RestartPolicy": policy | {"MaximumRetryCount": True}},
        {"RestartPolicy": None},
        {"restartpolicy": policy},
        [],
    ]
    assert [body for body in refused if policy_only(json.dumps(body).encode())] == []
    assert not policy_only(b"")
    assert not policy_only(b"{")


def test_nothing_but_an_update_has_a_body() -> None:
    assert [rule.path for rule in ACT if rule.body(b'{"HostConfig": {"Privileged": true}}')] == []


def asks(path: str, asked: str) -> bool:
    return allowed(READ, f"GET {path}?filters={quote(asked)}")


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"label": ["vv.self-monitor=true"]},
        {"label": {"vv.self-monitor=true": True}},
        {"label": ["com.docker.compose.project", "com.docker.compose.service=db"], "status": ["running"]},
        {"name": ["agent_dvr"], "id": ["0123ab"]},
    ],
)
def test_containers_may_be_chosen_by_what_is_shown_of_them(asked: object) -> None:
    assert asks("/containers/json", json.dumps(asked))


@pytest.mark.parametrize(
    "asked",
    [
        {"label": ["secret"]},
        {"label": ["secret=hunter2"]},
        {"label": {"secret=hunter2": True}},
        {"label": {"vv.self-monitor": False}},
        {"label": ["vv.self-monitor-secret=x"]},
        {"label": ["vv.self-monitor=true", "secret=hunter2"]},
        {"label!": ["vv.self-monitor=true"]},
        {"volume": ["/etc/vv/secrets"]},
        {"network": ["internal"]},
        {"ancestor": ["registry.example.org/secret"]},
        {"publish": ["22"]},
        {"expose": ["22"]},
        {"before": ["agent_dvr"]},
        {"since": ["agent_dvr"]},
        {"is-task": ["true"]},
        {"name": ["a|b(c)*"]},
        {"Label": ["secret"]},
        {"label": "secret"},
        {"label": [["secret"]]},
        {"label": None},
        ["label"],
        "label",
        {"status": ["running"], "volume": ["x"]},
        {"name": ["a" * 3000]},
    ],
)
def test_nothing_is_told_of_containers_that_is_not_shown(asked: object) -> None:
    assert not asks("/containers/json", json.dumps(asked))


@pytest.mark.parametrize("text", ['{"label":["vv.self-monitor"],"label":["secret"]}', "", "{", "[" * 1500, "{} {}"])
def test_filters_that_could_be_read_in_two_ways_are_refused(text: str) -> None:
    assert not asks("/containers/json", text)
    assert not asks("/events", text)


def test_what_our_programs_ask_for_is_allowed() -> None:
    assert asks("/events", json.dumps(engine._FILTERS))
    assert asks("/events", json.dumps({"type": {"container": True}, "event": {"health_status: unhealthy": True}}))
    assert asks("/containers/json", json.dumps({"label": [f"{SELF_MONITOR_LABEL}=true"]}))


@pytest.mark.parametrize(
    "asked",
    [
        {"event": ["exec_start", "exec_create: sh -c PASSWORD=h"]},
        {"event": ["exec_create: s"]},
        {"label": ["secret=hunter2"]},
        {"image": ["secret"]},
        {"container": ["0123"], "volume": ["x"]},
        {"network": ["x"]},
        {"scope": ["local"], "daemon": ["x"]},
    ],
)
def test_events_do_not_tell_what_is_not_shown_of_them(asked: object) -> None:
    assert not asks("/events", json.dumps(asked))
