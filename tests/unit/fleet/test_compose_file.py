"""fleet/docker-compose.yml runs the servers as `vv fleet up` does."""

import re
from pathlib import Path

import yaml

from vv_exporter.fleet.servers import Ports, servers
from vv_exporter.render import base
from vv_exporter.settings import compose, load

ROOT = base.folder()
SERVICES = yaml.safe_load((ROOT / "fleet" / "docker-compose.yml").read_text())["services"]
CALLED = {
    "VictoriaMetrics": "victoria-metrics",
    "vmauth": "vmauth",
    "vmalert": "vmalert",
    "Alertmanager 1": "alertmanager-1",
    "Alertmanager 2": "alertmanager-2",
}
ELSEWHERE = re.compile(r"web\.|storage|httpListenAddr")
"""Where they listen, and where their data are."""


def options(command: list[str]) -> set[str]:
    return {part.lstrip("-").partition("=")[0] for part in command if not ELSEWHERE.search(part)}


def test_each_server_has_the_same_options(tmp_path: Path) -> None:
    programs = {name: Path(name) for name in ("victoria-metrics", "vmauth", "vmalert", "alertmanager")}
    for server in servers(programs, tmp_path, tmp_path, Ports.following(1)):
        command = SERVICES[CALLED[server.name]]["command"]
        assert options([str(part) for part in server.command[1:]]) == options(command), server.name


def test_each_variable_may_stand_in_the_env_that_the_centre_is_configured_by(tmp_path: Path) -> None:
    text = (ROOT / "fleet" / "docker-compose.yml").read_text()
    names = set(re.findall(r"\$\{(VV_\w+)", text))

    assert names > compose.OF_THE_CENTRE
    for name in names:
        load({"VV_STATE_DIR": str(tmp_path), "VV_CONFIG": "", name: "8427"})
    assert {name for name in names if name not in (ROOT / "docs" / "fleet.md").read_text()} <= {
        variable.name for variable in compose.VARIABLES
    }


def test_nothing_but_the_door_and_grafana_is_reached_from_outside_and_nobody_is_root() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"vmauth", "grafana"}
    assert all(
        service["user"] and service["read_only"] and service["cap_drop"] == ["ALL"] for service in SERVICES.values()
    )
    assert all(service["mem_limit"] for service in SERVICES.values())
