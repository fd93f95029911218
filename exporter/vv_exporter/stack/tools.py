"""Which programs the local stack and the tests need, and where they are.

A program that was fetched into our own folder goes first, then what `PATH` has, if it is new enough.
"""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vv_exporter.common.programs import home

Version = tuple[int, ...]

_PLUGIN_FOLDERS = ("/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins")
"""Where packages put compose v2: https://docs.docker.com/compose/install/linux/"""


@dataclass(frozen=True)
class Tool:
    """A program: how old it may be, what it is called on `PATH`, and the Debian package that has it."""

    name: str
    minimum: Version
    package: str
    member: str
    """Its path inside the package."""
    also_called: tuple[str, ...] = ()


PROMETHEUS = Tool("prometheus", (3, 5), "prometheus", "usr/bin/prometheus")
PROMTOOL = Tool("promtool", (3, 5), "promtool", "usr/bin/promtool")
ALERTMANAGER = Tool(
    "alertmanager",
    (0, 33),
    "prometheus-alertmanager",
    "usr/bin/prometheus-alertmanager",
    ("prometheus-alertmanager",),
)
AMTOOL = Tool("amtool", (0, 33), "prometheus-alertmanager", "usr/bin/amtool")
TOOLS = (PROMETHEUS, PROMTOOL, ALERTMANAGER, AMTOOL)

ENGINE_PROGRAMS = ("dockerd", "containerd", "runc", "docker", "iptables", "docker-compose", "busybox")
"""What a private Docker Engine and its tests need."""


def find(tool: Tool, folder: Path | None = None) -> Path | None:
    """The program, or None where there is none that is new enough."""
    own = (folder or home()) / "bin" / tool.name
    if own.exists():
        return own
    for name in (tool.name, *tool.also_called):
        found = shutil.which(name)
        if found and (version(Path(found)) or (0,)) >= tool.minimum:
            return Path(found)
    return None


def missing(folder: Path, tools: Iterable[Tool] = TOOLS) -> list[Tool]:
    """The tools that are neither in `folder` nor, new enough, on `PATH`."""
    return [tool for tool in tools if find(tool, folder) is None]


def version(program: Path) -> Version | None:
    """What `program --version` says, or None if it does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(done.stdout + done.stderr) if done.returncode == 0 else None


def parse_version(text: str) -> Version | None:
    """The version in the likes of `prometheus, version 3.5.3+ds1 (branch: …)`."""
    match = re.search(r"version v?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in match[1].split(".")) if match else None


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


RECENT_PYTHON = "3.14"
"""The newest Python that the tests run under: that of Debian's testing release, where the machine has none."""


def recent_python(folder: Path | None = None) -> Path:
    """Where that Python is fetched to."""
    return (folder or home()) / "python" / "usr/bin" / f"python{RECENT_PYTHON}"


def has_recent_python(folder: Path | None = None) -> bool:
    """Whether it was fetched, and runs where the folder is now."""
    return _starts(recent_python(folder), {**os.environ})


def missing_engine_programs(folder: Path | None = None) -> list[str]:
    """The programs of a private Docker Engine that are not there."""
    path = engine_environment(folder)["PATH"]
    return [name for name in ENGINE_PROGRAMS if shutil.which(name, path=path) is None]


STORE = "victoria-metrics"
"""A store of many devices, for tests: the program and its Debian package. It does not tell its version."""


def store(folder: Path | None = None) -> Path | None:
    """VictoriaMetrics, fetched or on `PATH`, or None."""
    fetched = (folder or home()) / "bin" / STORE
    found = str(fetched) if fetched.exists() else shutil.which(STORE)
    return Path(found) if found else None


BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def browser(folder: Path | None = None) -> Path | None:
    """A Chromium that runs, fetched or on `PATH`, or None; it needs `browser_environment`."""
    fetched = (folder or home()) / "browser/usr/lib/chromium/chromium-headless-shell"
    on_path = (shutil.which(name) for name in BROWSERS)
    for program in (fetched if fetched.exists() else None, *(Path(found) for found in on_path if found)):
        if program is not None and _starts(program, browser_environment(folder)):
            return program
    return None


def browser_environment(folder: Path | None = None) -> dict[str, str]:
    """The environment in which the fetched browser finds its libraries and fonts."""
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    root = (folder or home()) / "browser"
    libraries = [root / part / triplet for part in ("usr/lib", "lib")]
    libraries.append(libraries[0] / "pulseaudio")
    present = os.pathsep.join(str(library) for library in libraries if library.is_dir())
    environment = {**os.environ, "XDG_DATA_HOME": str(root / "usr/share")}
    if present:
        environment["LD_LIBRARY_PATH"] = present
    if (root / "etc/fonts").is_dir():
        environment["FONTCONFIG_PATH"] = str(root / "etc/fonts")
    return environment


def _starts(program: Path, environment: dict[str, str]) -> bool:
    try:
        done = subprocess.run([program, "--version"], env=environment, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


_RTSP_IMPORTS = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert Gst.parse_launch("videotestsrc ! x264enc ! rtph264pay")
"""


def rtsp_command(folder: Path | None = None) -> list[str]:
    """The Python that can run GStreamer's RTSP server with `rtsp_environment`: Debian's own."""
    fetched = (folder or home()) / "rtsp" / "usr" / "bin" / "python3"
    system = Path("/usr/bin/python3")
    return [str(fetched if fetched.exists() and not system.exists() else system)]


def rtsp_environment(folder: Path | None = None) -> dict[str, str]:
    """The environment in which GStreamer's RTSP server, which only tests use, finds what was fetched."""
    root = (folder or home()) / "rtsp"
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    libraries = [root / part / triplet for part in ("usr/lib", "lib")]
    gstreamer = libraries[0] / "gstreamer-1.0"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["LD_LIBRARY_PATH"] = os.pathsep.join(str(library) for library in libraries)
    environment["GI_TYPELIB_PATH"] = str(libraries[0] / "girepository-1.0")
    environment["PYTHONPATH"] = str(root / "usr/lib/python3/dist-packages")
    environment["GST_PLUGIN_PATH"] = str(gstreamer)
    environment["GST_REGISTRY"] = str(root / "registry.bin")
    scanner = libraries[0] / "gstreamer1.0" / "gstreamer-1.0" / "gst-plugin-scanner"
    if scanner.exists():
        environment["GST_PLUGIN_SCANNER"] = str(scanner)
    return environment


def has_rtsp(folder: Path | None = None) -> bool:
    """Whether GStreamer's RTSP server can be run."""
    command = [*rtsp_command(folder), "-c", _RTSP_IMPORTS]
    try:
        done = subprocess.run(command, env=rtsp_environment(folder), capture_output=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
