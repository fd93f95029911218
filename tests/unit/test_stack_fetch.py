"""Which mirror is used, what counts as new enough, and how a fetched program is made to run."""

import fcntl
import io
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tools import fetch, recent_python, rtsp
from vv_exporter.stack import apt, debian_alertmanager, programs, progress

ROOT = Path(__file__).parents[2]


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


class TestMirrors:
    def test_a_debian_mirror_is_told_from_the_rest(self) -> None:
        listing = textwrap.dedent("""\
            http://mirror.example/debian/|bookworm|main
            http://mirror.example/debian/|bookworm|contrib
            http://other.example/debian/|bookworm-updates|main
            http://security.example/debian-security/|bookworm-security|main
            https://vendor.example/apt/|nodistro|main
            cdrom://[Debian GNU/Linux 12]/|bookworm|main
            mirror+file:/etc/apt/mirrors/debian.list/|bookworm|main
            """)
        assert apt.parse_targets(listing, "bookworm") == [
            "http://mirror.example/debian/",
            "http://other.example/debian/",
            "mirror+file:/etc/apt/mirrors/debian.list/",
        ]

    def test_a_machine_that_follows_stable_has_one_too(self) -> None:
        assert apt.parse_targets("http://mirror.example/debian/|stable|main\n", "bookworm") != []

    def test_an_unknown_release_has_none(self) -> None:
        assert apt.parse_targets("http://mirror.example/x/||main\n", "") == []

    def test_a_machine_without_apt_is_told_so(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(apt.AptError, match="no apt-get"):
            apt.mirrors()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("prometheus, version 3.5.3+ds1 (branch: debian/sid, revision: 3.5.3+ds1-6)", (3, 5, 3)),
        ("alertmanager, version 0.33.1 (branch: HEAD)", (0, 33, 1)),
        ("Docker version 20.10.24+dfsg1, build 297e128", (20, 10, 24)),
        ("prometheus, version 3.10.0 (branch: HEAD)", (3, 10, 0)),
        ("no number", None),
    ],
)
def test_a_version_is_read(text: str, version: tuple[int, ...] | None) -> None:
    assert programs.parse_version(text) == version


