"""`vv fleet up`: the centre of a fleet on this machine's loopback interface, in the foreground."""

from __future__ import annotations

import time
from pathlib import Path

from vv_exporter.common.programs import home
from vv_exporter.fleet import centre
from vv_exporter.fleet.inventory import Device
from vv_exporter.fleet.servers import Ports, Server, servers
from vv_exporter.settings import Settings
from vv_exporter.settings.values import without_secrets
from vv_exporter.stack import fetch, programs, victoria
from vv_exporter.stack.processes import Child
from vv_exporter.stack.progress import last_lines, step
from vv_exporter.stack.servers import LOOPBACK, ready
from vv_exporter.stack.stopsignals import StopSignals
from vv_exporter.stack.supervision import End, Supervised
from vv_exporter.stack.terminal import say
from vv_exporter.stack.up import StackError, stopping

_LOOK_SECONDS = 0.2
_READY_SECONDS = 60.0


def run(devices: list[Device], settings: Settings, folder: Path, ports: Ports) -> None:
    """Run the centre until Ctrl-C, SIGTERM or SIGHUP; a server that ends is started again.

    Raises `SettingsError`, `OSError`, `StackError` where a server cannot be had.
    """
    try:
        fetch.ensure_tools(home())
        found = victoria.ensure((victoria.STORE, victoria.DOOR, victoria.RULES), home())
    except fetch.FetchError as error:
        raise StackError(str(error)) from error
    alertmanager = programs.find(programs.ALERTMANAGER)
    if alertmanager is None:
        raise StackError("alertmanager is missing")
    configuration = folder / "config"
    centre.render(devices, settings, configuration, f"http://{LOOPBACK}:{ports.store}")
    wanted = servers({**found, "alertmanager": alertmanager}, configuration, folder, ports)
    with StopSignals() as stop, stopping() as started:
        running = []
        for server in wanted:
            supervised = _supervise_server(server, folder, settings)
            started.append(supervised.child)
            running.append(supervised)
            with step(f"Starting {server.name}") as shown:
                supervised.start()
                end = time.monotonic() + _READY_SECONDS
                while not (serves := ready(server.port, server.ready_path)) and time.monotonic() < end:
                    supervised.check()
                    if stop.wait(_LOOK_SECONDS):
                        return
                shown.result = "done" if serves else "not yet"
        say(_summary_text(devices, configuration, ports))
        while not stop.wait(_LOOK_SECONDS):
            for one in running:
                one.check()


def _supervise_server(server: Server, folder: Path, settings: Settings) -> Supervised:
    log = folder / "logs" / f"{server.name.lower().replace(' ', '-')}.log"

    def report(end: End) -> None:
        output = without_secrets(last_lines(log, 10), settings)
        say(f"{end.name} {end.how}; it is started again. It said last:\n{output}")

    return Supervised(Child(server.name, server.command, log), time.monotonic, report)


def _summary_text(devices: list[Device], configuration: Path, ports: Ports) -> str:
    door, tokens = f"http://{LOOPBACK}:{ports.door}", configuration / "tokens"
    lines = {
        "on a device": f"VV_FLEET_URL={door}",
        "with its token": f"VV_FLEET_TOKEN_FILE={tokens}/NAME",
        "Grafana's source": f"{door} (Prometheus), token in {tokens / centre.READER}",
        "the store": f"http://{LOOPBACK}:{ports.store}/vmui/",
        "rules": f"http://{LOOPBACK}:{ports.rules}/vmalert/groups",
        "Alertmanager": f"http://{LOOPBACK}:{ports.alertmanagers[0]}/api/v2/alerts",
    }
    width = max(map(len, lines))
    listed = "\n".join(f"  {name:<{width}}  {value}" for name, value in lines.items())
    return f"\nThe fleet is watched. Devices in the inventory: {len(devices)}.\n{listed}\nCtrl-C stops everything.\n"
