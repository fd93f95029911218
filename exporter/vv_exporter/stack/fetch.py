"""Fetch the programs of the local stack and of the tests into a folder of our own; install nothing.

Prometheus and Alertmanager come from Debian's archive where the machine knows one, which apt verifies, and else from
upstream's releases; the rest, which only tests need, from Debian's.

`python -m vv_exporter.stack.fetch [--engine] [--recent-engine] [--rtsp] [--browser] [--store] [--recent-python]`
needs nothing but the standard library. Does nothing where all is there. Safe to run at the same time by several: the
others wait. An interrupted run leaves nothing half done.
"""

import argparse
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vv_exporter.common.programs import home
from vv_exporter.stack import releases, tools
from vv_exporter.stack.apt import Apt, AptError, extract, mirrors
from vv_exporter.stack.progress import CommandError, Step, run, step

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
_RTSP_PACKAGES = (
    "gir1.2-gst-rtsp-server-1.0",
    "python3-gi",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-ugly",
)
_PYTHON_PACKAGES = (f"python{tools.RECENT_PYTHON}", "patchelf")
_BROWSER_PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core")
_PIP_PACKAGE = "python3-pip-whl"
_PIP_WHEELS = "usr/share/python-wheels"
_RECENT_ENGINE_PACKAGES = ("docker.io", "docker-cli", "containerd")  # its runc wants a libc that Debian 12 has not
_ENGINE_CLIENT = "docker-cli"  # a part of docker.io up to Debian 12, a package of its own since
_RECIPE = f"2: {tools.TOOLS}"
"""What the fetched tools are made by. The number goes up when they must be made anew."""

ALERTMANAGER_SHARE = b"/usr/share/prometheus/alertmanager"
_SHARE_DESCRIPTOR = 9
_WRAPPER = f"""#!/bin/sh
# The program beside this one looks for its templates in its file descriptor {_SHARE_DESCRIPTOR}.
here=$(dirname "$(readlink -f "$0")")/..
exec {_SHARE_DESCRIPTOR}<"$here/share/alertmanager"
exec "$here/lib/alertmanager" "$@"
"""


class FetchError(Exception):
    """Something could not be had; the message is one line that says what, why and how to get it."""


def ensure_tools(folder: Path) -> None:
    """Have Prometheus, promtool, Alertmanager and amtool, new enough. Raises `FetchError`."""
    recipe = folder / "tools"
    if not tools.missing(folder) and (not recipe.exists() or recipe.read_text() == _RECIPE):
        return
    with _only_one(folder), _workplace(folder) as work:
        if recipe.exists() and recipe.read_text() != _RECIPE:
            shutil.rmtree(folder / "bin", ignore_errors=True)
        wanted = tools.missing(folder)
        if not wanted:
            return
        try:
            _fetch_tools(wanted, folder, work)
            recipe.write_text(_RECIPE)
        except (AptError, CommandError, releases.ReleaseError) as error:
            raise FetchError(
                f"{_names(tool.name for tool in wanted)} could not be fetched: {error}. Put "
                + _names(f"{tool.name} ≥ {'.'.join(map(str, tool.minimum))}" for tool in wanted)
                + " on PATH (from prometheus.io/download or your distribution), or name a server that answers "
                "(VV_DEBIAN_MIRROR=URL, or VV_RELEASES_URL=URL for upstream's archives), and run this again"
            ) from error


def ensure_engine(folder: Path) -> None:
    """Have the programs of a private Docker Engine and compose v2. Raises `FetchError`."""
    if not tools.missing_engine_programs(folder):
        return
    with _only_one(folder), _workplace(folder) as work:
        wanted = tools.missing_engine_programs(folder)
        if not wanted:
            return
        try:
            # All that the machine itself has not: what an earlier fetch brought is made anew with it.
            _fetch_engine(tools.missing_engine_programs(work), folder, work)
        except (AptError, CommandError) as error:
            raise FetchError(
                f"{_names(wanted)} could not be fetched: {error}. Install a Docker Engine with compose v2 "
                "(packages docker.io and docker-compose), or set DOCKER_HOST to one that answers"
            ) from error


