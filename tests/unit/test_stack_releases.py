"""Upstream's archives: fetched from a server with GitHub's addresses, and taken only when they are whole."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.releases import ReleaseServer, packed
from tools import fetch
from vv_exporter.stack import programs, releases

ROOT = Path(__file__).parents[2]
SAYS = {
    "prometheus": "prometheus, version 3.14.0 (branch: HEAD)",
    "promtool": "promtool, version 3.14.0 (branch: HEAD)",
    "alertmanager": "alertmanager, version 0.34.0 (branch: HEAD)",
    "amtool": "amtool, version 0.34.0 (branch: HEAD)",
}


def script(name: str, says: str | None = None) -> bytes:
    return f"#!/bin/sh\necho '{says or SAYS[name]}'\n".encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    """The server, on a machine that has nothing and is no Debian."""
    monkeypatch.setenv("PATH", "/nowhere")
    with ReleaseServer() as found:
        monkeypatch.setenv("VV_RELEASES_URL", found.url)
        yield found


@pytest.fixture
def publish(server: ReleaseServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts archives of all projects there, for one architecture."""

    def put(architecture: str = "amd64", change: Callable[[str, bytes], bytes] = lambda _, content: content) -> None:
        published = []
        for release in releases.RELEASES:
            programs = {tool.name: change(tool.name, script(tool.name)) for tool in release.programs}
            content = packed(release.stem(architecture), programs)
            published.append(server.put(release, architecture, content))
        monkeypatch.setattr(releases, "RELEASES", tuple(published))

    return put


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64")],
)
def test_a_machine_that_is_no_debian_gets_upstreams(
    publish: Callable[..., None],
    server: ReleaseServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    machine: str,
    architecture: str,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    publish(architecture)

    assert fetch.main(["--home", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""
    assert programs.missing(tmp_path) == []
    assert all(f"linux-{architecture}.tar.gz" in path for path in server.asked)
    assert [entry.name for entry in tmp_path.glob("fetching-*")] == []

    server.asked.clear()
    assert fetch.main(["--home", str(tmp_path)]) == 0
    assert server.asked == []


def test_only_what_is_missing_is_fetched(
    publish: Callable[..., None], server: ReleaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    for name in ("prometheus", "promtool"):
        path = tmp_path / "path" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(script(name))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))

    assert fetch.main(["--home", str(tmp_path / "home")]) == 0
    assert len(server.asked) == 1
    assert "alertmanager" in server.asked[0]
    assert sorted(entry.name for entry in (tmp_path / "home" / "bin").iterdir()) == ["alertmanager", "amtool"]


def _another(server: ReleaseServer) -> None:
    server.files = {path: content + b"\0" for path, content in server.files.items()}


def _cut(server: ReleaseServer) -> None:
    server.cut = 100


def _nothing(server: ReleaseServer) -> None:
    server.files = {}


FAULTS: dict[str, tuple[Callable[[ReleaseServer], None], str]] = {
    "another content": (_another, r"is not upstream's: its SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}"),
    "cut off": (_cut, r"does not give prometheus-\S+: it broke off after 100 of \d+ bytes"),
    "not there": (_nothing, r"does not give prometheus-\S+: "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_upstreams_is_refused_in_one_line(
    publish: Callable[..., None], server: ReleaseServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    publish()
    spoil, message = FAULTS[fault]
    spoil(server)

    assert fetch.main(["--home", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line), line
    assert line.startswith("prometheus, promtool, alertmanager and amtool could not be fetched: this is no Debian")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["lock"]


@pytest.mark.parametrize(
    ("says", "reason"),
    [("prometheus, version 2.0.0", "does not run"), ("nothing", "does not run")],
    ids=["too old", "no program"],
)
def test_what_does_not_run_here_is_refused(
    publish: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str], says: str, reason: str
) -> None:
    publish(change=lambda name, content: script(name, says) if name == "promtool" else content)

    assert fetch.main(["--home", str(tmp_path)]) == 1
    assert f"upstream's promtool {reason}" in capsys.readouterr().err
    assert not (tmp_path / "bin").exists()


def test_an_archive_without_the_program_is_told(
    server: ReleaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *rest = releases.RELEASES
    content = packed(first.stem("amd64"), {"prometheus": script("prometheus")})
    monkeypatch.setattr(releases, "RELEASES", (server.put(first, "amd64", content), *rest))

    assert fetch.main(["--home", str(tmp_path)]) == 1
    assert "linux-amd64.tar.gz cannot be unpacked: " in capsys.readouterr().err


def test_a_processor_without_archives_is_named(
    server: ReleaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")

    assert fetch.main(["--home", str(tmp_path)]) == 1
    assert "upstream's archives are for x86-64 and arm64, and this machine is riscv64" in capsys.readouterr().err


def test_a_password_in_the_address_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VV_RELEASES_URL", "http://mirror:hunter2@127.0.0.1:9/prometheus")
    monkeypatch.setenv("PATH", "/nowhere")

    assert fetch.main(["--home", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "hunter2" not in said.err + said.out
    assert "127.0.0.1 does not give" in said.err


def test_the_versions_are_those_of_the_compose_file() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    for release in releases.RELEASES:
        assert f":v{release.version}}}" in services[release.project]["image"]
        assert set(release.sha256) == {"amd64", "arm64"}
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in release.sha256.values())
    assert {tool for release in releases.RELEASES for tool in release.programs} == set(programs.TOOLS)
