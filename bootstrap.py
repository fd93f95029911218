"""Set up a checkout: a virtual environment with the product in it, and the servers it works with.

`make` calls this before everything else; a second time it does nothing. It needs Python and git alone: on a Debian
without python3-venv, pip comes from Debian's package of it, unpacked into the checkout. Nothing is installed into
the system.

Packages are those of `exporter/requirements/*.txt` and no others, each checked against its hash; none is built from
source, which would run what nobody checked.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is the place that tells it
    sys.exit(
        "vv-exporter needs Python 3.11 or newer, and %s is %d.%d: name another, such as `PYTHON=python3.12 make …`"  # noqa: UP031
        % (sys.executable, sys.version_info[0], sys.version_info[1])
    )

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent
sys.path.insert(0, str(CHECKOUT / "exporter"))

from tools import fetch  # noqa: E402
from tools.pip_wheel import fetch_pip  # noqa: E402
from vv_exporter.common.programs import home  # noqa: E402
from vv_exporter.stack.apt import AptError  # noqa: E402
from vv_exporter.stack.progress import CommandError, run, step  # noqa: E402

REQUIREMENTS = CHECKOUT / "exporter" / "requirements"
RUN = ("build", "exporter", "demo")
"""The lock files of what `make run` and `make demo` need."""
DEVELOP = (*RUN, "dev")


class SetupError(Exception):
    """The environment cannot be set up; the message is for people."""


def set_up(environment: Path, locks: Sequence[str] = DEVELOP) -> None:
    """Make the virtual environment of these lock files, unless it is there and they have not changed since."""
    stamp = environment / ".set-up"
    python = environment / "bin" / "python"
    wanted = _wanted(locks)
    # One for development has all that one to run has.
    if stamp.is_file() and stamp.read_text() in (wanted, _wanted(DEVELOP)) and python.exists():
        return
    stamp.unlink(missing_ok=True)
    if not _same_version(python):
        shutil.rmtree(environment, ignore_errors=True)
        _create(environment, python)
    elif not _has_pip(python):
        _add_pip(python)
    logs = home() / "logs"
    with step(f"Installing vv-exporter and its packages into {_short(environment)} (once)") as shown:
        for command in _installations(python, locks):
            run(command, shown, logs / "pip.log", cwd=CHECKOUT)
    stamp.write_text(wanted)


def _installations(python: Path, locks: Sequence[str]) -> Iterator[list[str]]:
    """The commands that install what is locked, and then this checkout."""
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    files = [part for name in locks for part in ("--requirement", str(REQUIREMENTS / f"{name}.txt"))]
    yield [*pip, "--require-hashes", "--only-binary=:all:", *files]
    yield [*pip, "--no-index", "--no-deps", "--no-build-isolation", "--editable", "."]


def _wanted(locks: Sequence[str]) -> str:
    """What the environment is made from."""
    digest = hashlib.sha256((CHECKOUT / "pyproject.toml").read_bytes())
    for name in locks:
        digest.update((REQUIREMENTS / f"{name}.txt").read_bytes())
    return f"{sys.version}\n{CHECKOUT}\n{digest.hexdigest()}\n"


def _same_version(python: Path) -> bool:
    code = "import sys; print(sys.version)"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.stdout.strip() == sys.version.strip()


def _has_pip(python: Path) -> bool:
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _create(environment: Path, python: Path) -> None:
    if importlib.util.find_spec("venv") is None:
        raise SetupError(f"{sys.executable} has no module venv: install your distribution's python3-venv")
    with step(f"Making a virtual environment in {_short(environment)}") as shown:
        command = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
        run(command, shown, home() / "logs" / "venv.log")
    _add_pip(python)


def _add_pip(python: Path) -> None:
    logs = home() / "logs"
    if importlib.util.find_spec("ensurepip") is not None:
        with step("Adding pip to it") as shown:
            run([str(python), "-m", "ensurepip", "--default-pip"], shown, logs / "ensurepip.log")
        return
    try:
        wheel = fetch_pip(home())
    except (AptError, CommandError) as error:
        raise SetupError(f"there is no pip ({error}): install your distribution's python3-venv") from error
    with step("Adding pip to it") as shown:
        command = [python, wheel / "pip", "install", "--quiet", "--no-index", wheel]
        run([str(part) for part in command], shown, logs / "pip.log")


def _short(path: Path) -> str:
    return os.path.relpath(path, CHECKOUT)


def main() -> int:
    """Set up what the options name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=CHECKOUT / ".venv", help="the virtual environment")
    parser.add_argument("--no-dev", action="store_true", help="leave out what only tests and checks need")
    parser.add_argument("--tools", action="store_true", help="fetch Prometheus and Alertmanager, too")
    fetch.add_options(parser)
    options = parser.parse_args()
    try:
        set_up(options.venv.absolute(), RUN if options.no_dev else DEVELOP)
    except (SetupError, CommandError) as error:
        print(f"vv-exporter cannot be set up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if not options.tools:
        return 0
    return fetch.fetch(options, home())


if __name__ == "__main__":
    sys.exit(main())
