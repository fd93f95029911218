"""The disk of the device: Debian 13 with the product installed as docs/deployment.md says, `make install`.

Made once and kept in `.vv/field`; made anew when what it is made from has changed. Debian comes from the mirror that
this machine's own apt sources name. The emulator and debootstrap are those of PATH, or are fetched into the checkout;
nothing is installed into this machine.
"""

import hashlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from vv_exporter.common.programs import home
from vv_exporter.stack.apt import Apt, extract, mirrors
from vv_exporter.stack.progress import run, step

CHECKOUT = Path(__file__).parents[2]
GUEST = Path(__file__).parent / "guest"
HOME = home() / "field"
RELEASE = "trixie"
PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "debootstrap": "debootstrap"}
PACKAGES = (
    "systemd,systemd-sysv,dbus,udev,linux-image-cloud-amd64,initramfs-tools,python3,python3-venv,"
    "docker.io,docker-cli,iproute2,iptables,nftables,make,git,ca-certificates,busybox-static,ffmpeg"
)
_FSTAB = """/dev/vda / ext4 defaults 0 1
/dev/disk/by-id/virtio-state /var/lib/vv ext4 defaults 0 2
/dev/disk/by-id/virtio-videos /srv/video ext4 nofail,x-systemd.device-timeout=600s 0 2
"""
_NETWORK = """[Match]
Type=ether
Kind=!veth
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
"""
_CHROOT = """
set -e
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
exec chroot "$1" /bin/bash -ec "$2"
"""
_INITRD = """
MODULES=list
COMPRESS=zstd
RESUME=none
"""
_MODULES = "virtio_pci\nvirtio_blk\next4\n"
"""What the kernel needs to find its root: all others would be unpacked at each boot, slowly."""
_INSTALL = """
cd /root/vv-exporter
make install
systemctl enable field-agent.service systemd-networkd.service
systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer getty@tty1.service \
  dpkg-db-backup.timer serial-getty@ttyS0.service
useradd --no-create-home --gid vv pipeline
update-initramfs -u
rm -rf .venv .vv ~root/.cache
"""
SERVERS = ("prometheus", "promtool", "alertmanager", "amtool")
"""What `vv up` runs there; on the device's `PATH` when they are asked for (`SERVERS_PATH`)."""
SERVERS_PATH = "/opt/servers/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OF_THIS_MACHINE = ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt", "etc/pip.conf", "etc/hosts")
"""How the registry of packages is reached from here, while the product is installed."""


def environment() -> dict[str, str]:
    """In which the programs of `PROGRAMS` are found, with their libraries."""
    root = HOME / "tools"
    libraries = [root / part / "x86_64-linux-gnu" for part in ("usr/lib", "lib")]
    found = dict(os.environ)
    if root.is_dir():
        found["PATH"] = os.pathsep.join([str(root / "usr/sbin"), str(root / "usr/bin"), found["PATH"]])
        found["LD_LIBRARY_PATH"] = os.pathsep.join(str(path) for path in libraries)
        found["DEBOOTSTRAP_DIR"] = str(root / "usr/share/debootstrap")
    return found


def ensure() -> Path:
    """The disk. Beside it lie `vmlinuz` and `initrd.img`."""
    HOME.mkdir(parents=True, exist_ok=True)
    require(PROGRAMS)
    files = product()
    disk, stamp = HOME / "disk.img", HOME / "disk.made-from"
    made_from = _digest([*files, Path(__file__), *GUEST.glob("*.*")])
    if disk.exists() and stamp.is_file() and stamp.read_text() == made_from:
        return disk
    stamp.unlink(missing_ok=True)
    root, work = _ensure_debian(), HOME / "work"
    with step("Installing the product on the device's disk (make install)") as shown:
        shutil.rmtree(work, ignore_errors=True)
        run(["cp", "-a", "--reflink=auto", str(root), str(work)], shown, HOME / "copy.log")
        _install(work, files)
        for name in ("vmlinuz", "initrd.img"):
            shutil.copy(next((work / "boot").glob(f"{name}-*")), HOME / name)
        disk.unlink(missing_ok=True)
        run(["mke2fs", "-q", "-t", "ext4", "-d", str(work), str(disk), "3G"], shown, HOME / "mke2fs.log")
        shutil.rmtree(work)
    stamp.write_text(made_from)
    return disk


