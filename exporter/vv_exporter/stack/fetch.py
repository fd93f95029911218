"""Fetch the servers of `vv up` into a folder of our own; install nothing.

They come from Debian's archive where the machine knows one, which apt verifies, and else from upstream's releases.
It needs nothing but the standard library, and does nothing where all is there. Safe to run at the same time by several:
the others wait. An interrupted run leaves nothing half done.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from vv_exporter.stack import debian_alertmanager, programs, releases
from vv_exporter.stack.apt import AptError, extract, mirrors, recent_apt
from vv_exporter.stack.progress import CommandError, step
from vv_exporter.stack.workplace import enumerated, move, only_one, workplace

_RECIPE = f"2: {programs.TOOLS}"
"""What the fetched programs are made by. The number goes up when they must be made anew."""


class FetchError(Exception):
    """Something could not be had; the message is one line that says what, why and how to get it."""


def ensure_tools(folder: Path) -> None:
    """Have Prometheus, promtool, Alertmanager and amtool, new enough. Raises `FetchError`."""
    recipe = folder / "tools"
    if not programs.missing(folder) and (not recipe.exists() or recipe.read_text() == _RECIPE):
        return
    with only_one(folder), workplace(folder) as work:
        if recipe.exists() and recipe.read_text() != _RECIPE:
            shutil.rmtree(folder / "bin", ignore_errors=True)
        wanted = programs.missing(folder)
        if not wanted:
            return
        try:
            _fetch_tools(wanted, folder, work)
            recipe.write_text(_RECIPE)
        except (AptError, CommandError, releases.ReleaseError) as error:
            raise FetchError(
                f"{enumerated(tool.name for tool in wanted)} could not be fetched: {error}. Put "
                + enumerated(f"{tool.name} ≥ {'.'.join(map(str, tool.minimum))}" for tool in wanted)
                + " on PATH (from prometheus.io/download or your distribution), or name a server that answers "
                "(VV_DEBIAN_MIRROR=URL, or VV_RELEASES_URL=URL for upstream's archives), and run this again"
            ) from error


def _fetch_tools(wanted: Sequence[programs.Tool], folder: Path, work: Path) -> None:
    try:
        mirrors()
        _fetch_debians(wanted, folder, work)
    except (AptError, CommandError) as error:
        try:
            _fetch_upstreams(wanted, folder, work)
        except releases.ReleaseError as other:
            raise releases.ReleaseError(f"{error}, and {other}") from error


def _fetch_debians(wanted: Sequence[programs.Tool], folder: Path, work: Path) -> None:
    packages = sorted({tool.package for tool in wanted})
    with step(f"Fetching {enumerated(tool.name for tool in wanted)} (about 60 MB, once)") as shown:
        apt = recent_apt(work, shown)
        root = work / "root"
        extract(apt.download(packages, work / "packages", shown), root, shown)
        for tool in wanted:
            _check_program(tool, root / tool.member)
        for tool in wanted:
            _install_tool(tool, root, folder)


def _fetch_upstreams(wanted: Sequence[programs.Tool], folder: Path, work: Path) -> None:
    with step(f"Fetching upstream's {enumerated(tool.name for tool in wanted)} (about 150 MB, once)") as shown:
        downloaded = releases.download(wanted, work, shown)
        for tool, program in downloaded.items():
            found = programs.version(program)
            if found is None or found < tool.minimum:
                raise releases.ReleaseError(f"upstream's {tool.name} does not run on this machine")
        for tool, program in downloaded.items():
            move(program, folder / "bin" / tool.name)


def _check_program(tool: programs.Tool, program: Path) -> None:
    found = programs.version(program)
    if found is None:
        raise AptError(f"{tool.name} does not run on this machine")
    if found < tool.minimum:
        raise AptError(f"the archive has only {tool.name} {'.'.join(map(str, found))}")


def _install_tool(tool: programs.Tool, root: Path, folder: Path) -> None:
    if tool is programs.ALERTMANAGER:
        debian_alertmanager.install(root / tool.member, root, folder)
    else:
        move(root / tool.member, folder / "bin" / tool.name)
