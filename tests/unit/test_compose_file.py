"""docker-compose.yml says what the settings and `vv up` say; tests/e2e/test_compose.py runs it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from vv_exporter.settings import load, variables
from vv_exporter.settings.compose import VARIABLES
from vv_exporter.stack.servers import agent_command, alertmanager_command, prometheus_command

CHECKOUT = Path(__file__).parents[2]
TEXT = (CHECKOUT / "docker-compose.yml").read_text()
OURS = {"config", "docker-proxy", "exporter", "self-monitor"}


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(TEXT)["services"][name]
    return found


def test_every_variable_is_documented_and_has_one_default() -> None:
    defaults = {name: default for name, default, _ in VARIABLES}
    defaults |= {item.name: item.default for item in variables().values() if isinstance(item.default, str)}
    used = re.findall(r"\$\{([A-Z_]+)(?::-([^${}]*))?", TEXT)

    assert len(used) > 30
    for name, default in used:
        assert name in defaults or name in {"VV_DEVICE_ID", "VV_STATE_DIR"}, f"{name}: say in settings what it is"
        if default and name in defaults and not default.startswith("http"):
            assert default == defaults[name], name


def test_what_is_only_for_compose_is_used_by_it() -> None:
    assert [name for name, _, _ in VARIABLES if f"${{{name}" not in TEXT] == []


def test_a_variable_of_compose_is_no_slip_of_another() -> None:
    load({name: "x" for name, _, _ in VARIABLES} | {"VV_CONFIG": "", "VV_STATE_DIR": "/tmp/x"})


@pytest.mark.parametrize(
    ("name", "command"),
    [("prometheus", prometheus_command), ("alertmanager", alertmanager_command)],
)
def test_the_servers_are_run_as_on_a_developers_machine(name: str, command: Any) -> None:
    flags = {str(flag).partition("=")[0] for flag in command(Path("p"), Path("c"), Path("d"), 1)[1:]}
    equal = {
        str(flag)
        for flag in command(Path("p"), Path("c"), Path("d"), 1)[1:]
        if str(flag).startswith(("--enable-feature", "--dispatch."))
    }

    assert flags <= {flag.partition("=")[0] for flag in service(name)["command"]}
    assert equal <= set(service(name)["command"])


def test_the_agent_of_a_fleet_is_run_as_on_a_developers_machine() -> None:
    settings = load({"VV_CONFIG": "", "VV_STATE_DIR": "/tmp/x", "VV_FLEET_URL": "https://c", "VV_FLEET_TOKEN": "t"})
    here = [str(flag) for flag in agent_command(Path("p"), Path("c"), Path("d"), settings)[1:]]
    there = service("fleet-agent")["command"]
    elsewhere = (
        "config=",
        "httpListenAddr",
        "tmpDataPath",
        "remoteWrite.url",
        "File=",
        "Config=",
        "maxDiskUsage",
        "rateL",
    )

    assert [flag.partition("=")[0] for flag in here] == [flag.partition("=")[0] for flag in there]
    assert [f for f in here if not any(e in f for e in elsewhere)] == [
        f for f in there if not any(e in f for e in elsewhere)
    ]
    (limit,) = [flag for flag in here if "rateLimit" in flag]
    assert f"VV_FLEET_QUEUE_MAX:-{settings.fleet_queue_max // 1_000_000}MB" in TEXT
    assert f"VV_FLEET_BYTES_PER_SECOND:-{limit.partition(',')[2]}" in TEXT


def test_who_renders_and_who_shows_what_is_sent_to_a_fleet_know_the_machine() -> None:
    knowing = {
        name
        for name, part in yaml.safe_load(TEXT)["services"].items()
        for volume in part.get("volumes", ())
        if volume["target"] == "/etc/machine-id" and volume["read_only"]
    }

    assert knowing == {"config", "exporter"}


def test_every_image_has_a_version() -> None:
    images = {name: part.get("image", "") for name, part in yaml.safe_load(TEXT)["services"].items()}

    assert [name for name, image in images.items() if not re.search(r":(v?\d+\.\d+\.\d+|\$\{VV_VERSION)", image)] == []
    assert {name for name, image in images.items() if image.startswith("vv-exporter:")} == OURS


def test_the_servers_are_those_that_live_on_a_full_disk() -> None:
    """Prometheus before 3.13.2 dies of SIGBUS there; Alertmanager before 0.34 reads texts of a webhook as YAML."""
    images = {name: part.get("image", "") for name, part in yaml.safe_load(TEXT)["services"].items()}
    for name, least in (("prometheus", (3, 13, 2)), ("alertmanager", (0, 34, 0))):
        version = re.search(r":v(\d+)\.(\d+)\.(\d+)", images[name])
        assert version is not None
        assert tuple(map(int, version.groups())) >= least


def test_every_image_of_others_can_be_held_to_a_digest(tmp_path: Path) -> None:
    """`make pin` asks Docker for what the tags mean now, and prints it for .env."""
    docker = tmp_path / "docker"
    docker.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        'test "$1" = pull || echo "docker.io/${5%%:*}@sha256:$(printf %064d 7)"\n'
    )
    docker.chmod(0o755)
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    done = subprocess.run(
        [CHECKOUT / "deploy" / "pin-images.sh"], env=environ, capture_output=True, text=True, check=True
    )

    images = {name: part["image"] for name, part in yaml.safe_load(TEXT)["services"].items() if name not in OURS}
    named = [re.fullmatch(r"\$\{(VV_[A-Z]+_IMAGE):-(.+:[^@:]+)\}", image) for image in images.values()]
    others = {found[1]: found[2] for found in named if found}
    assert len(others) >= 3
    assert all(found or image.startswith("vv-exporter") for found, image in zip(named, images.values(), strict=True))
    pinned = dict(line.split("=") for line in done.stdout.split())
    assert {variable.name for variable in VARIABLES if variable.name.endswith("_IMAGE")} == {*others, "VV_BASE_IMAGE"}
    assert pinned.items() >= {name: f"{image}@sha256:{7:064d}" for name, image in others.items()}.items()
    assert "VV_BASE_IMAGE" in pinned
    assert f"pull --quiet {others['VV_PROMETHEUS_IMAGE']}" in (tmp_path / "asked").read_text()


def test_the_image_has_the_version_of_the_package() -> None:
    version = re.search(r'^version = "(.+)"', (CHECKOUT / "pyproject.toml").read_text(), re.M)

    assert version is not None
    assert f"vv-exporter:${{VV_VERSION:-{version[1]}}}" in TEXT