def require(programs: Mapping[str, str]) -> None:
    """Have these programs, by name the package of each, on the path of `environment`. Raises `AptError`."""
    if all(shutil.which(name, path=environment()["PATH"]) for name in programs):
        return
    with step(f"Fetching {', '.join(programs)} (once)") as shown:
        mirrors()  # says in one line what this machine has not
        apt = Apt(HOME / "apt")
        apt.update(shown)
        extract(apt.download_with_dependencies(tuple(programs.values()), shown), HOME / "tools", shown)


def mirror() -> str:
    """Debian's mirror that this machine uses. Raises `AptError`."""
    return mirrors()[0]


def _ensure_debian() -> Path:
    recipe = hashlib.sha256(f"{RELEASE} {PACKAGES}".encode()).hexdigest()[:16]
    root, half = HOME / f"root-{recipe}", HOME / "root-half"
    if root.is_dir():
        return root
    for old in HOME.glob("root-*/"):
        shutil.rmtree(old)
    with step("Making a Debian 13 (about two minutes, once)") as shown:
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(half), mirror()]
        run(["env", *(f"{name}={value}" for name, value in environment().items()), *command], shown, HOME / "root.log")
    half.rename(root)
    return root


def product() -> list[Path]:
    """The files of the checkout that a user gets, whether they are committed or not."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, check=True).stdout.decode()
    away = ("docs/images/", "tests/")
    named = [CHECKOUT / name for name in listed.split("\0") if name and not name.startswith(away)]
    return sorted(path for path in named if path.is_file())


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _install(root: Path, files: list[Path]) -> None:
    checkout = root / "root/vv-exporter"
    for path in files:
        target = checkout / path.relative_to(CHECKOUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    _copy_servers(root / "opt/servers")
    shutil.copytree(GUEST, root / "opt/field", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(GUEST / "field-agent.service", root / "etc/systemd/system")
    (root / "etc/initramfs-tools/conf.d/field").write_text(_INITRD)
    (root / "etc/initramfs-tools/modules").write_text(_MODULES)
    (root / "srv/video").mkdir(parents=True)
    for name in _OF_THIS_MACHINE:
        if Path("/", name).exists():
            shutil.copy(Path("/", name), root / name)
    with (HOME / "install.log").open("wb") as log:
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "sh", "-c", _CHROOT, "sh", str(root), _INSTALL],
            env=_install_environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert done.returncode == 0, (HOME / "install.log").read_text()[-3000:]
    (root / "etc/fstab").write_text(_FSTAB)
    (root / "etc/hostname").write_text("field\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost field\n")
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/pip.conf").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
    for folder in ("etc", "var"):  # nothing is to be brought up to date: systemd-update-done.service(8)
        (root / folder / ".updated").touch()
    (root / "etc/systemd/network/field.network").write_text(_NETWORK)


def _copy_servers(folder: Path) -> None:
    """As `make tools` has fetched them, with what lies beside them."""
    for name in ("lib", "share"):
        shutil.copytree(home() / name, folder / name, symlinks=True)
    (folder / "bin").mkdir()
    for name in SERVERS:
        shutil.copy2(home() / "bin" / name, folder / "bin")


def _install_environment() -> dict[str, str]:
    """How packages are reached goes along: proxies, and what says where pip finds them."""
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or name[:4] == "PIP_"}
    kept.pop("PIP_FIND_LINKS", None)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {**kept, "PATH": path, "HOME": "/root", "LC_ALL": "C.UTF-8"}
