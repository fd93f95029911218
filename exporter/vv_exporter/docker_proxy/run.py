"""The proxy as a program."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from vv_core.common.texts import many
from vv_exporter.containers.watch import DEFAULT_HOST
from vv_exporter.docker_proxy.peers import Peers, parse_peers
from vv_exporter.docker_proxy.policy import ACT, READ
from vv_exporter.docker_proxy.server import Listener
from vv_exporter.runtime import systemd
from vv_exporter.runtime.program import console, until_signalled
from vv_exporter.settings import Settings, SettingsError
from vv_exporter.supervisor.selection import supervised

log = logging.getLogger(__name__)

_UNIX = "unix://"


def run(settings: Settings, read: Path | None, act: Path | None) -> None:
    """Serve until SIGTERM or SIGINT. Raises `SettingsError`."""
    stopping = until_signalled()
    logging.basicConfig(level=logging.INFO, handlers=[console()])
    with contextlib.ExitStack() as stack:
        served = listeners(settings, read, act)
        for listener in served:
            try:
                listener.start()
            except OSError as error:
                raise SettingsError([f"{listener.path}: cannot be listened on ({error.strerror})"]) from error
            stack.callback(listener.stop)
            log.info("listening on %s", listener.path)
        systemd.wait(stopping, lambda: all(listener.alive for listener in served))
        for listener in served:
            if listener.peers.refused:
                log.warning("%s: refused to other users: %s", listener.path, many(listener.peers.refused, "connection"))


def listeners(settings: Settings, read: Path | None, act: Path | None) -> list[Listener]:
    """One for each path. Raises `SettingsError`."""
    host = settings.docker_host or DEFAULT_HOST
    if not host.startswith(_UNIX):
        raise SettingsError(
            ["DOCKER_HOST: the proxy asks an Engine on this machine; write unix:///var/run/docker.sock"]
        )
    engine = host.removeprefix(_UNIX)
    found = [
        Listener(
            path,
            engine,
            rules,
            lambda container: supervised(container, settings, ""),
            _peers_of_setting(key, users),
            name,
        )
        for path, rules, key, users, name in (
            (read, READ, "VV_DOCKER_READ_USERS", settings.docker_read_users, "read"),
            (act, ACT, "VV_DOCKER_ACT_USERS", settings.docker_act_users, "act"),
        )
        if path is not None
    ]
    for listener in found:
        listener.siblings = found
    return found


def _peers_of_setting(key: str, users: str) -> Peers:
    try:
        return parse_peers(users, key)
    except ValueError as error:
        raise SettingsError([f"{key}: {error}"]) from error
