"""The commands that people are told to type on a device: in every alert's suggested actions, in every runbook."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from vv_exporter.alert_path import message, unwritten
from vv_exporter.alert_path.hops import Hop
from vv_exporter.alert_path.state import PathState
from vv_exporter.render import base
from vv_exporter.render.commands import Commands
from vv_exporter.render.prometheus import rules
from vv_exporter.settings import Settings
from vv_exporter.web import runbooks

_FENCED = re.compile(r"^[ \t]*```sh\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r"`([^`\n]+)`")
_FILLED = {"component": "prometheus", "channel": "slack", "metric": "vv_job_runs_total"}


def alerts(settings: Settings) -> list[dict[str, Any]]:
    """Every rule of an alert, as it is rendered for the device."""
    files = rules(base.folder(), settings).values()
    groups = [group for text in files for group in yaml.safe_load(text)["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def lines(settings: Settings) -> Iterator[tuple[str, str]]:
    """Where each line of shell stands, and the line, with ordinary names in the place of labels."""
    for rule in alerts(settings):
        for quoted in _QUOTED.findall(_filled(rule["annotations"]["suggested_actions"])):
            yield rule["alert"], quoted
    for hop in Hop:
        state = PathState(since=1.0, hop=str(hop))
        for quoted in _QUOTED.findall(message.broken(state, settings).suggested_actions):
            yield f"AlertPathBroken, {hop}", quoted
    for quoted in _QUOTED.findall(unwritten.message_of("", settings, 1.0).suggested_actions):
        yield unwritten.STATE_NOT_WRITABLE, quoted
    commands = Commands(settings)
    for one in runbooks.index():
        text = commands.here((base.folder() / "docs" / "runbooks" / f"{one.name}.md").read_text())
        for block in _FENCED.findall(text):
            for line in re.sub(r"\\\n", " ", block).splitlines():
                if re.sub(r"(^|\s)#.*", "", line).strip():
                    yield f"runbook {one.name}", re.sub(r"(^|\s)#.*", "", line).strip()
        for quoted in _QUOTED.findall(_FENCED.sub("", text)):
            yield f"runbook {one.name}", quoted


def _filled(text: str) -> str:
    text = re.sub(r"\{\{\s*\"\{\{(.*?)\}\}\"\s*\}\}", r"{{\1}}", text)
    text = re.sub(r"\{\{ with .*?\}\}.*?\{\{ else \}\}(.*?)\{\{ end \}\}", r"\1", text)
    return re.sub(r"\{\{[^}]*\$labels\.(\w+)[^}]*\}\}", lambda found: _FILLED.get(found[1], "name"), text)
