"""Commands of alerts and runbooks, as they are typed on this device.

Rules and runbooks are written once, for compose, default ports and default folders::

    vv status                                    the command line
    docker compose logs --tail 50 alertmanager   a part of the monitoring: also ps --all, up -d, restart, kill -s HUP
                                                 (and, where there is compose, exec)
    curl -s http://127.0.0.1:9090/-/ready        Prometheus, Alertmanager; the exporter is asked with `vv get PATH`
    /var/lib/vv/logs/app.log                     the folders of the state and of the log
    DIR/prometheus.yml                           what `vv config render --out DIR` wrote

`Commands.here` says what that is where the settings apply: the ports and folders that are configured, and for what is
run by systemd, or by `vv up`, its own words. What stands outside of code is left as it is.
"""

from __future__ import annotations

import re
import shlex
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from vv_exporter.common.programs import home
from vv_exporter.settings import Settings

ENVIRONMENT_FILE = Path("/etc/vv/vv.env")
"""What systemd reads the settings of the services from."""
RENDERED = "/etc/vv/rendered"
"""Where docs/deployment.md has the servers' configuration on a device with systemd."""
PARTS = ("exporter", "self-monitor", "docker-proxy", "alertmanager", "prometheus", "fleet-agent")

_FENCED = re.compile(r"^([ \t]*```sh\n)(.*?)(^[ \t]*```)", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# Not what runs where the scripts run: cron, alert, heartbeat.
_VV = re.compile(
    r"(?P<before>^[ \t]*|(?<=[;&|(] )|(?<=\bsudo )|(?<=\$\())vv(?P<rest> (?P<command>get|health|status|timeline|config|"
    r"notify|doctor|drill|quarantine|containers|dvr|chain|footage|fleet|digest|silence|storage|self-monitor|--version)\b"
    r"(?P<action> \w+)?)",
    re.MULTILINE,
)
_RENDER = re.compile(r"\bvv config render --out DIR\b")
_PART = rf"(?:{'|'.join(PARTS)}|\{{\{{ \$labels\.component \}}\}})"
_COMPOSE = re.compile(
    r"docker compose (?P<verb>logs|ps|up|restart|kill|exec)(?P<options>(?: --?[\w-]+(?: (?:\d+|HUP)\b)?)*)"
    rf"(?P<parts>(?: {_PART}(?![\w-]))+)"
)
_PATH = re.compile(
    r'"\$\{VV_LOG_DIR:-(?:/var/lib/vv|\$STATE)/logs\}(?P<in_logs>[\w./*-]*)"'
    r'|"\$\{VV_STATE_DIR:-/var/lib/vv\}(?P<in_state>[\w./*-]*)"'
    r"|\$\{VV_STATE_DIR:-/var/lib/vv\}(?P<state>)"
    r"|(?<![\w/.-])/var/lib/vv(?P<logs>/logs)?(?![\w.-])"
)
_ADDRESS = re.compile(r"(?:http://)?127\.0\.0\.1:(?P<port>9090|9093|19461)(?!\d)")


class Commands:
    """How commands read on the device that `settings` describe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._deployment = _DEPLOYMENTS[settings.deployment](settings)

    def here(self, text: str) -> str:
        """A text of a rule or a runbook with its commands as they are typed here."""
        text = _FENCED.sub(lambda found: found[1] + self.command(found[2]) + found[3], text)
        return _CODE.sub(lambda found: f"`{self.command(found[1])}`", text)

    def command(self, code: str) -> str:
        """One command, or several lines of them."""
        code = _PATH.sub(self._path_in_deployment, code)
        code = _ADDRESS.sub(self._address_in_deployment, code)
        code = self._deployment.servers(code)
        code = _COMPOSE.sub(self._parts_in_deployment, code)
        code = _RENDER.sub(lambda _: self._deployment.render(), code)
        return _VV.sub(lambda found: found["before"] + self._vv_in_deployment(found), code)

    def _path_in_deployment(self, found: re.Match[str]) -> str:
        state, logs = str(self._settings.state_dir), str(self._settings.logs)
        if found["in_logs"] is not None:
            return shlex.quote(logs + found["in_logs"])
        if found["in_state"] is not None:
            return shlex.quote(state + found["in_state"])
        return shlex.quote(logs if found["logs"] else state)

    def _address_in_deployment(self, found: re.Match[str]) -> str:
        settings = self._settings
        return {
            "9090": settings.prometheus_on_host,
            "9093": settings.alertmanager_on_host,
            "19461": settings.exporter_on_host,
        }[found["port"]]

    def _parts_in_deployment(self, found: re.Match[str]) -> str:
        parts = re.findall(_PART, found["parts"])
        return self._deployment.part(found["verb"], found["options"], parts) or found[0]

    def _vv_in_deployment(self, found: re.Match[str]) -> str:
        asks_the_self_monitor = found["command"] == "containers" and found["action"] in (" resume", " forget")
        return self._deployment.vv(asks_the_self_monitor) + found["rest"]


class _Deployment(ABC):
    """The words of one way to run the monitoring."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def vv(self, asks_the_self_monitor: bool) -> str:
        """The command line; for what only the self-monitor's user may ask of it, if that is another one."""

    @abstractmethod
    def part(self, verb: str, options: str, parts: list[str]) -> str:
        """What `docker compose VERB OPTIONS PARTS` is here; empty where it is just that."""

    @abstractmethod
    def render(self) -> str:
        """What writes the servers' configuration anew."""

    def servers(self, code: str) -> str:
        """The programs that check that configuration, with its folder."""
        return code


class _Unknown(_Deployment):
    """Nothing says what runs the parts: the words of compose, and `vv` of whoever types."""

    def vv(self, asks_the_self_monitor: bool) -> str:  # noqa: ARG002 - it is the same
        return "vv"

    def part(self, verb: str, options: str, parts: list[str]) -> str:  # noqa: ARG002 - as it stands
        return ""

    def render(self) -> str:
        return "vv config render --out DIR"


class _Compose(_Deployment):
    """Containers of docker-compose.yml, named by their project: from any folder, but for what reads the file."""

    def vv(self, asks_the_self_monitor: bool) -> str:
        return f"{self._compose_command()} exec {'self-monitor' if asks_the_self_monitor else 'exporter'} vv"

    def part(self, verb: str, options: str, parts: list[str]) -> str:
        if verb == "up":
            return f"{self._compose_command()} start {' '.join(parts)}"
        return f"{self._compose_command()} {verb}{options} {' '.join(parts)}"

    def render(self) -> str:
        return f"{self._compose_command()} start config"

    def servers(self, code: str) -> str:
        compose = self._compose_command()
        code = code.replace(
            "promtool check config DIR/", f"{compose} exec prometheus promtool check config /volumes/config-prometheus/"
        )
        return code.replace(
            "amtool check-config DIR/", f"{compose} exec alertmanager amtool check-config /volumes/config/"
        )

    def _compose_command(self) -> str:
        return f"docker compose --project-name {self.settings.compose_project}"


class _Systemd(_Deployment):
    """Services: ours, and those of Debian's packages of Prometheus and Alertmanager."""

    UNITS: ClassVar = {
        "exporter": "vv-exporter",
        "self-monitor": "vv-self-monitor",
        "docker-proxy": "vv-docker-proxy",
        "alertmanager": "prometheus-alertmanager",
        "prometheus": "prometheus",
        "fleet-agent": "vv-fleet-agent",
    }

    def vv(self, asks_the_self_monitor: bool) -> str:  # noqa: ARG002 - root may
        return f"vv --env-file {ENVIRONMENT_FILE}"

    def part(self, verb: str, options: str, parts: list[str]) -> str:
        units = [self.UNITS.get(part, f"'*{part}*'") for part in parts]
        if verb == "logs":
            named = " ".join(f"--unit {unit}" for unit in units)
            return f"journalctl {named} --lines {_tail_lines(options)} --no-pager"
        words = {
            "ps": "systemctl status --no-pager",
            "up": "systemctl start",
            "restart": "systemctl restart",
            "kill": "systemctl kill --signal HUP",
        }
        return f"{words[verb]} {' '.join(units)}"

    def render(self) -> str:
        return f"vv --env-file {ENVIRONMENT_FILE} config render --out {RENDERED}"

    def servers(self, code: str) -> str:
        return _checked_in(code, RENDERED)


class _Up(_Deployment):
    """Processes of `vv up`, which starts again what ends."""

    PROCESSES: ClassVar[dict[str, Callable[[Path], str]]] = {
        "exporter": lambda _: "vv_exporter exporter",
        "self-monitor": lambda _: "vv_exporter self-monitor",
        "alertmanager": lambda folder: f"{folder}/config/alertmanager.yml",
        "prometheus": lambda folder: f"{folder}/config/prometheus.yml",
        "fleet-agent": lambda folder: f"{folder}/config/agent/scrape.yml",
    }
    LOGS: ClassVar = {"fleet-agent": "agent"}
    """Where the log has another name than the part."""

    def vv(self, asks_the_self_monitor: bool) -> str:  # noqa: ARG002 - one user runs all
        return f"{self._vv_program()} --env-file {shlex.quote(str(environment_file(self._stack_folder)))}"

    def part(self, verb: str, options: str, parts: list[str]) -> str:
        if verb == "logs":
            logs = " ".join(
                f"{shlex.quote(str(self._stack_folder))}/logs/{self.LOGS.get(part, part)}.log" for part in parts
            )
            return f"tail -n {_tail_lines(options)} {logs}"
        if verb == "up":
            return f"{self.vv(asks_the_self_monitor=False)} up"
        program = {"ps": "pgrep -af", "restart": "pkill -f", "kill": "pkill -HUP -f"}[verb]
        return "; ".join(f"{program} {shlex.quote(self._process_of(part))}" for part in parts)

    def render(self) -> str:
        return f"{self.vv(asks_the_self_monitor=False)} config render --out {self._config_folder()}"

    def servers(self, code: str) -> str:
        return re.sub(r"\b(promtool|amtool)(?= check)", _fetched_program, _checked_in(code, self._config_folder()))

    @property
    def _stack_folder(self) -> Path:
        return self.settings.state_dir / "stack"

    def _config_folder(self) -> str:
        return shlex.quote(str(self._stack_folder / "config"))

    def _vv_program(self) -> str:
        return shlex.quote(str(Path(sys.executable).with_name("vv")))

    def _process_of(self, part: str) -> str:
        return self.PROCESSES[part](self._stack_folder) if part in self.PROCESSES else part


_DEPLOYMENTS: dict[str, type[_Deployment]] = {"": _Unknown, "compose": _Compose, "systemd": _Systemd, "up": _Up}


def environment_file(folder: Path) -> Path:
    """Where `vv up` writes the environment of its programs, for `vv --env-file`, if `folder` is its own."""
    return folder / "vv.env"


def _fetched_program(program: re.Match[str]) -> str:
    """A program as `vv up` fetched it, where it did."""
    own = home() / "bin" / program[1]
    return shlex.quote(str(own)) if own.exists() else program[1]


def _tail_lines(options: str) -> str:
    found = re.search(r"--tail (\d+)", options)
    return found[1] if found else "100"


def _checked_in(code: str, folder: str) -> str:
    code = code.replace("promtool check config DIR/", f"promtool check config {folder}/")
    return code.replace("amtool check-config DIR/", f"amtool check-config {folder}/")
