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
from vv_exporter.settings import Settings, load
from vv_exporter.web import runbooks

_FENCED = re.compile(r"^[ \t]*```sh\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r"`([^`\n]+)`")
PROGRAMS = (
    *("amtool", "apt-get", "cat", "crontab", "curl", "date", "df", "dmesg", "docker", "du", "find", "findmnt", "free"),
    *("fuser", "getent", "grep", "ip", "journalctl", "last", "ls", "lsblk", "lsof", "mount", "ping", "printenv"),
    *("promtool", "ps", "smartctl", "stat", "systemctl", "tail", "timedatectl", "timeout", "top", "umount", "vmstat"),
    "vv",
)
"""What a line begins with; other quotes are what somebody says, or expressions."""
_PLACEHOLDER = re.compile(r"\{\{|\$[A-Z{]|\b(?:[A-Z]{2,}(?:_[A-Z]+)?)\b(?!=)")
"""What an operator replaces: FILE, NAME, $PATH_."""
_NOT_SO = ("GET", "HUP", "TARGET", "SOURCE", "FSTYPE", "OPTIONS", "NAME,SIZE,TYPE,MOUNTPOINTS,STATE", "MHz")
CHANGES = re.compile(
    r"\b(?:restart|start|pkill|kill|rm|mv|umount|mount -|mount --|mkfs|fsck -y|chown|poweroff|prune|clean|unpause)\b"
    r"|\b(?:release|resume|forget|render|accept|vv alert|vv cron|dvr login)\b|\bdrill(?: --channel \S+)?$|\bup$"
    r"|--send|--retire|notify test|-delete|--vacuum"
)
"""Does more than to look."""
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


def systemd(**more: str) -> Settings:
    """What /etc/vv/vv.env says after `make install`, and `more`."""
    return load({"VV_DEPLOYMENT": "systemd", "VV_STATE_DIR": "/var/lib/vv", "VV_CONFIG": "", **more})


def as_they_stand(settings: Settings, *, changing: bool = False) -> list[str]:
    """The lines that can be typed without a thought: programs with their arguments, and nothing to be filled in.

    Those that only look, which may find nothing and may not fail; or those that change something. A machine that runs
    the deployment types each in a shell, as root: `bash -c LINE`.
    """
    found = {line for _, line in lines(settings) if _is_whole(line) and not _has_to_be_filled_in(line)}
    return sorted(line for line in found if bool(CHANGES.search(line)) == changing)


def _is_whole(line: str) -> bool:
    """Whether it is a command with its arguments, and not the mention of one."""
    words = line.split()
    needs = 3 if words[0] in ("docker", "grep", "mount", "systemctl", "umount", "vv") and words[1:] != ["ps"] else 2
    return words[0] in PROGRAMS and len(words) >= needs


def _has_to_be_filled_in(line: str) -> bool:
    for word in _NOT_SO:
        line = line.replace(word, "")
    return bool(_PLACEHOLDER.search(line)) or re.search(r"(?:^| )name\b|'name'", line) is not None


def _filled(text: str) -> str:
    text = re.sub(r"\{\{\s*\"\{\{(.*?)\}\}\"\s*\}\}", r"{{\1}}", text)
    text = re.sub(r"\{\{ with .*?\}\}.*?\{\{ else \}\}(.*?)\{\{ end \}\}", r"\1", text)
    return re.sub(r"\{\{[^}]*\$labels\.(\w+)[^}]*\}\}", lambda found: _FILLED.get(found[1], "name"), text)
