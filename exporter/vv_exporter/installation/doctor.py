"""What `vv doctor` finds: an installation, as this process may see it, beside the table of `rights`.

What cannot be seen is said to be unknown; it is neither fine nor wrong.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vv_exporter.installation import rights
from vv_exporter.installation.rights import Entry
from vv_exporter.language import gettext as _
from vv_exporter.settings import Settings, SettingsError, load, secret_files, variables
from vv_exporter.settings.environmentfile import parse_environment_file

PROBE_FOLDER = ".vv-probe"
_HOMES = ("/home", "/root", "/run/user")
"""What `ProtectHome=` hides (systemd.exec(5))."""
_AS_GOOD = {"ProtectHome": ("tmpfs",)}
"""Other values of a key that keep a service from as much."""
_KINDS: Mapping[str, Callable[[int], bool]] = {"folder": stat.S_ISDIR, "file": stat.S_ISREG, "socket": stat.S_ISSOCK}
_MISSING: Mapping[str, Callable[[], str]] = {
    "folder": lambda: _("there is no such folder"),
    "file": lambda: _("there is no such file"),
    "socket": lambda: _("there is no such socket"),
}
_OTHER: Mapping[str, Callable[[], str]] = {
    "folder": lambda: _("it is no folder"),
    "file": lambda: _("it is no file"),
    "socket": lambda: _("it is no socket"),
}
_EXPORTER_UNIT = "vv-exporter.service"
_PROXY_UNIT = "vv-docker-proxy.service"
_UNIT_FOLDERS = ("usr/lib/systemd/system", "lib/systemd/system", "etc/systemd/system", "run/systemd/system")
_ADDED_UP = frozenset(
    {"SupplementaryGroups", "ReadWritePaths", "BindPaths", "InaccessiblePaths", "CapabilityBoundingSet"}
)
"""Keys of units whose lines add up, until an empty one clears them."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, and the command that cures it; or, `unknown`, that cannot be seen."""

    subject: str
    problem: str
    cure: str
    unknown: bool = False

    def __str__(self) -> str:
        state = _("unknown") if self.unknown else _("wrong")
        return f"{state}: {self.subject}: {self.problem}: {self.cure}"


@dataclass(frozen=True)
class Unit:
    """A unit as it is installed, with its drop-ins: each key's value, and the file that it stands in."""

    values: Mapping[str, str]
    files: Mapping[str, Path]


class Machine:
    """The machine below `root`: its accounts, units and files. `settings` are those of the exporter's service."""

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self.root = root
        self.units = {name: unit for name in rights.UNITS if (unit := _read_unit(root, name)) is not None}
        self.users = _read_accounts(root / "etc/passwd", 2)
        self.groups = _read_accounts(root / "etc/group", 2)
        self.members = _read_members(root)
        self.environ = _service_environment(self, environ) if self.units else dict(environ)
        self.config = self.path(self.environ.get("VV_CONFIG") or f"{rights.CONFIG_DIR}/vv.yml")
        if _path_exists(self.config):
            self.environ["VV_CONFIG"] = str(self.config)
        self.problems: tuple[str, ...] = ()
        self.settings: Settings | None = None
        try:
            self.settings = load(self.environ, secrets=False)
        except SettingsError as error:
            self.problems = error.problems

    @property
    def by_systemd(self) -> bool:
        """Whether the services are installed; else the stack runs in a terminal or in containers."""
        return bool(self.units)

    @property
    def state(self) -> Path:
        """The state folder, below `root`."""
        named = self.settings.state_dir if self.settings else Path(self.environ.get("VV_STATE_DIR") or rights.STATE_DIR)
        return self.path(str(named))

    def path(self, path: str) -> Path:
        """Where a path of the machine is for this process."""
        return self.root / path.lstrip("/") if self.root != Path("/") else Path(path)


