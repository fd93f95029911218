"""A machine without Debian's packages runs the real programs out of upstream's archives, from a server like GitHub."""

import platform
from pathlib import Path

import pytest

from tests.support.releases import ReleaseServer, packed
from tests.support.servers import Programs
from tools import fetch
from vv_exporter.stack import releases
from vv_exporter.stack.programs import TOOLS, version

pytestmark = pytest.mark.prometheus


def test_the_real_programs_are_fetched_and_run(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")  # whatever it is: these programs run here
    monkeypatch.setenv("PATH", "/nowhere")
    with ReleaseServer() as server:
        published = []
        for release in releases.RELEASES:
            contents = {tool.name: _binary(getattr(programs, tool.name)).read_bytes() for tool in release.programs}
            published.append(server.put(release, "amd64", packed(release.stem("amd64"), contents, level=0)))
        monkeypatch.setattr(releases, "RELEASES", tuple(published))
        monkeypatch.setenv("VV_RELEASES_URL", server.url)

        assert fetch.main(["--home", str(tmp_path)]) == 0

    for tool in TOOLS:
        assert (version(tmp_path / "bin" / tool.name) or ()) >= tool.minimum


def _binary(program: Path) -> Path:
    """The program behind the wrapper that Debian's Alertmanager needs."""
    behind = program.resolve().parents[1] / "lib" / program.name
    return behind if behind.exists() else program
