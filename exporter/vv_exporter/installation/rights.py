"""Who may do what on a device: the one table that installing, mending, `vv doctor` and the tests read. Pure data.

Scripts belong to the group `vv`: it reports, logs and counts attempts, and reaches neither what the exporter keeps for
itself nor the Docker Engine. Looking at containers and acting on them have groups of their own, whose members are the
exporter and the self-monitor alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vv_core.common.shared import COMMON_FOLDER, READABLE_FILE, STICKY_FOLDER
from vv_exporter.language import translatable

ROOT = "root"
EXPORTER, SELF_MONITOR, PROXY = "vv", "vv-self-monitor", "vv-docker"
"""Users of the three services."""
SCRIPTS = "vv"
"""The group of scripts that report."""
MAY_LOOK, MAY_ACT = "vv-docker-read", "vv-docker-act"
"""The groups of the Docker proxy's two sockets."""
DOCKER = "docker"
"""The group of the Engine's own socket: who belongs to it is root."""

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
VISIBLE_FOLDER = 0o2750
"""The group looks; only the owner changes anything."""
SOCKET = 0o660

STATE_DIR, CONFIG_DIR, RUNTIME_DIR = "/var/lib/vv", "/etc/vv", "/run/vv-docker"
AGENT_DIR = "/var/lib/vv-fleet-agent"
"""Of the agent that sends to a fleet's centre, made by its unit."""


@dataclass(frozen=True)
class Entry:
    """A folder, file or socket of an installation: `path` is absolute, or below the state folder ("" is that itself).

    It has exactly this owner, group and mode. Only an `expected` one is missed where it is not.
    """

    path: str
    kind: Literal["folder", "file", "socket"]
    mode: int
    owner: str
    group: str
    risk: str
    """What others could do if the mode were wider."""
    expected: bool = True


def _folder_entry(path: str, mode: int, owner: str, group: str, risk: str, expected: bool = True) -> Entry:
    return Entry(path, "folder", mode, owner, group, risk, expected)


STATE = (
    _folder_entry("", STICKY_FOLDER, EXPORTER, SCRIPTS, translatable("replace the journal and all that is kept")),
    _folder_entry("journal", STICKY_FOLDER, EXPORTER, SCRIPTS, translatable("delete what others reported")),
    _folder_entry("logs", COMMON_FOLDER, EXPORTER, SCRIPTS, translatable("read and write app.log")),
    _folder_entry("jobs", STICKY_FOLDER, EXPORTER, SCRIPTS, translatable("take the locks of jobs away")),
    _folder_entry("attempts", COMMON_FOLDER, EXPORTER, SCRIPTS, translatable("change how often a video was tried")),
    _folder_entry("chains", STICKY_FOLDER, EXPORTER, SCRIPTS, translatable("put a chain of signed lines back"), False),
    _folder_entry("logins", COMMON_FOLDER, EXPORTER, SCRIPTS, translatable("have a DVR lock its account"), False),
    _folder_entry(
        "exporter",
        PRIVATE_FOLDER,
        EXPORTER,
        SCRIPTS,
        translatable("read counts, history and the token of Alertmanager"),
    ),
    _folder_entry(
        "self-monitor", VISIBLE_FOLDER, SELF_MONITOR, SCRIPTS, translatable("change what was restarted when"), False
    ),
    _folder_entry(
        "self-monitor/requests", PRIVATE_FOLDER, SELF_MONITOR, SCRIPTS, translatable("have containers restarted"), False
    ),
)
"""Folders below the state folder, each after the one that it is in."""

STATE_FILES = (
    Entry("exporter/state.db", "file", PRIVATE_FILE, EXPORTER, SCRIPTS, translatable("read counts and history"), False),
    Entry(
        "exporter/state.db-wal", "file", PRIVATE_FILE, EXPORTER, SCRIPTS, translatable("read counts and history"), False
    ),
    Entry(
        "exporter/state.db-shm", "file", PRIVATE_FILE, EXPORTER, SCRIPTS, translatable("read counts and history"), False
    ),
    Entry(
        "exporter/alertmanager-token",
        "file",
        PRIVATE_FILE,
        EXPORTER,
        SCRIPTS,
        translatable("speak as Alertmanager"),
        False,
    ),
    Entry(
        "exporter/fleet-config.json",
        "file",
        PRIVATE_FILE,
        EXPORTER,
        SCRIPTS,
        translatable("change the limits of this device"),
        False,
    ),
    Entry(
        "exporter/lock", "file", PRIVATE_FILE, EXPORTER, SCRIPTS, translatable("keep the exporter from starting"), False
    ),
    Entry(
        "self-monitor/state.db", "file", PRIVATE_FILE, SELF_MONITOR, SCRIPTS, translatable("read what it keeps"), False
    ),
    Entry(
        "self-monitor/lock", "file", PRIVATE_FILE, SELF_MONITOR, SCRIPTS, translatable("keep it from starting"), False
    ),
    Entry(
        "self-monitor/view.json",
        "file",
        READABLE_FILE,
        SELF_MONITOR,
        SCRIPTS,
        translatable("change what it shows"),
        False,
    ),
)