def examine(root: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Everything that is not as it should be below `root`, the root of the machine or of a package."""
    machine = Machine(root, environ)
    for problem in machine.problems:
        yield Finding(_("settings"), problem, "vv config check")
    if machine.by_systemd:
        yield from _accounts_findings(machine)
        yield from _unit_findings(machine)
        yield from _entries_findings(machine, rights.CONFIGURATION)
        yield from _settings_file_findings(machine)
        if _PROXY_UNIT in machine.units:
            yield from _entries_findings(machine, rights.SOCKETS)
    yield from _entries_findings(machine, (*rights.STATE, *rights.STATE_FILES))
    yield from _secret_findings(machine)
    yield from _engine_findings(machine)
    if machine.settings is not None and machine.settings.video_storage_root is not None:
        yield from _storage_findings(machine, machine.settings.video_storage_root)


def _entries_findings(machine: Machine, entries: tuple[Entry, ...]) -> Iterator[Finding]:
    for entry in entries:
        path = machine.path(entry.path) if entry.path.startswith("/") else machine.state / entry.path
        if entry.path.startswith("/") or entry.path == "" or _path_exists(path.parent) is not False:
            yield from _entry_findings(machine, entry, path)


def _entry_findings(machine: Machine, entry: Entry, path: Path) -> Iterator[Finding]:
    try:
        found = path.stat()
    except FileNotFoundError:
        if entry.expected:
            yield Finding(str(path), _MISSING[entry.kind](), _making_command(machine, entry, path))
        return
    except OSError as error:
        yield _unseen_finding(path, error)
        return
    if not _KINDS[entry.kind](found.st_mode):
        yield Finding(str(path), _OTHER[entry.kind](), f"mv {_quoted_path(path)} {_quoted_path(path)}.set-aside")
        return
    owner, group = _owner_ids(machine, entry)
    names = _owner_names(machine, entry)
    if (owner is not None and found.st_uid != owner) or (group is not None and found.st_gid != group):
        belongs = _("it belongs to {owner}, not to {wanted}").format(
            owner=f"{found.st_uid}:{found.st_gid}", wanted=names
        )
        yield Finding(str(path), belongs, f"chown {names} {_quoted_path(path)}")
    mode = stat.S_IMODE(found.st_mode)
    if mode != entry.mode:
        wider = mode & ~entry.mode & 0o777 or (entry.mode & ~mode & stat.S_ISVTX)
        words = (
            _("its mode is {mode}, not {wanted}: others may {risk}") if wider else _("its mode is {mode}, not {wanted}")
        )
        problem = words.format(mode=f"{mode:04o}", wanted=f"{entry.mode:04o}", risk=_(entry.risk))
        yield Finding(str(path), problem, f"chmod {entry.mode:04o} {_quoted_path(path)}")


def _owner_ids(machine: Machine, entry: Entry) -> tuple[int | None, int | None]:
    """Owner and group as numbers; None where any is right, or nobody knows."""
    if machine.by_systemd:
        return machine.users.get(entry.owner), machine.groups.get(entry.group)
    with contextlib.suppress(OSError):
        state = machine.state.stat()
        return (state.st_uid if entry.owner == rights.EXPORTER else None), state.st_gid
    return None, None


def _owner_names(machine: Machine, entry: Entry) -> str:
    if machine.by_systemd:
        return f"{entry.owner}:{entry.group}"
    owner, group = _owner_ids(machine, entry)
    return f"{'' if owner is None else owner}:{'' if group is None else group}"


def _making_command(machine: Machine, entry: Entry, path: Path) -> str:
    if machine.by_systemd:
        return "systemd-tmpfiles --create /etc/tmpfiles.d/vv.conf"
    owner, group = _owner_ids(machine, entry)
    whose = ("" if owner is None else f"-o {owner} ") + ("" if group is None else f"-g {group} ")
    return f"install -d {whose}-m {entry.mode:04o} {_quoted_path(path)}"


def _accounts_findings(machine: Machine) -> Iterator[Finding]:
    """Users and groups are there, and nobody is in one who should not be."""
    cure = "systemd-sysusers /etc/sysusers.d/vv.conf"
    for name in (rights.EXPORTER, rights.SELF_MONITOR, rights.PROXY):
        if name not in machine.users:
            yield Finding(_("user {name}").format(name=name), _("there is none"), cure)
    for name in (rights.SCRIPTS, rights.MAY_LOOK, rights.MAY_ACT):
        if name not in machine.groups:
            yield Finding(_("group {name}").format(name=name), _("there is none"), cure)
    may_look, may_act = _("look at containers"), _("stop containers, read their logs")
    for name, may in ((rights.MAY_LOOK, may_look), (rights.MAY_ACT, may_act)):
        for user in sorted(machine.members[name] - {rights.ROOT}):
            problem = _("{user} belongs to it, and may {do}").format(user=user, do=may)
            yield Finding(_("group {name}").format(name=name), problem, f"gpasswd -d {user} {name}")
    for user in (rights.EXPORTER, rights.SELF_MONITOR):
        if user in machine.members[rights.DOCKER]:
            problem = _("{user} belongs to it, and is root").format(user=user)
            group = _("group {name}").format(name=rights.DOCKER)
            yield Finding(group, problem, f"gpasswd -d {user} {rights.DOCKER}")


def _engine_findings(machine: Machine) -> Iterator[Finding]:
    """Podman puts a link where Docker's socket is expected (its package podman-docker)."""
    host = machine.environ.get("DOCKER_HOST", "")
    named = [host.removeprefix("unix://")] if host.startswith("unix://") else []
    for socket in dict.fromkeys(map(machine.path, [*named, "/run/docker.sock"])):
        if "/podman/" in os.path.realpath(socket):
            yield Finding(
                str(socket),
                _("it is Podman's, which is not supported: what is shown of containers may be wrong"),
                _("run a Docker Engine there, or set DOCKER_HOST to its socket"),
            )


def _unit_findings(machine: Machine) -> Iterator[Finding]:
    """Each service runs as whom it should, behind what keeps it from the rest."""
    for name, unit in machine.units.items():
        wanted = rights.UNITS[name]
        exact = {"User": wanted.user, "Group": wanted.group, **wanted.sandbox}
        for key, value in exact.items():
            if unit.values.get(key, "") not in (value, *_AS_GOOD.get(key, ())):
                yield _differing_key(name, unit, key, unit.values.get(key, ""), value)
        groups = set(unit.values.get("SupplementaryGroups", "").split())
        if groups != set(wanted.groups):
            yield _differing_key(name, unit, "SupplementaryGroups", " ".join(sorted(groups)), " ".join(wanted.groups))
        if int(unit.values.get("UMask", "0022") or "0022", 8) & wanted.umask != wanted.umask:
            yield _differing_key(name, unit, "UMask", unit.values.get("UMask", ""), f"{wanted.umask:04o}")
        hidden = {path.lstrip("-+") for path in unit.values.get("InaccessiblePaths", "").split()}
        for path in sorted(set(wanted.hidden) - hidden):
            yield _differing_key(name, unit, "InaccessiblePaths", " ".join(sorted(hidden)), f"… -{path}")


def _differing_key(name: str, unit: Unit, key: str, found: str, wanted: str) -> Finding:
    file = unit.files.get(key) or unit.files[""]
    said = f"{key}={found}" if key in unit.files else _("{key} is not set").format(key=key)
    reload = f"systemctl daemon-reload && systemctl restart {name.removesuffix('.service')}"
    problem = _("{found}, should be {wanted}").format(found=said, wanted=f"{key}={wanted}")
    return Finding(name, problem, f"editor {_quoted_path(file)} && {reload}")


def _settings_file_findings(machine: Machine) -> Iterator[Finding]:
    """A secret that stands in the file of settings itself is one of that file's; the service must be able to read."""
    secret = {variable.name for variable in variables().values() if variable.secret}
    for path, content in _environment_files(machine):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            yield _unseen_finding(path, error)
            continue
        shown = sorted(secret & {key for key, value in (content or {}).items() if value})
        if content is None:
            problem = _("user {number} cannot read it, nor what it sets").format(number=os.geteuid())
            yield Finding(str(path), problem, "sudo vv doctor", unknown=True)
        if shown and mode & 0o077:
            problem = _("{names} stands in it, and its mode is {mode}").format(
                names=", ".join(shown), mode=f"{mode:04o}"
            )
            yield Finding(str(path), problem, f"chmod 0600 {_quoted_path(path)}")
    config = machine.config
    with contextlib.suppress(OSError):
        found, unit = config.stat(), rights.UNITS[_EXPORTER_UNIT]
        user, group = machine.users.get(unit.user), machine.groups.get(unit.group)
        if not _may_read(found, user, group):
            yield Finding(
                str(config),
                _("the exporter's user ({user}) cannot read it").format(user=unit.user),
                f"chgrp vv {config}; chmod g+r {config}",
            )


def _secret_findings(machine: Machine) -> Iterator[Finding]:
    """Files of secrets are for the exporter's user alone."""
    owner = machine.users.get(rights.EXPORTER) if machine.by_systemd else None
    for key, named in sorted(secret_files(machine.environ).items()):
        path = machine.path(str(named))
        try:
            found = path.stat()
        except FileNotFoundError:
            problem = _("{key} names it, and it is not there").format(key=key)
            yield Finding(str(path), problem, f"install -m 0600 /dev/stdin {_quoted_path(path)}")
            continue
        except OSError as error:
            yield _unseen_finding(path, error)
            continue
        if found.st_mode & 0o077:
            yield Finding(
                str(path),
                _("its mode is {mode}, and it holds a secret ({key})").format(
                    mode=f"{stat.S_IMODE(found.st_mode):04o}", key=key
                ),
                f"chmod 0600 {_quoted_path(path)}",
            )
        if owner is not None and found.st_uid != owner:
            problem = _("it belongs to {owner}, not to {wanted}").format(owner=found.st_uid, wanted=rights.EXPORTER)
            yield Finding(str(path), problem, f"chown vv:vv {_quoted_path(path)}")


def _storage_findings(machine: Machine, named: Path) -> Iterator[Finding]:
    """The exporter can write a few bytes to the videos' disk: by its unit, and by the folder's mode."""
    root = machine.path(str(named))
    if not (seen := _path_exists(root)):
        if seen is None:
            yield _unseen_finding(root, PermissionError(13, os.strerror(13)))
        else:
            problem = _("{key} names it, and it is not there").format(key="VIDEO_STORAGE_ROOT")
            yield Finding(str(root), problem, f"findmnt --target {named}")
        return
    unit = machine.units.get(_EXPORTER_UNIT)
    if unit is None:
        return  # in a container, or a terminal, nothing but the folder's mode is in the way
    yield from _storage_unit_findings(unit, named)
    probe, owner = root / PROBE_FOLDER, machine.users.get(rights.EXPORTER)
    try:
        found = probe.stat()
    except FileNotFoundError:
        yield Finding(
            str(probe), _("there is no such folder"), f"{_make_probe(named)} && systemctl restart vv-exporter"
        )
    except OSError as error:
        yield _unseen_finding(probe, error)
    else:
        if owner is not None and found.st_uid != owner:
            yield Finding(
                str(probe),
                _("it belongs to {owner}, not to {wanted}").format(owner=found.st_uid, wanted=rights.EXPORTER),
                f"chown {rights.EXPORTER}:{rights.SCRIPTS} {_quoted_path(probe)}",
            )


def _storage_unit_findings(unit: Unit, named: Path) -> Iterator[Finding]:
    """The unit lets the exporter see the videos' disk, and write its probe there."""
    probe = named / PROBE_FOLDER
    lines = [f"ReadWritePaths=-{probe}"]
    if _is_hidden_home(unit, named):
        problem = _("ProtectHome={value} hides VIDEO_STORAGE_ROOT, {folder}, from it").format(
            value=unit.values["ProtectHome"], folder=named
        )
        yield Finding(_EXPORTER_UNIT, problem, _drop_in(named, ["ProtectHome=tmpfs", f"BindPaths={named}", *lines]))
    elif not _unit_covers(unit, "ReadWritePaths", probe):
        problem = _("it may not write below VIDEO_STORAGE_ROOT, {folder}").format(folder=named)
        yield Finding(_EXPORTER_UNIT, problem, _drop_in(named, lines))


def _is_hidden_home(unit: Unit, path: Path) -> bool:
    hides = unit.values.get("ProtectHome", "") in ("yes", "true", "on", "1", "tmpfs")
    return hides and any(path.is_relative_to(home) for home in _HOMES) and not _unit_covers(unit, "BindPaths", path)


def _unit_covers(unit: Unit, key: str, path: Path) -> bool:
    return any(path.is_relative_to(item.lstrip("-+").split(":")[-1]) for item in unit.values.get(key, "").split())


def _make_probe(named: Path) -> str:
    return f"install -d -o {rights.EXPORTER} -g {rights.SCRIPTS} -m 0700 {_quoted_path(named / PROBE_FOLDER)}"


def _drop_in(named: Path, lines: list[str]) -> str:
    """A command that lets the exporter write its probe there."""
    folder = f"/etc/systemd/system/{_EXPORTER_UNIT}.d"
    text = " ".join(map(shlex.quote, ["[Service]", *lines]))
    return (
        f"{_make_probe(named)} && mkdir -p {folder} && printf '%s\\n' {text} > {folder}/storage.conf && "
        "systemctl daemon-reload && systemctl restart vv-exporter"
    )


def _unseen_finding(path: Path, error: OSError) -> Finding:
    problem = _("user {number} cannot see it ({error})").format(number=os.geteuid(), error=error.strerror)
    return Finding(str(path), problem, "sudo vv doctor", unknown=True)


def _path_exists(path: Path) -> bool | None:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return True


def _may_read(found: os.stat_result, user: int | None, group: int | None) -> bool:
    if found.st_uid == user:
        return bool(found.st_mode & stat.S_IRUSR)
    return bool(found.st_mode & (stat.S_IRGRP if found.st_gid == group else stat.S_IROTH))


def _quoted_path(path: Path) -> str:
    return shlex.quote(str(path))


def _read_accounts(file: Path, field: int) -> dict[str, int]:
    """Numbers by name, of a file like passwd(5) or group(5)."""
    return {parts[0]: int(parts[field]) for parts in _read_rows(file) if len(parts) > field and parts[field].isdigit()}


def _read_members(root: Path) -> defaultdict[str, set[str]]:
    """Users by the group that they belong to."""
    members: defaultdict[str, set[str]] = defaultdict(set)
    names = {}
    for parts in _read_rows(root / "etc/group"):
        if len(parts) > 3:
            names[parts[2]] = parts[0]
            members[parts[0]].update(filter(None, parts[3].split(",")))
    for parts in _read_rows(root / "etc/passwd"):
        if len(parts) > 3 and parts[3] in names:
            members[names[parts[3]]].add(parts[0])
    return members


def _read_rows(file: Path) -> list[list[str]]:
    try:
        return [line.split(":") for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return []


def _read_unit(root: Path, name: str) -> Unit | None:
    """An installed unit with its drop-ins, None where there is none."""
    main = [path for folder in _UNIT_FOLDERS if (path := root / folder / name).is_file()]
    if not main:
        return None
    values: dict[str, str] = {}
    files: dict[str, Path] = {"": main[-1]}
    more = (path for folder in _UNIT_FOLDERS for path in (root / folder / f"{name}.d").glob("*.conf"))
    for path in (main[-1], *sorted(more, key=lambda path: path.name)):
        for key, value in _service_lines(path):
            values[key] = (
                f"{values.get(key, '')} {value}".strip()
                if value
                and key
                in _ADDED_UP
                | {
                    "Environment",
                    "EnvironmentFile",
                }
                else value
            )
            files[key] = path
    return Unit(values, files)


def _service_lines(path: Path) -> Iterator[tuple[str, str]]:
    section = ""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in map(str.strip, lines):
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and line[0] not in "#;":
            key, _, value = line.partition("=")
            yield key.strip(), value.strip()


def _environment_files(machine: Machine) -> Iterator[tuple[Path, dict[str, str] | None]]:
    """Each file of the exporter's settings that is there, and what it sets; None if this user may not read it."""
    unit = machine.units.get(_EXPORTER_UNIT)
    for named in unit.values.get("EnvironmentFile", "").split() if unit else ():
        path = machine.path(named.lstrip("-"))
        try:
            yield path, parse_environment_file(path.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            continue
        except OSError:
            yield path, None


def _service_environment(machine: Machine, environ: Mapping[str, str]) -> dict[str, str]:
    """The exporter's environment: of its unit, and of the files that this names, which win."""
    unit = machine.units.get(_EXPORTER_UNIT)
    lines = shlex.split(unit.values.get("Environment", "")) if unit else []
    found = dict(item.split("=", 1) for item in lines if "=" in item)
    for _path, content in _environment_files(machine):
        found |= content or {}
    return {"PATH": environ.get("PATH", ""), **found}