def ensure_recent_engine(folder: Path) -> None:
    """Have a second, recent Docker Engine for the tests; it needs the first. Raises `FetchError`."""
    if tools.has_recent_engine(folder):
        return
    with _only_one(folder), _workplace(folder) as work:
        if tools.has_recent_engine(folder):
            return
        try:
            _fetch_recent_engine(folder, work)
        except (AptError, CommandError) as error:
            raise FetchError(
                f"a recent Docker Engine could not be fetched: {error}. The tests with it need a Debian mirror that "
                "answers (VV_DEBIAN_MIRROR=URL)"
            ) from error


def ensure_rtsp(folder: Path) -> None:
    """Have GStreamer's RTSP server, which tests take for a DVR. Raises `FetchError`."""
    if tools.has_rtsp(folder):
        return
    with _only_one(folder), _workplace(folder) as work:
        if tools.has_rtsp(folder):
            return
        try:
            _fetch_rtsp(folder, work)
        except (AptError, CommandError) as error:
            raise FetchError(
                f"GStreamer's RTSP server could not be fetched: {error}. Install {_names(_RTSP_PACKAGES)}"
            ) from error


def ensure_browser(folder: Path) -> None:
    """Have a Chromium without windows, which tests look at pages with. Raises `FetchError`."""
    if tools.browser(folder) is not None:
        return
    with _only_one(folder), _workplace(folder) as work:
        if tools.browser(folder) is not None:
            return
        try:
            _fetch_browser(folder, work)
        except (AptError, CommandError) as error:
            raise FetchError(f"Chromium could not be fetched: {error}. Install {_names(_BROWSER_PACKAGES)}") from error


def ensure_store(folder: Path) -> None:
    """Have VictoriaMetrics, which tests take for a store of many devices. Raises `FetchError`."""
    if tools.store(folder) is not None:
        return
    with _only_one(folder), _workplace(folder) as work:
        if tools.store(folder) is not None:
            return
        try:
            _fetch_store(folder, work)
        except (AptError, CommandError) as error:
            raise FetchError(f"VictoriaMetrics could not be fetched: {error}. Put {tools.STORE} on PATH") from error


def ensure_recent_python(folder: Path) -> None:
    """Have the newest Python for the tests. Raises `FetchError`."""
    if tools.has_recent_python(folder):
        return
    with _only_one(folder), _workplace(folder) as work:
        if tools.has_recent_python(folder):
            return
        try:
            _fetch_recent_python(folder, work)
        except (AptError, CommandError) as error:
            raise FetchError(
                f"Python {tools.RECENT_PYTHON} could not be fetched: {error}. Put python{tools.RECENT_PYTHON} on PATH"
            ) from error


def fetch_pip(folder: Path) -> Path:
    """A wheel of pip, for a Python that came without. Raises `AptError`, `CommandError`."""
    with _only_one(folder), _workplace(folder) as work:
        with step("Fetching pip") as shown:
            apt = _recent(work, shown)
            extract(apt.download([_PIP_PACKAGE], work / "packages", shown), work / "root", shown)
        (wheel,) = (work / "root" / _PIP_WHEELS).glob("pip-*.whl")
        kept = folder / wheel.name
        _move(wheel, kept)
    return kept


def _fetch_tools(wanted: Sequence[tools.Tool], folder: Path, work: Path) -> None:
    try:
        mirrors()
        _fetch_debians(wanted, folder, work)
    except (AptError, CommandError) as error:
        try:
            _fetch_upstreams(wanted, folder, work)
        except releases.ReleaseError as other:
            raise releases.ReleaseError(f"{error}, and {other}") from error


def _fetch_debians(wanted: Sequence[tools.Tool], folder: Path, work: Path) -> None:
    packages = sorted({tool.package for tool in wanted})
    with step(f"Fetching {_names(tool.name for tool in wanted)} (about 60 MB, once)") as shown:
        apt = _recent(work, shown)
        root = work / "root"
        extract(apt.download(packages, work / "packages", shown), root, shown)
        for tool in wanted:
            _check(tool, root / tool.member)
        for tool in wanted:
            _install_tool(tool, root, folder)


def _fetch_upstreams(wanted: Sequence[tools.Tool], folder: Path, work: Path) -> None:
    with step(f"Fetching upstream's {_names(tool.name for tool in wanted)} (about 150 MB, once)") as shown:
        programs = releases.download(wanted, work, shown)
        for tool, program in programs.items():
            found = tools.version(program)
            if found is None or found < tool.minimum:
                raise releases.ReleaseError(f"upstream's {tool.name} does not run on this machine")
        for tool, program in programs.items():
            _move(program, folder / "bin" / tool.name)


