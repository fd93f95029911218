"""GStreamer's RTSP server, which tests take for a DVR, and ffmpeg, which they take for a recorder."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from tools.program import Program
from vv_exporter.common.programs import home
from vv_exporter.stack.apt import Apt, extract, mirrors
from vv_exporter.stack.progress import step
from vv_exporter.stack.workplace import enumerated, replace_folder

_PACKAGES = (
    "gir1.2-gst-rtsp-server-1.0",
    "python3-gi",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-ugly",
    "ffmpeg",
)
_IMPORTS = """
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


def ffmpeg(folder: Path | None = None) -> str:
    """The ffmpeg that can be run with `rtsp_environment`: what was fetched, or the system's."""
    fetched = (folder or home()) / "rtsp" / "usr" / "bin" / "ffmpeg"
    return str(fetched) if fetched.exists() else "ffmpeg"


def rtsp_environment(folder: Path | None = None) -> dict[str, str]:
    """The environment in which GStreamer's RTSP server and ffmpeg, which only tests use, find what was fetched."""
    root = (folder or home()) / "rtsp"
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    libraries = [root / part / triplet for part in ("usr/lib", "lib")]
    libraries += [libraries[0] / part for part in ("pulseaudio", "blas", "lapack")]  # of ffmpeg
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
    """Whether GStreamer's RTSP server and ffmpeg can be run."""
    imports, version = [*rtsp_command(folder), "-c", _IMPORTS], [ffmpeg(folder), "-version"]
    return _succeeds(imports, folder) and _succeeds(version, folder)


def _succeeds(command: list[str], folder: Path | None) -> bool:
    try:
        done = subprocess.run(command, env=rtsp_environment(folder), capture_output=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _fetch(folder: Path, work: Path) -> None:
    with step("Fetching GStreamer's RTSP server and ffmpeg for the tests (up to 190 MB, once)") as shown:
        mirrors()
        apt = Apt(work / "own")
        apt.update(shown)
        root, final = work / "rtsp", folder / "rtsp"
        extract(apt.download_with_dependencies(_PACKAGES, shown), root, shown)
        shutil.rmtree(root / "usr" / "share", ignore_errors=True)  # documentation, icons, translations
        replace_folder(root, final)


RTSP = Program(
    "rtsp",
    "GStreamer's RTSP server",
    is_there=has_rtsp,
    fetch=_fetch,
    otherwise=f"Install {enumerated(_PACKAGES)}",
)
