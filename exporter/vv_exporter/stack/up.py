"""`vv up`: exporter, Alertmanager and Prometheus on this machine's loopback interface, in the foreground.

With them runs the self-monitor, where a Docker Engine answers and there is something for it to do.
"""

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from vv_exporter import health
from vv_exporter.channels import deadman, switched_on
from vv_exporter.common.programs import home
from vv_exporter.installation import statefolders
from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.render import files, render
from vv_exporter.render.commands import environment_file
from vv_exporter.render.intervals import resend_delay
from vv_exporter.settings import Settings, SettingsError
from vv_exporter.settings.catalogue import OTHER_VARIABLES, variables
from vv_exporter.settings.environmentfile import environment_line
from vv_exporter.settings.values import without_secrets
from vv_exporter.stack import fetch, keeper, programs, reports, victoria
from vv_exporter.stack.processes import Child
from vv_exporter.stack.progress import Step, step
from vv_exporter.stack.servers import (
    ALERTMANAGER,
    LOOPBACK,
    agent_command,
    alertmanager_command,
    prometheus_command,
    prometheus_scratch,
    ready,
)
from vv_exporter.stack.stopsignals import StopSignals
from vv_exporter.stack.supervision import Supervised
from vv_exporter.stack.terminal import say
from vv_exporter.supervisor.actions import has_work

STOPPING = translatable("Stopping …")
STOPPED = translatable("All is stopped.")
_READY_SECONDS = 60.0


class StackError(Exception):
    """The stack cannot run; the message is for people."""


@dataclass(frozen=True)
class Part:
    """One server of the stack."""

    name: str
    child: Child
    serves: Callable[[], bool]


def run(settings: Settings, environment: Mapping[str, str], demo: Child | None = None) -> None:
    """Run the stack until Ctrl-C, SIGTERM or SIGHUP. A part that ends is started again and takes no other with it.

    `demo` runs beside it, once. Raises `SettingsError` for a port in use, `StackError` where the servers cannot be had.
    """
    check_ports(settings)
    try:
        fetch.ensure_tools(home())
        if settings.fleet_url:
            victoria.ensure((victoria.AGENT,), home())
    except fetch.FetchError as error:
        raise StackError(str(error)) from error
    folder = settings.state_dir / "stack"
    _prepare_configuration(settings, folder, environment)
    # What this process reports goes to the exporter that it runs.
    os.environ["VV_STATE_DIR"] = str(settings.state_dir)
    with StopSignals() as stop, stopping() as started, prometheus_scratch(folder / "prometheus") as scratch:
        parts = [
            (_supervise_child(part.child, folder, settings), part)
            for part in _stack_parts(settings, folder, environment)
        ]
        for supervised, part in parts:
            started.append(part.child)
            if not _start_supervised(supervised, part, stop, settings):
                return
        running = [supervised for supervised, _ in parts]
        if has_work(settings):
            supervisor = _supervise_child(_self_monitor(folder, environment), folder, settings)
            supervisor.start()
            started.append(supervisor.child)
            running.append(supervisor)
        say(summary(settings))
        if demo is not None:
            demo.start()
            started.append(demo)
        if not stop.is_set():
            last = keeper.Last(_(STOPPING), _(STOPPED), None if scratch is None else str(scratch))
            keeper.hand_over(running, demo, folder, environment, last)
        keeper.keep_running(running, demo, stop.wait, pending=lambda _: False)


def _prepare_configuration(settings: Settings, folder: Path, environment: Mapping[str, str]) -> None:
    """Write the servers' configuration, and the settings for `vv --env-file`. On a full disk that of before serves on.

    Raises `SettingsError`.
    """
    try:
        statefolders.make_shared_folders(settings.state_dir)
        statefolders.make_own_folder(folder)
        render(settings, folder / "config")
        _write_environment(folder, environment)
    except OSError as error:
        rendered = all((folder / "config" / name).is_file() for name in ("prometheus.yml", "alertmanager.yml"))
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and rendered:
            used = _("{folder}: {error}: the configuration of the last start is used.")
            say(used.format(folder=folder, error=error.strerror))
            return
        problem = _("VV_STATE_DIR: {folder} cannot be written: {error}; name another folder")
        raise SettingsError([problem.format(folder=folder, error=error)]) from error


