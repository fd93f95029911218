"""What comes from an archive is verified, whatever the machine's apt.conf allows."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vv_exporter.stack import apt
from vv_exporter.stack.progress import step

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="there is no apt-get")

HOSTILE = """
Acquire::AllowInsecureRepositories "true";
Acquire::AllowWeakRepositories "true";
Acquire::AllowDowngradeToInsecureRepositories "true";
APT::Get::AllowUnauthenticated "true";
Binary::apt-get::Acquire::AllowInsecureRepositories "true";
Binary::apt-get::APT::Get::AllowUnauthenticated "true";
Dir::Bin::gpg "/bin/true";
Dir::Bin::apt-key "/bin/true";
APT::Key::GpgvCommand "/bin/true";
APT::Update::Pre-Invoke { "touch {trace}"; };
APT::Update::Post-Invoke { "touch {trace}"; };
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::Proxy::mirror.example "DIRECT";
Acquire::https::Verify-Peer "false";
Acquire::Check-Valid-Until "false";
"""


@pytest.fixture
def unsigned(tmp_path: Path) -> str:
    """An archive that nobody signed, with one package."""
    package = tmp_path / "package" / "DEBIAN"
    package.mkdir(parents=True)
    (package / "control").write_text(
        "Package: evil\nVersion: 1\nArchitecture: all\nMaintainer: n <n@example.org>\nDescription: d\n"
    )
    root = tmp_path / "archive"
    (root / "pool").mkdir(parents=True)
    deb = root / "pool" / "evil.deb"
    subprocess.run(["dpkg-deb", "-b", str(package.parent), str(deb)], check=True, capture_output=True)
    content = deb.read_bytes()
    entry = (package / "control").read_text().strip()
    entry += f"\nFilename: pool/evil.deb\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
    architecture = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout
    index = root / "dists" / "forky" / "main" / f"binary-{architecture.strip()}" / "Packages"
    index.parent.mkdir(parents=True)
    index.write_text(entry)
    name = index.relative_to(root / "dists" / "forky")
    (root / "dists" / "forky" / "Release").write_text(
        f"Suite: forky\nCodename: forky\nArchitectures: {architecture.strip()}\nComponents: main\n"
        f"Date: Sat, 01 Nov 2025 00:00:00 UTC\nSHA256:\n {hashlib.sha256(index.read_bytes()).hexdigest()} "
        f"{index.stat().st_size} {name}\n"
    )
    return f"file://{root}"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    path = tmp_path / "hostile.conf"
    path.write_text(HOSTILE.replace("{trace}", str(tmp_path / "trace")))
    return path


def fetch(home: Path, mirror: str) -> list[Path]:
    archive = apt.Apt(home / "apt", mirror=mirror)
    with step("fetching") as shown:
        archive.update(shown)
        return archive.download(["evil"], home / "into", shown)


def test_what_nobody_signed_is_refused_whatever_the_environment_says(
    tmp_path: Path, unsigned: str, hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APT_CONFIG", str(hostile))

    with pytest.raises(apt.AptError, match="not signed"):
        fetch(tmp_path, unsigned)
    assert not (tmp_path / "trace").exists()


def test_what_nobody_signed_is_refused_whatever_the_machine_says(tmp_path: Path, unsigned: str, hostile: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("another /etc/apt for one process needs root")
    parts = tmp_path / "apt.conf.d"
    parts.mkdir()
    (parts / "99hostile").write_text(hostile.read_text())
    code = (
        "import sys; from pathlib import Path; from tests.unit.test_stack_apt import fetch; "
        "fetch(Path(sys.argv[1]), sys.argv[2])"
    )
    script = f'mount --bind {parts} /etc/apt/apt.conf.d && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", code, str(tmp_path), unsigned]

    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)

    assert "not signed" in done.stderr, done.stderr
    assert not (tmp_path / "trace").exists()


def test_how_mirrors_are_reached_and_how_old_they_may_be_is_the_machines(
    tmp_path: Path, hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APT_CONFIG", str(hostile))
    apt.Apt(tmp_path / "apt", mirror="http://mirror.example/debian")
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt" / "apt.conf"))

    seen = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout

    assert 'Acquire::http::Proxy "http://proxy.example:3128";' in seen
    assert 'Acquire::https::Proxy::mirror.example "DIRECT";' in seen
    assert 'Acquire::Check-Valid-Until "false";' in seen  # a mirror that is a snapshot is for ever out of date
    assert "AllowUnauthenticated" not in seen
    assert "Verify-Peer" not in seen
    assert "touch" not in seen
