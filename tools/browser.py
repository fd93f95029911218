"""A Chromium without windows, which tests look at pages with."""

import os
import shutil
import sysconfig
from pathlib import Path

from tools.program import Program, starts
from vv_exporter.common.programs import home
from vv_exporter.stack.apt import Apt, extract, mirrors
from vv_exporter.stack.progress import step
from vv_exporter.stack.workplace import enumerated, replace_folder

_PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core")
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def browser(folder: Path | None = None) -> Path | None:
    """A Chromium that runs, fetched or on `PATH`, or None; it needs `browser_environment`."""
    fetched = (folder or home()) / "browser/usr/lib/chromium/chromium-headless-shell"
    on_path = (shutil.which(name) for name in BROWSERS)
    for program in (fetched if fetched.exists() else None, *(Path(found) for found in on_path if found)):
        if program is not None and starts(program, browser_environment(folder)):
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


def _fetch(folder: Path, work: Path) -> None:
    with step("Fetching a Chromium without windows (about 100 MB, once)") as shown:
        mirrors()
        apt = Apt(work / "own")
        apt.update(shown)
        root, final = work / "browser", folder / "browser"
        extract(apt.download_with_dependencies(_PACKAGES, shown), root, shown)
        replace_folder(root, final)


BROWSER = Program(
    "browser",
    "Chromium",
    is_there=lambda folder: browser(folder) is not None,
    fetch=_fetch,
    otherwise=f"Install {enumerated(_PACKAGES)}",
)