def _recent(work: Path, shown: Step) -> Apt:
    """An apt with the package lists of the recent release, from the first mirror that serves it."""
    failures = []
    for number, mirror in enumerate(mirrors()):
        apt = Apt(work / f"apt{number}", mirror=mirror)
        try:
            apt.update(shown)
        except AptError as error:
            failures.append(str(error))
        else:
            return apt
    raise AptError(failures[0])


def _check(tool: tools.Tool, program: Path) -> None:
    found = tools.version(program)
    if found is None:
        raise AptError(f"{tool.name} does not run on this machine")
    if found < tool.minimum:
        raise AptError(f"the archive has only {tool.name} {'.'.join(map(str, found))}")


def _install_tool(tool: tools.Tool, root: Path, folder: Path) -> None:
    program = root / tool.member
    if tool is not tools.ALERTMANAGER:
        return _move(program, folder / "bin" / tool.name)
    share = root / ALERTMANAGER_SHARE.decode().lstrip("/")
    for template in share.glob("*.tmpl"):
        _move(template, folder / "share" / "alertmanager" / template.name)
    program.write_bytes(relocate_share(program.read_bytes()))
    _move(program, folder / "lib" / "alertmanager")
    wrapper = root / "wrapper"
    wrapper.write_text(_WRAPPER)
    wrapper.chmod(0o755)
    return _move(wrapper, folder / "bin" / tool.name)


def relocate_share(program: bytes) -> bytes:
    """Debian's Alertmanager with its compiled-in folder of templates replaced by a file descriptor's.

    Debian's build reads `default.tmpl` and `email.tmpl` from a fixed folder below `/usr`, has no flag for it,
    and does not start without them (upstream embeds them). To put them there would be to install into the
    system; a mount namespace needs root, or user namespaces that many machines forbid. The constant is
    replaced by a path of the same length (Go's strings carry their length), which works for everyone,
    everywhere, whatever the working directory: the wrapper opens our folder as descriptor 9. A build that
    embeds its templates has no such constant and stays as it is.
    """
    prefix, number = b"/proc/self/fd/", b"%d" % _SHARE_DESCRIPTOR
    padding = b"/" * (len(ALERTMANAGER_SHARE) - len(prefix) - len(number))
    return program.replace(ALERTMANAGER_SHARE, prefix + padding + number)


def _fetch_engine(wanted: Sequence[str], folder: Path, work: Path) -> None:
    with step("Fetching a private Docker Engine with compose (about 80 MB, once)") as shown:
        final, root = folder / "engine", work / "engine"
        root.mkdir()
        if any(name in _OWN_PACKAGES for name in wanted):
            extract(_own_packages(wanted, work, shown), root, shown)
        recent = [_RECENT_PACKAGES[name] for name in wanted if name in _RECENT_PACKAGES]
        if recent:
            extract(_recent(work, shown).download(recent, work / "packages", shown), root, shown)
        _link_engine_programs(root)
        if final.exists():
            shutil.rmtree(final)
        root.rename(final)


def _fetch_recent_engine(folder: Path, work: Path) -> None:
    with step("Fetching a recent Docker Engine for the tests (about 60 MB, once)") as shown:
        root, final = work / "engine-recent", tools.recent_engine(folder)
        extract(_recent(work, shown).download(_RECENT_ENGINE_PACKAGES, work / "packages", shown), root, shown)
        if final.exists():
            shutil.rmtree(final)
        root.rename(final)
        if not tools.has_recent_engine(folder):
            raise AptError("what the archive has does not run on this machine")


def _fetch_rtsp(folder: Path, work: Path) -> None:
    with step("Fetching GStreamer's RTSP server for the tests (up to 170 MB, once)") as shown:
        mirrors()
        apt = Apt(work / "own")
        apt.update(shown)
        root, final = work / "rtsp", folder / "rtsp"
        extract(apt.download_with_dependencies(_RTSP_PACKAGES, shown), root, shown)
        shutil.rmtree(root / "usr" / "share", ignore_errors=True)  # documentation, icons, translations
        if final.exists():
            shutil.rmtree(final)
        root.rename(final)
        if not tools.has_rtsp(folder):
            raise AptError("what the archive has does not run on this machine")


