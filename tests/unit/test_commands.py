"""Commands of alerts and runbooks are those of the device that shows them."""

import re
import shlex
import sys
from pathlib import Path

import click
import pytest

from tests.support import typed
from vv_exporter.cli import vv
from vv_exporter.render.commands import ENVIRONMENT_FILE, Commands
from vv_exporter.settings import Settings, load

ROOT = Path(__file__).parents[2]
VV = Path(sys.executable).with_name("vv")
PLACES = {
    "compose": {
        "VV_STATE_DIR": "/srv/my state",
        "VV_COMPOSE_PROJECT": "edge",
        "VV_EXPORTER_HOST_URL": "http://10.0.0.7:29461",
        "VV_PROMETHEUS_HOST_URL": "http://10.0.0.7:29090",
        "VV_ALERTMANAGER_HOST_URL": "http://0.0.0.0:29093",
    },
    "systemd": {
        "VV_STATE_DIR": "/srv/state",
        "VV_LOG_DIR": "/var/log/vv",
        "VV_EXPORTER_PORT": "29461",
        "VV_PROMETHEUS_PORT": "29090",
        "VV_ALERTMANAGER_PORT": "29093",
    },
}
PLACES["up"] = PLACES["systemd"]


def settings_of(deployment: str, **more: str) -> Settings:
    return load({"VV_DEPLOYMENT": deployment, "VV_CONFIG": "", **PLACES.get(deployment, {}), **more})


EVERY = [
    (deployment, place, line)
    for deployment in PLACES
    for place, line in sorted(set(typed.lines(settings_of(deployment))))
]


@pytest.mark.parametrize(
    ("command", "compose", "systemd", "up"),
    [
        (
            "vv status",
            "docker compose --project-name edge exec exporter vv status",
            f"vv --env-file {ENVIRONMENT_FILE} status",
            f"{VV} --env-file /srv/state/stack/vv.env status",
        ),
        (
            "vv containers resume agent_dvr",
            "docker compose --project-name edge exec self-monitor vv containers resume agent_dvr",
            f"vv --env-file {ENVIRONMENT_FILE} containers resume agent_dvr",
            f"{VV} --env-file /srv/state/stack/vv.env containers resume agent_dvr",
        ),
        ("vv cron --job x -- ./x.sh", *["vv cron --job x -- ./x.sh"] * 3),
        (
            "docker compose logs --tail 50 alertmanager",
            "docker compose --project-name edge logs --tail 50 alertmanager",
            "journalctl --unit prometheus-alertmanager --lines 50 --no-pager",
            "tail -n 50 /srv/state/stack/logs/alertmanager.log",
        ),
        (
            "docker compose up -d self-monitor",
            "docker compose --project-name edge start self-monitor",
            "systemctl start vv-self-monitor",
            f"{VV} --env-file /srv/state/stack/vv.env up",
        ),
        (
            "docker compose kill -s HUP prometheus",
            "docker compose --project-name edge kill -s HUP prometheus",
            "systemctl kill --signal HUP prometheus",
            "pkill -HUP -f /srv/state/stack/config/prometheus.yml",
        ),
        (
            "docker compose logs --tail 50 fleet-agent; docker compose restart fleet-agent",
            "docker compose --project-name edge logs --tail 50 fleet-agent; "
            "docker compose --project-name edge restart fleet-agent",
            "journalctl --unit vv-fleet-agent --lines 50 --no-pager; systemctl restart vv-fleet-agent",
            "tail -n 50 /srv/state/stack/logs/agent.log; pkill -f /srv/state/stack/config/agent/scrape.yml",
        ),
        ("docker compose up -d --force-recreate NAME", *["docker compose up -d --force-recreate NAME"] * 3),
        ("docker logs --tail 50 agent_dvr", *["docker logs --tail 50 agent_dvr"] * 3),
        (
            "curl -sS 'http://127.0.0.1:9093/api/v2/alerts?filter=x'",
            "curl -sS 'http://127.0.0.1:29093/api/v2/alerts?filter=x'",
            "curl -sS 'http://127.0.0.1:29093/api/v2/alerts?filter=x'",
            "curl -sS 'http://127.0.0.1:29093/api/v2/alerts?filter=x'",
        ),
        (
            'grep x "${VV_LOG_DIR:-/var/lib/vv/logs}/app.log"; df /var/lib/vv; ls "${VV_STATE_DIR:-/var/lib/vv}"/x',
            "grep x '/srv/my state/logs/app.log'; df '/srv/my state'; ls '/srv/my state'/x",
            "grep x /var/log/vv/app.log; df /srv/state; ls /srv/state/x",
            "grep x /var/log/vv/app.log; df /srv/state; ls /srv/state/x",
        ),
        ("df -h /var/lib/vv-other /mnt/var/lib/vv", *["df -h /var/lib/vv-other /mnt/var/lib/vv"] * 3),
    ],
)
def test_a_command_is_that_of_the_deployment(command: str, compose: str, systemd: str, up: str) -> None:
    found = [Commands(settings_of(deployment)).command(command) for deployment in ("compose", "systemd", "up")]

    assert found == [compose, systemd, up]


