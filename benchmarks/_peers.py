"""Who stands beside us in `bench_peers` and `bench_lost`, and how each is had; nothing is installed into the system.

Debian's packages are those of the machine's own release, unpacked into `.vv/peers`; what Debian has not is built from
its Go module, at a version that stands here; OpenTelemetry's SDK is in a virtual environment of its own. Who cannot be
had is named with the reason.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.program import Program, ensure, starts
from vv_exporter.common.programs import home
from vv_exporter.stack.apt import Apt, AptError, extract, mirrors
from vv_exporter.stack.fetch import FetchError
from vv_exporter.stack.progress import Step, run, step
from vv_exporter.stack.workplace import move, replace_folder

TELEGRAF_PLUGINS = (
    *(f"inputs.{name}" for name in ("cpu", "disk", "diskio", "mem", "net", "processes", "system", "statsd")),
    "outputs.prometheus_client",
)
"""The whole of telegraf has some 300 and is several times larger: this one is smaller than what people install."""
OPENTELEMETRY = "1.45.2"
BUILT = {
    "statsd_exporter": "github.com/prometheus/statsd_exporter@v0.31.0",
    "telegraf": "github.com/influxdata/telegraf/cmd/telegraf@v1.37.2",
}
"""What is built from a Go module."""
ABSENT = {
    "cAdvisor": "no registry gave its program where this was tried, and a build from source was not",
    "OpenTelemetry Collector": "one with the metrics of the host could not be built where this was tried",
}
"""Who is not measured, and why."""


def peers_folder(folder: Path | None = None) -> Path:
    """Where they are."""
    return (folder or home()) / "peers"


def peer_environment(**more: str) -> dict[str, str]:
    """The environment in which the packages' programs find their libraries."""
    libraries = [str(path) for path in (peers_folder() / "debian").glob("usr/lib/*-linux-gnu*")]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries), **more}


def _debian(folder: Path, work: Path) -> None:
    with step("Fetching node_exporter and Netdata (about 6 MB, once)") as shown:
        mirrors()
        apt = Apt(work / "own")
        apt.update(shown)
        packages = apt.download_with_dependencies(["netdata-core", "prometheus-node-exporter"], shown)
        extract(packages, work / "debian", shown)
        peers_folder(folder).mkdir(exist_ok=True)
        replace_folder(work / "debian", peers_folder(folder) / "debian")


def _go(name: str, package: str, tags: Sequence[str] = ()) -> Callable[[Path, Path], None]:
    def fetch(folder: Path, work: Path) -> None:
        with step(f"Building {name} from its Go module (minutes, once)") as shown:
            if shutil.which("go") is None:
                raise AptError("there is no Go to build it with")
            command = ["nice", "go", "install", f"-tags={','.join(tags)}", package]
            run(command, shown, work / "go.log", env={**os.environ, "GOBIN": str(work / "bin")})
            move(work / "bin" / name, peers_folder(folder) / name)

    return fetch


def _opentelemetry(folder: Path, work: Path) -> None:
    with step(f"Fetching OpenTelemetry {OPENTELEMETRY} for Python") as shown:
        venv = peers_folder(folder) / "venv"
        run([sys.executable, "-m", "venv", "--clear", str(venv)], shown, work / "venv.log")
        packages = [f"opentelemetry-{part}=={OPENTELEMETRY}" for part in ("sdk", "exporter-otlp-proto-http")]
        _install(packages, venv, shown, work)


def _install(packages: Sequence[str], venv: Path, shown: Step, work: Path) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    run([str(venv / "bin/python"), "-m", "pip", "install", *options, *packages], shown, work / "pip.log")


def _has_opentelemetry(folder: Path) -> bool:
    python = peers_folder(folder) / "venv/bin/python"
    code = "import opentelemetry.sdk.metrics, opentelemetry.exporter.otlp.proto.http"
    return python.exists() and subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def _built(name: str, package: str, tags: Sequence[str] = ()) -> Program:
    return Program(
        name,
        name,
        is_there=lambda folder: (peers_folder(folder) / name).exists(),
        fetch=_go(name, package, tags),
        otherwise=f"Put {name} into .vv/peers",
    )


PROGRAMS = {
    "node_exporter, Netdata": Program(
        "debian",
        "node_exporter or Netdata",
        is_there=lambda folder: starts(peers_folder(folder) / "debian/usr/bin/prometheus-node-exporter", {}),
        fetch=_debian,
        otherwise="They need a Debian mirror that answers",
    ),
    "statsd_exporter": _built("statsd_exporter", BUILT["statsd_exporter"]),
    "telegraf": _built("telegraf", BUILT["telegraf"], ("custom", *TELEGRAF_PLUGINS)),
    "OpenTelemetry SDK": Program(
        "opentelemetry",
        "OpenTelemetry's SDK",
        is_there=_has_opentelemetry,
        fetch=_opentelemetry,
        otherwise="It needs PyPI or a mirror of it",
    ),
}


def have_peers(names: Sequence[str]) -> dict[str, str]:
    """Fetch these of `PROGRAMS`, and say why for each that is not there."""
    absent = {}
    for name in names:
        try:
            ensure(PROGRAMS[name], home())
        except FetchError as error:
            absent[name] = " ".join(str(error).split())
    return absent


def print_versions() -> None:
    """A line for each program that is there: as it calls itself, or what it was built from."""
    for program, option in {"bin/prometheus-node-exporter": "--version", "sbin/netdata": "-v"}.items():
        path = peers_folder() / "debian/usr" / program
        if path.exists():
            done = subprocess.run([path, option], env=peer_environment(), capture_output=True, text=True, check=False)
            print("  version:", (done.stdout or done.stderr).partition("\n")[0])
    for name, package in BUILT.items():
        if (peers_folder() / name).exists():
            print("  version:", package)


def print_absent(absent: dict[str, str]) -> None:
    """A line for each who is not measured."""
    for name, why in absent.items():
        print(f"not measured: {name}: {why}")
