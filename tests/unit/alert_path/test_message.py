"""What the one who is woken is told to do works where that one stands: on the device, not inside a container."""

from __future__ import annotations

import re

import pytest

from vv_exporter.alert_path.hops import Hop
from vv_exporter.alert_path.message import broken
from vv_exporter.alert_path.state import PathState
from vv_exporter.settings import load

COMPOSE = {
    "VV_EXPORTER_URL": "http://exporter:19461",
    "VV_PROMETHEUS_URL": "http://prometheus:9090",
    "VV_ALERTMANAGER_URL": "http://alertmanager:9093",
    "VV_DEPLOYMENT": "compose",
    "VV_COMPOSE_PROJECT": "edge",
    "VV_PUBLIC_URL": "https://edge-7.example.org",
    "VV_EXPORTER_HOST_URL": "http://127.0.0.1:29461",
    "VV_PROMETHEUS_HOST_URL": "http://127.0.0.1:29090",
    "VV_ALERTMANAGER_HOST_URL": "http://127.0.0.1:29093",
}
UP = {"VV_EXPORTER_PORT": "39461", "VV_PROMETHEUS_PORT": "39090", "VV_ALERTMANAGER_PORT": "39093"}
ELSEWHERE = {"VV_PROMETHEUS_URL": "http://monitoring.example.org:9090"}
INSIDE = re.compile(r"`docker compose --project-name edge exec alertmanager [^`]+`")


def actions(hop: Hop, environ: dict[str, str]) -> str:
    settings = load({"VV_STATE_DIR": "/nonexistent", "VV_CONFIG": "", **environ})
    return broken(PathState(since=1.8e9, hop=hop.value), settings).suggested_actions


@pytest.mark.parametrize("hop", Hop)
@pytest.mark.parametrize(
    ("environ", "reachable"),
    [
        (COMPOSE, {"127.0.0.1:29461", "127.0.0.1:29090", "127.0.0.1:29093"}),
        (UP, {"127.0.0.1:39461", "127.0.0.1:39090", "127.0.0.1:39093"}),
        (ELSEWHERE, {"127.0.0.1:19461", "monitoring.example.org:9090", "127.0.0.1:9093"}),
    ],
    ids=["compose", "vv up", "elsewhere"],
)
def test_addresses_are_those_that_answer_on_the_device(hop: Hop, environ: dict[str, str], reachable: set[str]) -> None:
    asked = re.findall(r"https?://([^/\s'`]+)", INSIDE.sub("", actions(hop, environ)))

    assert {*asked} <= reachable
    assert asked or hop is Hop.EVALUATE


def test_whether_alertmanager_reaches_the_exporter_is_asked_from_inside_its_container() -> None:
    assert INSIDE.findall(actions(Hop.DELIVER, COMPOSE)) == [
        "`docker compose --project-name edge exec alertmanager wget -qO- http://exporter:19461/-/healthy`"
    ]
    assert INSIDE.findall(actions(Hop.DELIVER, UP)) == []
