"""`vv fleet agent`: this process becomes the agent that sends to the centre, with what the settings say of it.

For a device where systemd runs it: what it reads is made anew at each start, so that a change of settings needs a
restart and nothing else, and no other service's secrets lie beside its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vv_exporter.render import agent, files, secrets
from vv_exporter.settings import Settings, variables
from vv_exporter.stack import victoria
from vv_exporter.stack.servers import agent_command

_FOLDERS = ("agent", "secrets")
_ITS_SECRETS = (agent.TOKEN, agent.EXPORTER_PASSWORD)


class AgentMissingError(Exception):
    """There is no vmagent; the message says where to get it."""


def prepare(settings: Settings, folder: Path) -> list[str]:
    """Write what the agent reads below `folder`, where its queue is as well; the command that runs it.

    Raises `AgentMissingError`, `OSError`.
    """
    program = victoria.find(victoria.AGENT)
    if program is None:
        raise AgentMissingError(
            f"{victoria.AGENT} is missing: put it on PATH (your distribution's victoria-metrics, or "
            "victoriametrics.com)"
        )
    config = folder.absolute() / "config"
    files.claim(config, _FOLDERS, lambda _: False)
    known = secrets.of_prometheus(settings)
    contents = {
        "secrets": {name: known[name] for name in _ITS_SECRETS if name in known},
        "agent": agent.configuration(settings, config / "secrets"),
    }
    for name, texts in contents.items():
        files.add(config / name, texts, private=name == "secrets")
        files.keep_only(config / name, texts)
    return [str(part) for part in agent_command(program, config, folder.absolute() / "queue", settings)]


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Without our settings, among which are secrets of others: the agent needs none of them."""
    ours = {variable.name for variable in variables().values()}
    return {
        name: value
        for name, value in given.items()
        if not name.startswith("VV_") and name not in ours and name.removesuffix("_FILE") not in ours
    }


def become(command: list[str]) -> None:
    """Go on as this command; returns never, or raises `OSError`."""
    os.execve(command[0], command, environment(os.environ))  # noqa: S606 - no shell is wanted