def _write_environment(folder: Path, environment: Mapping[str, str]) -> None:
    """Write the settings of an environment for `vv --env-file`, with a file of its own for each secret."""
    secrets = folder / "secrets"
    shown = {name: environment[name] for name in OTHER_VARIABLES if environment.get(name)}
    hidden = {}
    for variable in variables().values():
        for name in (variable.name, f"{variable.name}_FILE"):
            if variable.secret and name == variable.name and environment.get(name):
                hidden[name] = environment[name]
                shown[f"{name}_FILE"] = str(secrets / name)
            elif environment.get(name):
                shown[name] = environment[name]
    files.add(secrets, hidden, private=True)
    files.keep_only(secrets, hidden)
    text = "".join(environment_line(name, value) for name, value in sorted(shown.items()))
    files.write(environment_file(folder), text, private=True)


def _supervise_child(child: Child, folder: Path, settings: Settings) -> Supervised:
    log = Path(child.log or folder / "logs")
    return Supervised(child, time.monotonic, lambda end: reports.report(end, log, folder, settings))


def check_ports(settings: Settings) -> None:
    """Raises `SettingsError`, naming the key, for a port that somebody else listens on."""
    taken = [
        f"{name}: port {port} of {LOOPBACK} is in use; stop what uses it, or set another, e.g. {name}={port + 100}"
        for name, port in (
            ("VV_EXPORTER_PORT", settings.exporter_port),
            ("VV_ALERTMANAGER_PORT", settings.alertmanager_port),
            ("VV_PROMETHEUS_PORT", settings.prometheus_port),
            *([("VV_FLEET_AGENT_PORT", settings.fleet_agent_port)] if settings.fleet_url else []),
        )
        if not _is_free(port)
    ]
    if taken:
        raise SettingsError(taken)


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _stack_parts(settings: Settings, folder: Path, environment: Mapping[str, str]) -> list[Part]:
    """In the order of their start: who is spoken to comes before who speaks."""
    config, logs = folder / "config", folder / "logs"
    alertmanager = alertmanager_command(
        _find_program(programs.ALERTMANAGER),
        config / "alertmanager.yml",
        folder / "alertmanager",
        settings.alertmanager_port,
        settings.alertmanager_public_url,
    )
    prometheus = prometheus_command(
        _find_program(programs.PROMETHEUS),
        config / "prometheus.yml",
        folder / "prometheus",
        settings.prometheus_port,
        resend_delay(settings.alert_path_after),
    )
    exporter = [sys.executable, "-m", "vv_exporter", "exporter"]
    # Set, not left to its default: there is a Prometheus, and people are to be told when it never answers.
    environment = {**environment, "VV_PROMETHEUS_URL": settings.prometheus}
    return [
        Part(
            "exporter",
            Child(translatable("the exporter"), exporter, logs / "exporter.log", environment),
            lambda: _exporter_serves(settings),
        ),
        Part(
            ALERTMANAGER,
            Child(ALERTMANAGER, alertmanager, logs / "alertmanager.log"),
            lambda: ready(settings.alertmanager_port),
        ),
        Part(
            "Prometheus",
            Child("Prometheus", prometheus, logs / "prometheus.log"),
            lambda: ready(settings.prometheus_port),
        ),
        *([_agent_part(settings, folder)] if settings.fleet_url else []),
    ]


def _agent_part(settings: Settings, folder: Path) -> Part:
    program = victoria.find(victoria.AGENT)
    if program is None:
        raise StackError(_("{program} is missing").format(program=victoria.AGENT))
    command = agent_command(program, folder / "config", folder / "agent", settings)
    child = Child(translatable("the fleet's agent"), command, folder / "logs" / "agent.log")
    return Part("the fleet's agent", child, lambda: ready(settings.fleet_agent_port, "/health"))


