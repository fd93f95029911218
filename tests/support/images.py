"""Images without a registry: a base with Debian's Python, made from Debian's packages, and the servers on top of it.

`base(engine)` loads the base that exporter/Dockerfile builds on; it is made once and kept in `.vv/images`.
`prometheus`, `alertmanager` and `victoria` have the real programs at the places where the official images have them,
as the same user. `grafana` alone is a stand-in, a little server that answers `/api/health`: Debian has no Grafana.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.engine import Engine
from tests.support.servers import Programs
from vv_exporter.common.programs import home
from vv_exporter.stack import apt
from vv_exporter.stack.progress import CommandError, step

BASE = "vv-test/python:latest"
_PACKAGES = (
    "base-files",
    "bash",
    "coreutils",
    "dash",
    "busybox-static",
    "libc-bin",
    "libstdc++6",
    "media-types",
    "python3-venv",
    "tzdata",
)
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_RECIPE = "1"
"""Goes up when the base must be made anew."""
_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "usr/bin/sh": "dash"}
_GRAFANA = """\
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/api/health"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b'{"database": "ok"}' if found else b"")
    def log_message(self, *_):
        pass
open("/var/lib/grafana/started", "w").close()
http.server.ThreadingHTTPServer(("", 3000), Handler).serve_forever()
"""


class ImageUnavailableError(Exception):
    """An image cannot be made here; the message says why in one line."""


def base(engine: Engine) -> str:
    """Load the base into the Engine; its name. Raises `ImageUnavailableError`."""
    docker(engine, "import", _base_archive(), BASE)
    return BASE


def _base_archive() -> Path:
    """The base's file system as a tar file, made if need be."""
    machine = hashlib.sha256(f"{_RECIPE} {_PACKAGES} {apt.codename()}".encode()).hexdigest()[:16]
    folder = home() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"base-{machine}.tar"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            for old in folder.glob("base-*"):
                old.unlink()
            try:
                _make_base(archive)
            except (apt.AptError, CommandError) as error:
                raise ImageUnavailableError(f"the base image cannot be made: {error}") from error
    return archive


def _make_base(archive: Path) -> None:
    with tempfile.TemporaryDirectory(dir=archive.parent) as name, step("Making a base image (once)") as shown:
        work = Path(name)
        fetching = apt.Apt(work / "apt", mirror=apt.mirrors()[0], suite=apt.codename())
        fetching.update(shown)
        packages = fetching.download_with_dependencies(_PACKAGES, shown)
        root = work / "root"
        for folder in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc/ssl/certs"):
            (root / folder).mkdir(parents=True)
        for link, target in _LINKS.items():
            (root / link).symlink_to(target)
        for package in packages:
            _unpack(package, root)
        _finish(root)
        unfinished = work / "base.tar"
        subprocess.run(["tar", "-C", root, "--numeric-owner", "-cf", unfinished, "."], check=True)
        unfinished.replace(archive)


def _unpack(package: Path, root: Path) -> None:
    """As dpkg would, with /bin, /lib and /sbin as links; no script is run."""
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True).stdout
    command = ["tar", "-C", root, "--keep-directory-symlink", "--exclude=./usr/share/doc", "-xf", "-"]
    subprocess.run(command, input=data, check=True)


def _finish(root: Path) -> None:
    """What the packages' scripts would have done, as far as anybody here needs it."""
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    if _CERTIFICATES.exists():
        shutil.copy(_CERTIFICATES, root / "etc/ssl/certs")
    subprocess.run(["chroot", root, "/sbin/ldconfig"], check=True)


def prometheus(engine: Engine, programs: Programs, name: str) -> None:
    """The official image's likeness: /bin/prometheus and promtool, busybox, user nobody."""
    with _context() as folder:
        for program in (programs.prometheus, programs.promtool):
            shutil.copy(program.resolve(), folder / program.name)
        _build(
            engine,
            folder,
            name,
            "COPY prometheus promtool /bin/",
            "RUN ln -s busybox /bin/wget && mkdir /prometheus && chown 65534:65534 /prometheus",
            "USER nobody",
            'ENTRYPOINT ["/bin/prometheus"]',
        )


def alertmanager(engine: Engine, programs: Programs, name: str) -> None:
    """The official image's likeness: /bin/alertmanager and amtool, busybox, user nobody."""
    with _context() as folder:
        home = programs.alertmanager.resolve().parents[1]
        for part in ("bin", "lib", "share"):
            shutil.copytree(home / part, folder / part, ignore=lambda _, names: set(names) & {"prometheus", "promtool"})
        _build(
            engine,
            folder,
            name,
            "COPY bin /opt/bin",
            "COPY lib /opt/lib",
            "COPY share /opt/share",
            "RUN ln -s busybox /bin/wget && ln -s /opt/bin/alertmanager /opt/bin/amtool /bin/"
            " && mkdir /alertmanager && chown 65534:65534 /alertmanager",
            "USER nobody",
            'ENTRYPOINT ["/bin/alertmanager"]',
        )


def victoria(engine: Engine, program: Path, name: str) -> None:
    """The likeness of an official image of VictoriaMetrics: one program with the suffix -prod, busybox, user root."""
    with _context() as folder:
        shutil.copy(program.resolve(), folder / f"{program.name}-prod")
        _build(
            engine,
            folder,
            name,
            f"COPY {program.name}-prod /",
            "RUN ln -s busybox /bin/wget",
            f'ENTRYPOINT ["/{program.name}-prod"]',
        )


def grafana(engine: Engine, name: str) -> None:
    """A stand-in for Grafana: it answers /api/health, and writes where Grafana keeps its data."""
    with _context() as folder:
        (folder / "server.py").write_text(_GRAFANA)
        _build(
            engine,
            folder,
            name,
            "COPY server.py /server.py",
            "RUN ln -s busybox /bin/wget && mkdir -p /var/lib/grafana && chown 472:0 /var/lib/grafana",
            "USER 472",
            'ENTRYPOINT ["python3", "/server.py"]',
        )


def docker(engine: Engine, *command: str | Path, timeout: float = 600) -> str:
    """What a command of Docker's client prints. Raises `AssertionError` with all that it said if it fails."""
    done = subprocess.run(
        ["docker", *map(str, command)],
        env=engine.environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"docker {' '.join(map(str, command))}:\n{done.stdout[-3000:]}{done.stderr[-5000:]}"
    return done.stdout


def pip_arguments() -> list[str]:
    """Build arguments that let pip in a build reach what pip reaches here."""
    listing = subprocess.run(
        [shutil.which("python3") or "python3", "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    known = {"index-url": "PIP_INDEX_URL", "extra-index-url": "PIP_EXTRA_INDEX_URL", "trusted-host": "PIP_TRUSTED_HOST"}
    found = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        variable = known.get(key.rpartition(".")[2])
        if variable:
            found[variable] = value.strip("'\"")
    found |= {variable: os.environ[variable] for variable in known.values() if variable in os.environ}
    return [f"--build-arg={name}={value}" for name, value in found.items()]


@contextlib.contextmanager
def _context() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _build(engine: Engine, folder: Path, name: str, *lines: str) -> None:
    (folder / "Dockerfile").write_text("\n".join((f"FROM {BASE}", *lines, "")))
    docker(engine, "build", "--network=host", "--tag", name, folder)