def test_only_code_is_changed() -> None:
    text = "vv status is a command: `vv status`.\n\n```sh\nvv status\n```\n"

    changed = Commands(settings_of("systemd")).here(text)

    new = f"vv --env-file {ENVIRONMENT_FILE} status"
    assert changed == f"vv status is a command: `{new}`.\n\n```sh\n{new}\n```\n"


def test_without_a_deployment_ports_and_folders_are_the_devices() -> None:
    found = Commands(settings_of("", VV_STATE_DIR="/srv/x", VV_PROMETHEUS_PORT="29090")).command(
        "vv status; curl http://127.0.0.1:9090/x; docker compose ps --all exporter; ls /var/lib/vv"
    )

    assert found == "vv status; curl http://127.0.0.1:29090/x; docker compose ps --all exporter; ls /srv/x"


def test_no_command_has_a_default_that_this_device_does_not_have() -> None:
    default = re.compile(r"127\.0\.0\.1:(?:19461|9090|9093)\b|/var/lib/vv(?![\w-])|\$\{?VV_(?:STATE|LOG)_DIR|\bDIR/")

    assert [(one, default.findall(one[2])) for one in EVERY if default.search(one[2])] == []


def test_no_command_belongs_to_another_deployment() -> None:
    """Containers of the monitoring are named with compose only, its units with systemd only, its logs with `vv up`."""
    foreign = {
        "compose": r"systemctl \S+ vv-|journalctl --unit (?:vv|prometheus)|--env-file|"
        r"(?:^|[;&|] )vv (?!cron|alert|heartbeat)",
        "systemd": r"docker compose (?:--project|logs|ps|restart|kill|exec)|stack/",
        "up": r"docker compose (?:--project|logs|ps|restart|kill|exec)|systemctl \S+ vv-|/etc/vv/vv\.env",
    }

    wrong = [one for one in EVERY if _is_a_command(one[2]) and re.search(foreign[one[0]], one[2])]

    assert wrong == []


def _is_a_command(line: str) -> bool:
    return " " in line and re.match(r"[a-z/]", line) is not None


@pytest.mark.parametrize("deployment", PLACES)
def test_vv_understands_what_is_typed(deployment: str) -> None:
    """Read by the command line's own parser, up to the point where it would do something."""
    typed_here = {
        tuple(words)
        for where, _, line in EVERY
        if where == deployment and _is_a_command(line)
        for words in _of_vv(line)
    }

    assert len(typed_here) > 20
    for words in sorted(typed_here):
        _parse(words)


def _of_vv(line: str) -> list[list[str]]:
    """What stands behind `vv` in each of its commands."""
    found = []
    for part in re.split(r"\s*(?:[;|]|&&)\s+", line):
        try:
            words = shlex.split(part)
        except ValueError:  # an expression in quotes that holds a separator
            continue
        at = [place for place, word in enumerate(words[:7]) if word in ("vv", str(VV))]
        if at and (at[0] == 0 or words[0] == "docker") and len(words) > at[0] + 1:
            found.append(words[at[0] + 1 :])
    return found


def _parse(words: tuple[str, ...]) -> None:
    left = list(words)
    if left[0] == "--env-file":
        left = left[2:]
    command: click.Command = vv
    context = click.Context(vv, info_name="vv")
    while isinstance(command, click.Group) and left and not left[0].startswith("-"):
        name = left.pop(0)
        following = command.get_command(context, name)
        assert following is not None, words
        command, context = following, click.Context(following, info_name=name, parent=context)
    command.make_parser(context).parse_args(left)  # raises for options that there are not


def test_units_that_are_named_are_installed() -> None:
    """Ours by `make install`; those of the servers by Debian's packages prometheus and prometheus-alertmanager."""
    ours = {path.stem for path in (ROOT / "deploy" / "systemd").glob("*.service")}
    others = {"prometheus", "prometheus-alertmanager", "docker", "containerd", "cron", "agent_dvr", "systemd-logind"}
    named = {
        unit
        for deployment, _, line in EVERY
        if deployment == "systemd"
        for unit in re.findall(r"systemctl (?:status(?: --no-pager)?|start|restart|kill --signal HUP) (\w[\w-]*)", line)
        + re.findall(r"--unit (\w[\w-]*)", line)
    }

    assert {"vv-exporter", "vv-self-monitor", "prometheus-alertmanager"} <= named <= ours | others