class TestFinding:
    def test_what_path_has_is_used_when_it_is_new_enough(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        found = program(tmp_path / "bin" / "prometheus", "prometheus, version 3.10.0")
        monkeypatch.setenv("PATH", f"{found.parent}:{os.environ['PATH']}")

        assert programs.find(programs.PROMETHEUS, tmp_path / "own") == found

    def test_what_path_has_is_left_when_it_is_too_old(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        old = program(tmp_path / "bin" / "prometheus", "prometheus, version 2.42.0")
        monkeypatch.setenv("PATH", str(old.parent))

        assert programs.find(programs.PROMETHEUS, tmp_path / "own") is None

    def test_debians_name_of_alertmanager_is_known(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        found = program(tmp_path / "bin" / "prometheus-alertmanager", "alertmanager, version 0.33.0")
        monkeypatch.setenv("PATH", f"{found.parent}:{os.environ['PATH']}")

        assert programs.find(programs.ALERTMANAGER, tmp_path / "own") == found

    def test_what_was_fetched_goes_first(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        other = program(tmp_path / "bin" / "promtool", "promtool, version 3.10.0")
        own = program(tmp_path / "own" / "bin" / "promtool", "promtool, version 3.5.0")
        monkeypatch.setenv("PATH", f"{other.parent}:{os.environ['PATH']}")

        assert programs.find(programs.PROMTOOL, tmp_path / "own") == own

    def test_a_program_that_does_not_run_does_not_count(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        broken = program(tmp_path / "bin" / "amtool", "amtool, version 0.33.0")
        broken.write_text("#!/nowhere\n")
        monkeypatch.setenv("PATH", str(broken.parent))

        assert programs.find(programs.AMTOOL, tmp_path / "own") is None


class TestFetching:
    @pytest.fixture(autouse=True)
    def nothing_outside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VV_RELEASES_URL", f"http://127.0.0.1:{free_port()}")

    def test_nothing_is_done_when_all_is_there(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for tool in programs.TOOLS:
            program(tmp_path / "bin" / tool.name, "there")
        monkeypatch.setenv("PATH", "/nowhere")
        before = sorted(tmp_path.rglob("*"))

        assert fetch.main(["--home", str(tmp_path)]) == 0
        assert sorted(tmp_path.rglob("*")) == before
        assert capsys.readouterr() == ("", "")

    def test_one_line_tells_what_is_missing_and_how_to_get_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PATH", "/nowhere")

        assert fetch.main(["--home", str(tmp_path)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("prometheus, promtool, alertmanager and amtool could not be fetched: this is no Debian")
        assert "and 127.0.0.1 does not give prometheus-" in line
        assert "Connection refused" in line
        assert "prometheus ≥ 3.5" in line
        assert "on PATH" in line
        assert "VV_RELEASES_URL=URL" in line

    def test_one_line_tells_that_the_rtsp_server_is_missing_too(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for tool in programs.TOOLS:
            program(tmp_path / "bin" / tool.name, "there")
        monkeypatch.setenv("PATH", "/nowhere")
        monkeypatch.setattr(rtsp, "rtsp_command", lambda _: ["/nowhere/python3"])

        assert fetch.main(["--rtsp", "--home", str(tmp_path)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("GStreamer's RTSP server could not be fetched: this is no Debian machine")
        assert "Install gir1.2-gst-rtsp-server-1.0, python3-gi" in line

    def test_one_line_tells_that_the_newest_python_is_missing_too(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for tool in programs.TOOLS:
            program(tmp_path / "bin" / tool.name, "there")
        monkeypatch.setenv("PATH", "/nowhere")

        assert fetch.main(["--recent-python", "--home", str(tmp_path)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("Python 3.14 could not be fetched: this is no Debian machine")
        assert line.endswith("Put python3.14 on PATH")

    def test_a_fetched_python_that_no_longer_runs_does_not_count(self, tmp_path: Path) -> None:
        fetched = program(recent_python.recent_python(tmp_path), "Python 3.14.0")
        assert recent_python.has_recent_python(tmp_path)
        fetched.write_text("#!/where/the/checkout/was/ld.so\n")
        assert not recent_python.has_recent_python(tmp_path)

    def test_every_python_that_is_promised_is_tested(self) -> None:
        promised = set(re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text()))
        script = (ROOT / ".ci" / "run").read_text()
        (named,) = set(re.findall(r"^ *for version in (.+); do$", script, re.MULTILINE))  # set up, and tested
        # `make test` runs with the machine's own, which is the oldest.
        assert {*named.split(), "3.11"} == promised
        assert max(promised, key=lambda version: int(version.partition(".")[2])) == recent_python.RECENT_PYTHON

    def test_what_a_killed_run_left_is_swept(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        left = tmp_path / "fetching-killed"
        left.mkdir()
        (left / "half.deb").write_text("half")

        fetch.main(["--home", str(tmp_path)])

        assert [entry.name for entry in tmp_path.iterdir()] == ["lock"]

    def test_a_second_run_waits_for_the_first(self, tmp_path: Path) -> None:
        with (tmp_path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            command = [sys.executable, "-m", "tools.fetch", "--home", str(tmp_path)]
            second = subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PATH": "/nowhere", "PYTHONPATH": "exporter"}
            )
            assert second.stdout is not None
            assert second.stdout.readline() == "Waiting for another run that is fetching …\n"
            assert second.poll() is None
            for tool in programs.TOOLS:
                program(tmp_path / "bin" / tool.name, "there")

        assert second.wait(20) == 0
        second.stdout.close()


class TestAlertmanagersTemplates:
    def test_the_folder_becomes_a_descriptor_of_the_same_length(self) -> None:
        before = b"\x00other/usr/share/prometheus/alertmanagernext/usr/share/prometheus/alertmanager/ui/\x00"
        after = debian_alertmanager.relocate_share(before)

        assert len(after) == len(before)
        assert debian_alertmanager.ALERTMANAGER_SHARE not in after
        path = after[len(b"\x00other") : after.index(b"next")].decode()
        assert os.path.normpath(path) == "/proc/self/fd/9"

    def test_a_program_that_embeds_its_templates_stays_as_it_is(self) -> None:
        assert debian_alertmanager.relocate_share(b"\x7fELF default.tmpl") == b"\x7fELF default.tmpl"


class TestProgress:
    def test_a_command_that_fails_shows_its_last_lines(self, tmp_path: Path) -> None:
        with (
            pytest.raises(progress.CommandError, match=r"(?s)sh -c.*the reason"),
            progress.step("Trying") as shown,
        ):
            progress.run(["sh", "-c", "echo the reason; exit 3"], shown, tmp_path / "log")

    def test_how_it_ended_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        with progress.step("Working"):
            pass

        assert capsys.readouterr().out.splitlines()[0] == "Working …"

    def test_a_terminal_sees_it_move(self) -> None:
        shown = _Terminal()
        with progress.step("Working", shown) as step:

            def moved() -> bool:
                step.update("40 %")
                return "40 %" in shown.getvalue()

            wait_until(moved, 5, what="the progress")

        assert "\r\033[KWorking … 40 %" in shown.getvalue()
        assert shown.getvalue().endswith("\n")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