CONFIGURATION = (
    _folder_entry(CONFIG_DIR, 0o755, ROOT, ROOT, translatable("change what is watched, and who is told")),
    _folder_entry(f"{CONFIG_DIR}/secrets", 0o750, ROOT, EXPORTER, translatable("read the channels' secrets")),
)

SOCKETS = (
    _folder_entry(RUNTIME_DIR, 0o755, ROOT, ROOT, translatable("put sockets of their own there")),
    _folder_entry(f"{RUNTIME_DIR}/read", VISIBLE_FOLDER, PROXY, MAY_LOOK, translatable("look at containers")),
    _folder_entry(
        f"{RUNTIME_DIR}/act", VISIBLE_FOLDER, PROXY, MAY_ACT, translatable("stop containers, and read their logs")
    ),
    Entry(
        f"{RUNTIME_DIR}/read/docker.sock", "socket", SOCKET, PROXY, MAY_LOOK, translatable("look at containers"), False
    ),
    Entry(f"{RUNTIME_DIR}/act/docker.sock", "socket", SOCKET, PROXY, MAY_ACT, translatable("stop containers"), False),
)
"""The folders hand their group on to what is made in them (set-group-ID): the proxy itself belongs to neither."""


@dataclass(frozen=True)
class Unit:
    """A service of systemd: as whom it runs, and what it is kept from."""

    user: str
    group: str
    groups: tuple[str, ...]
    umask: int
    writes: tuple[str, ...]
    """Folders that it may write, beside those that its settings name."""
    hidden: tuple[str, ...]
    """What it must not even see."""
    sandbox: Mapping[str, str] = field(default_factory=dict)


_HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "RestrictNamespaces": "yes",
    "MemoryDenyWriteExecute": "yes",
}
_ALONE = _HARDENED | {"PrivateNetwork": "yes", "RestrictAddressFamilies": "AF_UNIX"}

UNITS = {
    "vv-docker-proxy.service": Unit(
        PROXY, PROXY, (DOCKER,), 0o077, (RUNTIME_DIR,), (f"{CONFIG_DIR}/secrets", STATE_DIR), _ALONE
    ),
    "vv-fleet-agent.service": Unit(
        EXPORTER, SCRIPTS, (), 0o077, (AGENT_DIR,), (STATE_DIR, RUNTIME_DIR, "/run/docker.sock"), _HARDENED
    ),
    "vv-exporter.service": Unit(
        EXPORTER, SCRIPTS, (MAY_LOOK,), 0o077, (STATE_DIR,), (f"{RUNTIME_DIR}/act", "/run/docker.sock"), _HARDENED
    ),
    "vv-self-monitor.service": Unit(
        SELF_MONITOR,
        SCRIPTS,
        (MAY_ACT,),
        0o077,
        (STATE_DIR,),
        (f"{CONFIG_DIR}/secrets", f"{RUNTIME_DIR}/read", "/run/docker.sock"),
        _ALONE,
    ),
}


def tmpfiles() -> str:
    """The text of tmpfiles.d/vv.conf: every folder of an installation."""
    # The self-monitor makes its own: systemd-tmpfiles refuses a way that leads from one user's folder into another's.
    state = [(f"{STATE_DIR}/{entry.path}".rstrip("/"), entry) for entry in STATE if entry.owner == EXPORTER]
    others = [(entry.path, entry) for entry in (*CONFIGURATION, *SOCKETS) if entry.kind == "folder"]
    lines = [f"d {path} {entry.mode:04o} {entry.owner} {entry.group} -" for path, entry in (*state, *others)]
    return "# Folders of the monitoring, and whose they are: installation/rights.py.\n" + "\n".join(lines) + "\n"


def sysusers() -> str:
    """The text of sysusers.d/vv.conf: users and groups."""
    return f"""\
# Users and groups of the monitoring. Who runs scripts that report belongs to the group {SCRIPTS}, and to no other.
g {SCRIPTS} - -
g {MAY_LOOK} - -
g {MAY_ACT} - -
g {PROXY} - -
u {EXPORTER} -:{SCRIPTS} "Monitoring, exporter" {STATE_DIR}
u {SELF_MONITOR} -:{SCRIPTS} "Monitoring, self-monitor" -
u {PROXY} -:{PROXY} "Monitoring, Docker proxy" -
"""
