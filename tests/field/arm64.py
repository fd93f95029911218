"""arm64, emulated: whether all packages that are pinned have wheels for it, and load; the unit tests of the SDK.

Debian's arm64 programs run by QEMU's user mode, in a chroot in namespaces of its own: the kernel learns what an arm64
program is run by in a user namespace alone (Linux 6.7, binfmt_misc), and this machine is left as it is.
https://docs.kernel.org/admin-guide/binfmt-misc.html
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.field.disk import CHECKOUT, HOME, RELEASE, environment, mirror, product, require
from tests.support.waiting import wait_until
from vv_exporter.stack.progress import run, step

PROGRAMS = {"qemu-aarch64-static": "qemu-user-static", "debootstrap": "debootstrap"}
PACKAGES = "python3,python3-venv,git,make,jq"
PYTHON = "3.13"  # of that release
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
COMMAND = """#!/usr/bin/python3
import sys
from vv_exporter.entry import main
sys.exit(main())
"""
"""As pip writes it for an entry point."""
_RUN = r"""
set -e
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/tmp"
mount -t binfmt_misc binfmt_misc "$1/proc/sys/fs/binfmt_misc"
header='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":arm64:M::$header:$mask:$1/qemu:F" > "$1/proc/sys/fs/binfmt_misc/register"
root=$1; shift
exec chroot "$root" env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 HOME=/root PYTHONPATH=/wheels:/checkout/exporter \
  sh -c 'cd /checkout && exec "$@"' sh "$@"
"""


def main() -> int:
    """Exit code 0: all wheels are there and load, the SDK writes an event, and its unit tests pass."""
    HOME.mkdir(parents=True, exist_ok=True)
    require(PROGRAMS)
    root = ensure_debian()
    install_wheels(root)
    emulator = shutil.which("qemu-aarch64-static", path=environment()["PATH"])
    shutil.copy(str(emulator), root / "qemu")
    copy_checkout(root / "checkout")
    return in_chroot(root, f"python{PYTHON}", "-c", LOADS) or in_chroot(root, f"python{PYTHON}", *UNIT_TESTS)


LOADS = """
import os, pathlib, platform
assert platform.machine() == "aarch64"
os.environ["VV_STATE_DIR"] = "/tmp/state"
import bcrypt, jsonschema_rs, msgspec, psutil, yaml, vv_core.alerter
vv_core.alerter.send_alert("ERROR", "From arm64")
assert "From arm64" in "".join(path.read_text() for path in pathlib.Path("/tmp/state/journal").glob("*.jsonl"))
import av, vv_exporter.exporter
print("arm64: all wheels load under Python", platform.python_version())
"""

UNIT_TESTS = (
    *("-m", "pytest", "tests/unit/core", "-q", "-m", "not exhaustive and not real_kernel", "--timeout", "1800"),
    "--deselect=tests/unit/core/test_imports.py::test_the_version_is_the_distributions",  # nothing is installed there
)


def ensure_debian() -> Path:
    """A folder with Debian's arm64 Python, unpacked and not set up: no script of a package is run."""
    root, half = HOME / "arm64", HOME / "arm64-half"
    stamp = Path("etc/vv-packages")
    if (root / stamp).is_file() and (root / stamp).read_text() == PACKAGES:
        return root
    for old in (root, half):
        shutil.rmtree(old, ignore_errors=True)
    with step("Fetching an arm64 Debian 13 (about 60 MB, once)") as shown:
        command = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", f"--include={PACKAGES}"]
        variables = [f"{name}={value}" for name, value in environment().items()]
        run(["env", *variables, *command, RELEASE, str(half), mirror()], shown, HOME / "arm64.log")
        for package in sorted((half / "var/cache/apt/archives").glob("*.deb")):
            run(["dpkg-deb", "-x", str(package), str(half)], shown, HOME / "arm64-unpacked.log")
    (half / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    (half / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (half / "usr/bin/vv").write_text(COMMAND)
    (half / "usr/bin/vv").chmod(0o755)
    (half / stamp).write_text(PACKAGES)
    half.rename(root)
    return root


def install_wheels(root: Path) -> None:
    """Of all that is pinned for the exporter, the example pipeline and the tests, checked by hash."""
    requirements = CHECKOUT / "exporter/requirements"
    shutil.rmtree(root / "wheels", ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(root / "wheels"), "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", "--python-version", PYTHON]
    command += [part for platform in PLATFORMS for part in ("--platform", platform)]
    for name in ("exporter", "demo", "dev"):
        command += ["-r", str(requirements / f"{name}.txt")]
    with step("Installing the wheels for arm64") as shown:
        run(command, shown, HOME / "arm64-wheels.log")


def copy_checkout(into: Path) -> None:
    """The files of the checkout, tests included."""
    shutil.rmtree(into, ignore_errors=True)
    for path in (*product(), *(path for path in (CHECKOUT / "tests").rglob("*") if path.is_file())):
        target = into / path.relative_to(CHECKOUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def in_chroot(root: Path, *command: str) -> int:
    """Run a program of arm64 there, as root of a namespace that has this machine's users; its exit code."""
    namespaces = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", _RUN, "sh", str(root), *command]
    process = subprocess.Popen(
        ["unshare", "--user", "sh", "-c", 'read go; exec "$@"', "sh", *namespaces], stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    ours, its = Path("/proc/self/ns/user"), Path(f"/proc/{process.pid}/ns/user")
    wait_until(lambda: its.readlink() != ours.readlink(), 30, what="the namespace")
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{process.pid}/{name}").write_text("0 0 65536\n")  # user_namespaces(7)
    process.communicate(b"go\n")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