def _self_monitor(folder: Path, environment: Mapping[str, str]) -> Child:
    command = [sys.executable, "-m", "vv_exporter", "self-monitor"]
    return Child(translatable("the self-monitor"), command, folder / "logs" / "self-monitor.log", environment)


def _find_program(tool: programs.Tool) -> Path:
    found = programs.find(tool)
    if found is None:
        raise StackError(_("{program} is missing").format(program=tool.name))
    return found


def _start_supervised(supervised: Supervised, part: Part, stop: StopSignals, settings: Settings) -> bool:
    """Start a server and wait until it serves; one that ends is reported and tried again. False if all shall stop."""
    with step(_("Starting {server}").format(server=_(part.name))) as shown:
        supervised.start()
        serves = _wait_until_ready(supervised, part.serves, shown, stop)
        shown.result = _("done") if serves else _("not yet")
    if supervised.running and not serves and not stop.is_set():
        output = without_secrets(part.child.tail(), settings)
        late = _("{server} is not ready after {seconds} s. It said last:\n{output}")
        say(late.format(server=part.name, seconds=f"{_READY_SECONDS:.0f}", output=output))
    return not stop.is_set()


def _exporter_serves(settings: Settings) -> bool:
    """Whether it is ready; where it has TLS or users, whether it answers: it need not know who asks."""
    if settings.web_config_file is None:
        return ready(settings.exporter_port)
    try:
        health.exporter(settings.exporter_port)
    except health.UnhealthyError:
        return False
    return True


def _wait_until_ready(supervised: Supervised, serves: Callable[[], bool], shown: Step, stop: StopSignals) -> bool:
    end = time.monotonic() + _READY_SECONDS
    while supervised.running and time.monotonic() < end:
        if serves():
            return True
        shown.update()
        supervised.check()
        if stop.wait(keeper.LOOK_SECONDS / 4):
            break
    return False


@contextlib.contextmanager
def stopping() -> Iterator[list[Child]]:
    """A list of children, all of which are stopped at the end, the last first, also when the terminal is gone."""
    started: list[Child] = []
    try:
        yield started
    finally:
        say("\n" + _(STOPPING))
        for child in reversed(started):
            child.stop()
        say(_(STOPPED))


def summary(settings: Settings) -> str:
    """What a person wants to know once all is running."""
    exporter = settings.exporter_url
    channels = [_(channel.title) for channel in switched_on(settings)]
    title = quote(_("A test"))
    lines = {
        _("status page"): f"{exporter}/",
        _("metrics"): f"{exporter}/metrics",
        "Prometheus": f"http://{LOOPBACK}:{settings.prometheus_port}/api/v1/alerts",
        "Alertmanager": f"http://{LOOPBACK}:{settings.alertmanager_port}/api/v2/alerts",
        _("alerts, in words"): f"tail -f {settings.logs / 'app.log'}",
        _("state and logs"): f"{settings.state_dir}",
        _("a test alert"): f"VV_STATE_DIR={settings.state_dir} {_vv_command()} alert ERROR {title}",
        _("channels"): ", ".join(channels) or _("none (SLACK_WEBHOOK_URL and others: see .env.example)"),
    }
    if settings.video_storage_root is None:
        lines[_("not watched")] = _("the videos' disk (set VIDEO_STORAGE_ROOT)")
    if settings.fleet_url:
        lines[_("fleet")] = f"{settings.fleet_url} (vv fleet status)"
    if not settings.deadman_url:
        lines[_("when it is off")] = _(deadman.UNSET)
    width = max(map(len, lines))
    listed = "\n".join(f"  {name:<{width}}  {value}" for name, value in lines.items())
    watched = _("Device {device} is watched.").format(device=settings.device_id)
    end = _("Ctrl-C stops everything.")
    return f"\n{watched}\n{listed}\n{end}\n"


def _vv_command() -> str:
    return os.path.relpath(Path(sys.executable).with_name("vv"))
