"""A private Docker Engine with compose v2, and a second, recent one."""

import os
import shutil
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tools.program import Program
from vv_exporter.common.programs import home
from vv_exporter.stack.apt import Apt, AptError, extract, mirrors, recent_apt
from vv_exporter.stack.programs import version
from vv_exporter.stack.progress import Step, step
from vv_exporter.stack.workplace import replace_folder

ENGINE_PROGRAMS = ("dockerd", "containerd", "runc", "docker", "iptables", "docker-compose", "busybox")
"""What a private Docker Engine and its tests need."""
_PLUGIN_FOLDERS = ("/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins")
"""Where packages put compose v2: https://docs.docker.com/compose/install/linux/"""
_RECENT_PACKAGES = {"docker-compose": "docker-compose"}
_OWN_PACKAGES = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "docker": "docker.io",
    "iptables": "iptables",
    "busybox": "busybox-static",
}
"""Which package has which program of a private Docker Engine."""
_RECENT_ENGINE_PACKAGES = ("docker.io", "docker-cli", "containerd")  # its runc wants a libc that Debian 12 has not
_ENGINE_CLIENT = "docker-cli"  # a part of docker.io up to Debian 12, a package of its own since


def engine_environment(folder: Path | None = None, *, recent: bool = False) -> dict[str, str]:
    """The environment in which the fetched Docker Engine and its client find their programs and libraries.

    `recent`: the Engine of Debian's testing release before the machine's own, whose runc it runs with.
    """
    root = (folder or home()) / "engine"
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    programs = [root / part for part in ("bin", "usr/sbin", "usr/bin", "usr/libexec/docker/cli-plugins")]
    libraries = [root / part / triplet for part in ("usr/lib", "lib")]
    environment = dict(os.environ)
    # /usr/sbin is not on the PATH of everyone, and an installed Engine needs it.
    if recent:
        programs = [*(recent_engine(folder) / part for part in ("usr/sbin", "usr/bin")), *programs]
    path = [*map(str, programs), environment.get("PATH", ""), "/usr/sbin", "/sbin", *_PLUGIN_FOLDERS]
    environment["PATH"] = os.pathsep.join(path)
    environment["DOCKER_CONFIG"] = str(root / "config")
    present = [str(library) for library in libraries if library.is_dir()]
    if present:
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(present)
        environment["XTABLES_LIBDIR"] = os.pathsep.join(f"{library}/xtables" for library in present)
    return environment


def recent_engine(folder: Path | None = None) -> Path:
    """Where the recent Engine is fetched to."""
    return (folder or home()) / "engine-recent"


def has_recent_engine(folder: Path | None = None) -> bool:
    """Whether it was fetched, and runs here."""
    return version(recent_engine(folder) / "usr/sbin/dockerd") is not None


def missing_engine_programs(folder: Path | None = None) -> list[str]:
    """The programs of a private Docker Engine that are not there."""
    path = engine_environment(folder)["PATH"]
    return [name for name in ENGINE_PROGRAMS if shutil.which(name, path=path) is None]


def _fetch_engine(folder: Path, work: Path) -> None:
    # All that the machine itself has not: what an earlier fetch brought is made anew with it.
    wanted = missing_engine_programs(work)
    with step("Fetching a private Docker Engine with compose (about 80 MB, once)") as shown:
        final, root = folder / "engine", work / "engine"
        root.mkdir()
        if any(name in _OWN_PACKAGES for name in wanted):
            extract(_own_packages(wanted, work, shown), root, shown)
        recent = [_RECENT_PACKAGES[name] for name in wanted if name in _RECENT_PACKAGES]
        if recent:
            extract(recent_apt(work, shown).download(recent, work / "packages", shown), root, shown)
        _link_engine_programs(root)
        replace_folder(root, final)


def _own_packages(wanted: Sequence[str], work: Path, shown: Step) -> list[Path]:
    """From the machine's own release, so that they fit its libraries."""
    mirrors()
    apt = Apt(work / "own")
    apt.update(shown)
    packages = sorted({_OWN_PACKAGES[name] for name in wanted if name in _OWN_PACKAGES})
    if {"docker", "dockerd"} & set(wanted):  # a client that fits the Engine, whatever else PATH has
        try:
            return apt.download_with_dependencies([*packages, _ENGINE_CLIENT], shown)
        except AptError:
            pass
    return apt.download_with_dependencies(packages, shown)


def _link_engine_programs(root: Path) -> None:
    """What the packages' own scripts would have done: choose an iptables; make compose a plugin of `docker`."""
    links = {
        "bin/iptables": "../usr/sbin/xtables-nft-multi",
        "bin/ip6tables": "../usr/sbin/xtables-nft-multi",
        "config/cli-plugins/docker-compose": "../../usr/libexec/docker/cli-plugins/docker-compose",
    }
    for name, target in links.items():
        link = root / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if (link.parent / target).exists() and not link.is_symlink():
            link.symlink_to(target)


def _fetch_recent_engine(folder: Path, work: Path) -> None:
    with step("Fetching a recent Docker Engine for the tests (about 60 MB, once)") as shown:
        root, final = work / "engine-recent", recent_engine(folder)
        extract(recent_apt(work, shown).download(_RECENT_ENGINE_PACKAGES, work / "packages", shown), root, shown)
        replace_folder(root, final)


ENGINE = Program(
    "engine",
    "a private Docker Engine",
    is_there=lambda folder: not missing_engine_programs(folder),
    fetch=_fetch_engine,
    otherwise="Install a Docker Engine with compose v2 (packages docker.io and docker-compose), or set DOCKER_HOST to "
    "one that answers",
    as_root=True,
)
RECENT_ENGINE = Program(
    "recent-engine",
    "a recent Docker Engine",
    is_there=has_recent_engine,
    fetch=_fetch_recent_engine,
    otherwise="The tests with it need a Debian mirror that answers (VV_DEBIAN_MIRROR=URL)",
    as_root=True,
)
"""It runs with the programs of the first that it does not bring."""
