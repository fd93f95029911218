"""Upstream's release archives of Prometheus and Alertmanager, for machines without Debian's packages.

Each is named by version and by the SHA-256 of its archive, which upstream publishes beside it (`sha256sums.txt`) and
at https://prometheus.io/download/. What has another is refused, wherever it came from: so a mirror
(`VV_RELEASES_URL=URL`, with the paths that GitHub has) need not be trusted.
"""

import hashlib
import http.client
import os
import platform
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from vv_exporter.stack.programs import ALERTMANAGER, AMTOOL, PROMETHEUS, PROMTOOL, Tool
from vv_exporter.stack.progress import Step

DEFAULT_URL = "https://github.com/prometheus"
_TIMEOUT_SECONDS = 30
_CHUNK_BYTES = 1 << 18
_MAX_BYTES = 400_000_000
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""What the kernel calls a processor, and what upstream's archives do. They are static: the system's libraries do not
matter, nor that a 64-bit Raspberry Pi runs a 32-bit system."""


class ReleaseError(Exception):
    """An archive cannot be had; the message is one line that names the server, never a password in its address."""


@dataclass(frozen=True)
class Release:
    """A project's archive of one version."""

    project: str
    version: str
    sha256: Mapping[str, str]
    """Of the archive for each architecture, in upstream's words."""
    programs: tuple[Tool, ...]

    def stem(self, architecture: str) -> str:
        """The archive's name, and that of the folder in it."""
        return f"{self.project}-{self.version}.linux-{architecture}"


# The versions that docker-compose.yml names, with what public recipes (Homebrew, Nix and others) quote of the releases'
# sha256sums.txt. To update: take them from there.
RELEASES = (
    Release(
        "prometheus",
        "3.14.0",
        {
            "amd64": "f665c6da19eb7ba399c915d30c7d9793c9b417bf8a749b504bc470678631478d",
            "arm64": "077f3781ab7245dc04c9a3c9b78ba120fc8e41aa0dc97489b0af67247e50ba83",
        },
        (PROMETHEUS, PROMTOOL),
    ),
    Release(
        "alertmanager",
        "0.34.0",
        {
            "amd64": "19c75a11d8c03dc4ade7abdbddfb3a8f28c9e7b000d0849cda0cd71dffd74a03",
            "arm64": "a96ef16598ddc58e84d28167b3352b30e3205698d76c56ef467e4504d7664da4",
        },
        (ALERTMANAGER, AMTOOL),
    ),
)


def download(wanted: Sequence[Tool], work: Path, shown: Step) -> dict[Tool, Path]:
    """The programs, each checked and run once, in a folder below `work`. Raises `ReleaseError`."""
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise ReleaseError(f"upstream's archives are for x86-64 and arm64, and this machine is {platform.machine()}")
    found: dict[Tool, Path] = {}
    for release in RELEASES:
        needed = [tool for tool in release.programs if tool in wanted]
        if needed:
            archive = work / f"{release.project}.tar.gz"
            _fetch_release(release, architecture, archive, shown)
            found |= _unpack_tools(archive, release.stem(architecture), needed, work / "programs")
            archive.unlink()
    return found


def _fetch_release(release: Release, architecture: str, archive: Path, shown: Step) -> None:
    base = os.environ.get("VV_RELEASES_URL") or DEFAULT_URL
    name = f"{release.stem(architecture)}.tar.gz"
    url = f"{base.rstrip('/')}/{release.project}/releases/download/v{release.version}/{name}"
    server = urlsplit(url).hostname or urlsplit(url).scheme
    try:
        found = _save_url(url, archive, shown)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise ReleaseError(f"{server} does not give {name}: {_reason_of(error)}") from error
    if found != release.sha256[architecture]:
        raise ReleaseError(
            f"{name} from {server} is not upstream's: its SHA-256 is {found}, not {release.sha256[architecture]}"
        )


def _save_url(url: str, path: Path, shown: Step) -> str:
    """Write down what is at `url`; its SHA-256."""
    digest, size = hashlib.sha256(), 0
    if not url.startswith(("https://", "http://")):
        raise ValueError("VV_RELEASES_URL is no address of HTTP")
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer, path.open("wb") as file:  # noqa: S310 - see above
        while chunk := answer.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > _MAX_BYTES:
                raise ValueError(f"it is larger than {_MAX_BYTES // 1_000_000} MB")
            digest.update(chunk)
            file.write(chunk)
            shown.update(f"{size // 1_000_000} MB")
    announced = int(answer.headers.get("Content-Length") or size)
    if size < announced:
        raise ValueError(f"it broke off after {size} of {announced} bytes")
    return digest.hexdigest()


def _reason_of(error: Exception) -> str:
    """One line; urllib wraps what the system said."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return " ".join(str(inner).split())[:200] or type(error).__name__


def _unpack_tools(archive: Path, stem: str, wanted: Sequence[Tool], folder: Path) -> dict[Tool, Path]:
    folder.mkdir(exist_ok=True)
    found = {}
    try:
        with tarfile.open(archive) as tar:
            for tool in wanted:
                content = tar.extractfile(f"{stem}/{tool.name}")
                if content is None:
                    raise ReleaseError(f"{stem}.tar.gz has no program {tool.name}")
                found[tool] = folder / tool.name
                with content, found[tool].open("wb") as file:
                    shutil.copyfileobj(content, file)
                found[tool].chmod(0o755)
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise ReleaseError(f"{stem}.tar.gz cannot be unpacked: {_reason_of(error)}") from error
    return found