def _fetch_browser(folder: Path, work: Path) -> None:
    with step("Fetching a Chromium without windows (about 100 MB, once)") as shown:
        mirrors()
        apt = Apt(work / "own")
        apt.update(shown)
        root, final = work / "browser", folder / "browser"
        extract(apt.download_with_dependencies(_BROWSER_PACKAGES, shown), root, shown)
        if final.exists():
            shutil.rmtree(final)
        root.rename(final)
        if tools.browser(folder) is None:
            raise AptError("what the archive has does not run on this machine")


def _fetch_store(folder: Path, work: Path) -> None:
    with step("Fetching VictoriaMetrics for the tests (about 60 MB, once)") as shown:
        extract(_recent(work, shown).download([tools.STORE], work / "packages", shown), work / "store", shown)
        _move(work / "store" / "usr/bin" / tools.STORE, folder / "bin" / tools.STORE)


def _fetch_recent_python(folder: Path, work: Path) -> None:
    with step(f"Fetching Python {tools.RECENT_PYTHON} for the tests (about 20 MB, once)") as shown:
        root, final = work / "python", folder / "python"
        extract(_recent(work, shown).download_with_dependencies(_PYTHON_PACKAGES, shown), root, shown)
        _bind_to_own_libraries(root, final, f"usr/bin/python{tools.RECENT_PYTHON}", shown)
        if final.exists():
            shutil.rmtree(final)
        root.rename(final)
        if not tools.has_recent_python(folder):
            raise AptError("what the archive has does not run on this machine")


def _bind_to_own_libraries(root: Path, final: Path, member: str, shown: Step) -> None:
    """Make a program run with the C library that came with it, which is newer than the machine's.

    The program alone is changed, not its environment: what it starts runs with the machine's libraries. DT_RPATH, and
    not DT_RUNPATH, holds for the libraries of its libraries, too: ld.so(8). The folder is moved to `final` afterwards.
    """
    loader = next(iter(root.glob("usr/lib/*/ld-linux*.so.*")), None)
    if loader is None:
        raise AptError("the archive's C library has no loader where it is looked for")
    libraries = loader.parent.relative_to(root)
    patchelf = [str(loader), "--library-path", str(loader.parent), str(root / "usr/bin/patchelf")]
    # In this order and apart: patchelf 0.18 makes programs that crash when the interpreter is set first or with it.
    for change in (
        ["--force-rpath", "--set-rpath", str(final / libraries)],
        ["--set-interpreter", str(final / libraries / loader.name)],
    ):
        run([*patchelf, *change, str(root / member)], shown, root.with_suffix(".log"))


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


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another run that is fetching …", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A folder on the same file system as its parent, gone afterwards; so is what a killed run left."""
    for left in folder.glob("fetching-*"):
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="fetching-", dir=folder))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _names(names: Iterator[str] | Sequence[str]) -> str:
    *first, last = list(names)
    return f"{', '.join(first)} and {last}" if first else last


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch what is missing; 1 if something could not be had."""
    parser = argparse.ArgumentParser(prog="vv_exporter.stack.fetch", description=__doc__)
    parser.add_argument("--engine", action="store_true", help="a private Docker Engine with compose, too")
    parser.add_argument("--recent-engine", action="store_true", help="a second, recent Engine for the tests, too")
    parser.add_argument("--rtsp", action="store_true", help="an RTSP server for the tests, too")
    parser.add_argument("--browser", action="store_true", help="a browser for the tests, too")
    parser.add_argument("--store", action="store_true", help="a store of many devices for the tests, too")
    parser.add_argument("--recent-python", action="store_true", help="the newest Python for the tests, too")
    parser.add_argument("--home", type=Path, default=home(), help="the folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    wanted = [ensure_tools]
    if options.engine and os.geteuid() == 0:
        wanted.append(ensure_engine)
    if options.recent_engine and os.geteuid() == 0:
        wanted.append(ensure_recent_engine)
    if options.rtsp:
        wanted.append(ensure_rtsp)
    if options.browser:
        wanted.append(ensure_browser)
    if options.store:
        wanted.append(ensure_store)
    if options.recent_python:
        wanted.append(ensure_recent_python)
    status = 0
    for ensure in wanted:
        try:
            ensure(options.home.absolute())
        except FetchError as error:
            print(error, file=sys.stderr)
            status = 1
        except KeyboardInterrupt:
            return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
