"""`vv doctor` on whole installations, made as deploy/ says: silent where all is well, and each fault has its cure."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support import units
from tests.support.users import in_child, passable_folder
from vv_exporter.cli import vv
from vv_exporter.installation import doctor, rights
from vv_exporter.runtime.program import own_folder
from vv_exporter.settings import load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")

NAMES = ("vv", "vv-self-monitor", "vv-docker", "vv-docker-read", "vv-docker-act", "docker")
IDS = {"root": 0} | {name: 23_860 + number for number, name in enumerate(NAMES)}
SECRET = "secrets/slack"


@pytest.fixture
def root() -> Iterator[Path]:
    """An installation that was started once."""
    with passable_folder() as root:
        units.make_folders(root, IDS)
        (root / "etc/systemd/system").mkdir(parents=True)
        for file in units.SYSTEMD.glob("*.service"):
            shutil.copy(file, root / "etc/systemd/system")
        (root / "etc/passwd").write_text("".join(f"{u}:x:{IDS[u]}:{IDS['vv']}::/:/bin/false\n" for u in NAMES[:2]))
        with (root / "etc/passwd").open("a") as passwd:
            passwd.write(f"vv-docker:x:{IDS['vv-docker']}:{IDS['vv-docker']}::/:/bin/false\n")
            passwd.write("pipeline:x:23880:23880::/:/bin/sh\n")
        (root / "etc/group").write_text("".join(f"{name}:x:{IDS[name]}:\n" for name in NAMES))
        (root / "srv/video/.vv-probe").mkdir(parents=True)
        os.chown(root / "srv/video/.vv-probe", IDS["vv"], IDS["vv"])
        drop_in(root, "vv-exporter.service", "ReadWritePaths=/srv/video/.vv-probe")
        write(root / "etc/vv/vv.env", "VIDEO_STORAGE_ROOT=/srv/video\nDVR_URL=rtsp://h/a?b=1&c=2\n", 0o600)
        write(root / "etc/vv/vv.yml", f"settings: {{SLACK_WEBHOOK_URL_FILE: /etc/vv/{SECRET}}}\n", 0o644)
        write(root / "etc/vv" / SECRET, "https://hooks.slack.com/x", 0o600, "vv")
        settings = load({"VV_CONFIG": "", "VV_STATE_DIR": str(root / "var/lib/vv")})
        state = settings.state_dir
        assert in_child(lambda: own_folder(state, settings.exporter_dir), IDS["vv"], IDS["vv"])
        own = settings.self_monitor_dir
        assert in_child(lambda: own_folder(state, own, rights.VISIBLE_FOLDER), IDS["vv-self-monitor"], IDS["vv"])
        write(state / "exporter/state.db", "", 0o600, "vv")
        for name in ("read", "act"):
            with socket.socket(socket.AF_UNIX) as listening:
                path = root / "run/vv-docker" / name / "docker.sock"
                listening.bind(str(path))
                os.chown(path, IDS["vv-docker"], IDS[f"vv-docker-{name}"])
                path.chmod(0o660)
        yield root


def write(path: Path, text: str, mode: int, owner: str = "root") -> None:
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, IDS[owner], IDS[owner])


def drop_in(root: Path, unit: str, line: str) -> None:
    folder = root / f"etc/systemd/system/{unit}.d"
    folder.mkdir(exist_ok=True)
    (folder / "mine.conf").write_text(f"[Service]\n{line}\n")


def findings(root: Path) -> list[str]:
    return [str(finding).replace(str(root), "") for finding in doctor.examine(root, {})]


def test_of_a_whole_installation_it_says_nothing(root: Path) -> None:
    assert findings(root) == []

    done = CliRunner().invoke(vv, ["doctor", "--root", str(root)])
    assert (done.exit_code, done.output[:4]) == (0, "ok: ")


@pytest.mark.parametrize("target", ["/run/podman/podman.sock", "/run/other/docker.sock"])
def test_podman_in_the_engines_place_is_told(root: Path, target: str) -> None:
    """As the package podman-docker has it."""
    (root / "run/docker.sock").symlink_to(target)

    told = findings(root)

    assert len(told) == ("podman" in target)
    assert all("/run/docker.sock: it is Podman's, which is not supported" in one for one in told)


def chmod(path: str, mode: int) -> Callable[[Path], None]:
    return lambda root: (root / path).chmod(mode)


def chown(path: str, user: str, group: str) -> Callable[[Path], None]:
    return lambda root: os.chown(root / path, IDS[user], IDS[group])


CURED = [
    (chmod("var/lib/vv", 0o2770), "/var/lib/vv: its mode is 2770, not 3770: others may replace the journal"),
    (chmod("var/lib/vv/exporter", 0o750), "/var/lib/vv/exporter: its mode is 0750, not 0700: others may read counts"),
    (chmod("var/lib/vv/exporter/state.db", 0o640), "state.db: its mode is 0640, not 0600: others may read counts"),
    (chmod("var/lib/vv/jobs", 0o2755), "/var/lib/vv/jobs: its mode is 2755, not 3770"),
    (chown("var/lib/vv/journal", "root", "vv"), f"/var/lib/vv/journal: it belongs to 0:{IDS['vv']}, not to vv:vv"),
    (chmod("run/vv-docker/act", 0o755), "others may stop containers, and read their logs"),
    (chown("run/vv-docker/act/docker.sock", "vv-docker", "vv"), "not to vv-docker:vv-docker-act"),
    (chmod("run/vv-docker/act/docker.sock", 0o666), "its mode is 0666, not 0660: others may stop containers"),
    (chmod(f"etc/vv/{SECRET}", 0o644), f"/etc/vv/{SECRET}: its mode is 0644, and it holds a secret (SLACK"),
    (chown(f"etc/vv/{SECRET}", "root", "root"), f"/etc/vv/{SECRET}: it belongs to 0, not to vv"),
    (chmod("etc/vv", 0o777), "/etc/vv: its mode is 0777, not 0755: others may change what is watched"),
    (
        lambda root: write(root / "etc/vv/vv.env", "VIDEO_STORAGE_ROOT=/srv/video\nSMTP_PASSWORD=x\n", 0o644),
        "/etc/vv/vv.env: SMTP_PASSWORD stands in it, and its mode is 0644",
    ),
    (chown("srv/video/.vv-probe", "root", "root"), "/srv/video/.vv-probe: it belongs to 0, not to vv"),
]


@pytest.mark.parametrize(("spoil", "said"), CURED)
def test_each_fault_is_told_with_the_command_that_cures_it(
    root: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(root)

    (finding,) = doctor.examine(root, {})
    assert said in str(finding).replace(str(root), "")
    assert not finding.unknown
    command = finding.cure
    for name in sorted(IDS, key=len, reverse=True):  # the accounts are those of the installation alone
        command = command.replace(f" {name}:", f" {IDS[name]}:").replace(f":{name} ", f":{IDS[name]} ")
    subprocess.run(["sh", "-c", command], check=True)
    assert findings(root) == []


TOLD = [
    (
        lambda root: (root / "var/lib/vv/attempts").rmdir(),
        "wrong: /var/lib/vv/attempts: there is no such folder: systemd-tmpfiles --create /etc/tmpfiles.d/vv.conf",
    ),
    (
        lambda root: join(root, "vv-docker-act", "pipeline"),
        "wrong: group vv-docker-act: pipeline belongs to it, and may stop containers, read their logs: "
        "gpasswd -d pipeline vv-docker-act",
    ),
    (
        lambda root: join(root, "docker", "vv"),
        "wrong: group docker: vv belongs to it, and is root: gpasswd -d vv docker",
    ),
    (
        lambda root: (root / "etc/group").write_text((root / "etc/group").read_text().replace("vv-docker-read", "x")),
        "wrong: group vv-docker-read: there is none: systemd-sysusers /etc/sysusers.d/vv.conf",
    ),
    (
        lambda root: drop_in(root, "vv-self-monitor.service", "NoNewPrivileges=no"),
        "wrong: vv-self-monitor.service: NoNewPrivileges=no, should be NoNewPrivileges=yes: "
        "editor /etc/systemd/system/vv-self-monitor.service.d/mine.conf && "
        "systemctl daemon-reload && systemctl restart vv-self-monitor",
    ),
    (
        lambda root: drop_in(root, "vv-self-monitor.service", "SupplementaryGroups=docker"),
        "wrong: vv-self-monitor.service: SupplementaryGroups=docker vv-docker-act, "
        "should be SupplementaryGroups=vv-docker-act: "
        "editor /etc/systemd/system/vv-self-monitor.service.d/mine.conf && "
        "systemctl daemon-reload && systemctl restart vv-self-monitor",
    ),
    (
        lambda root: drop_in(root, "vv-exporter.service", "Nice=1"),
        "wrong: vv-exporter.service: it may not write below VIDEO_STORAGE_ROOT, /srv/video: "
        "install -d -o vv -g vv -m 0700 /srv/video/.vv-probe && mkdir -p /etc/systemd/system/vv-exporter.service.d && "
        "printf '%s\\n' '[Service]' ReadWritePaths=-/srv/video/.vv-probe > "
        "/etc/systemd/system/vv-exporter.service.d/storage.conf && "
        "systemctl daemon-reload && systemctl restart vv-exporter",
    ),
    (
        lambda root: (root / "etc/vv" / SECRET).unlink(),
        f"wrong: /etc/vv/{SECRET}: SLACK_WEBHOOK_URL_FILE names it, and it is not there: "
        f"install -m 0600 /dev/stdin /etc/vv/{SECRET}",
    ),
    (
        lambda root: shutil.rmtree(root / "srv"),
        "wrong: /srv/video: VIDEO_STORAGE_ROOT names it, and it is not there: findmnt --target /srv/video",
    ),
]


def test_videos_that_the_sandbox_hides_are_told_and_shown_by_the_cure(root: Path) -> None:
    home = root / "home/camera/videos"
    home.mkdir(parents=True)
    write(root / "etc/vv/vv.env", "VIDEO_STORAGE_ROOT=/home/camera/videos\n", 0o600)

    hidden, _ = doctor.examine(root, {})
    assert "ProtectHome=yes hides VIDEO_STORAGE_ROOT, /home/camera/videos" in str(hidden)
    here = hidden.cure.partition(" && systemctl")[0].replace(" /", f" {root}/").replace("-o vv -g vv", "")
    subprocess.run(["sh", "-c", here], check=True)
    os.chown(home / ".vv-probe", IDS["vv"], IDS["vv"])

    lines = (root / "etc/systemd/system/vv-exporter.service.d/storage.conf").read_text().splitlines()
    assert lines[:3] == ["[Service]", "ProtectHome=tmpfs", "BindPaths=/home/camera/videos"]
    assert findings(root) == []


def join(root: Path, group: str, user: str) -> None:
    lines = (root / "etc/group").read_text().splitlines()
    joined = [line + user if line.startswith(f"{group}:") else line for line in lines]
    (root / "etc/group").write_text("\n".join(joined) + "\n")


@pytest.mark.parametrize(("spoil", "said"), TOLD)
def test_what_a_test_cannot_cure_is_told_in_one_line(root: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(root)

    assert said in findings(root)
    done = CliRunner().invoke(vv, ["doctor", "--root", str(root)])
    assert done.exit_code == 1


def test_a_link_or_a_pipe_in_place_of_a_folder_is_told(root: Path) -> None:
    (root / "var/lib/vv/attempts").rmdir()
    os.mkfifo(root / "var/lib/vv/attempts")

    (finding,) = findings(root)
    assert finding.startswith("wrong: /var/lib/vv/attempts: it is no folder: mv ")


def said_to(user: str | tuple[int, int], root: Path) -> str:
    uid, gid = user if isinstance(user, tuple) else (IDS[user], IDS["vv"])
    reader, writer = os.pipe()
    try:
        assert in_child(lambda: os.write(writer, "\n".join(findings(root)).encode()), uid, gid)
    finally:
        os.close(writer)
    with os.fdopen(reader) as said:
        return said.read()


def test_the_services_user_sees_its_own_and_says_what_it_cannot_see(root: Path) -> None:
    (root / "var/lib/vv").chmod(0o2770)

    said = said_to("vv", root).splitlines()

    assert sorted(line.split(": ")[:2] for line in said) == [
        ["unknown", "/etc/vv/vv.env"],
        ["unknown", "/run/vv-docker/act/docker.sock"],
        ["unknown", "/run/vv-docker/read/docker.sock"],
        ["wrong", "/var/lib/vv"],
    ]
    assert all(line.endswith(": sudo vv doctor") for line in said if line.startswith("unknown"))


def test_a_stranger_is_not_told_that_all_is_well(root: Path) -> None:
    said = said_to((23_890, 23_890), root).splitlines()

    assert {line.partition(":")[0] for line in said} == {"unknown"}
    assert any("/var/lib/vv/journal" in line for line in said)


class TestWithoutSystemd:
    """`vv up`, and within a container: the folders must belong together."""

    @pytest.fixture
    def state(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="vv-") as name:
            state = Path(name) / "state"
            own_folder(state, state / "exporter")
            yield state

    def run(self, state: Path) -> list[str]:
        return [str(finding) for finding in doctor.examine(state.parent, {"VV_STATE_DIR": "/state"})]

    def test_of_a_whole_one_it_says_nothing(self, state: Path) -> None:
        assert self.run(state) == []

    @pytest.mark.parametrize("path", ["exporter", "journal"])
    def test_a_folder_of_another_user_is_told(self, state: Path, path: str) -> None:
        os.chown(state / path, 23_891, 0)

        (finding,) = self.run(state)
        assert finding.endswith(f"it belongs to 23891:0, not to 0:0: chown 0:0 {state / path}")

    def test_a_folder_that_is_missing_is_made_by_its_cure(self, state: Path) -> None:
        (state / "jobs").rmdir()

        (finding,) = doctor.examine(state.parent, {"VV_STATE_DIR": "/state"})
        subprocess.run(["sh", "-c", finding.cure], check=True)
        assert self.run(state) == []


def test_its_help_teaches() -> None:
    said = CliRunner().invoke(vv, ["doctor", "--help"]).output

    for word in ("wrong:", "unknown:", "as root", "docker compose exec", "Exit codes", "--root"):
        assert word in said


def test_names_that_others_chose_do_not_steer_the_terminal(root: Path) -> None:
    with (root / "etc/group").open("a") as group:
        group.write("vv-docker-act:x:99:eve\x1b[2J\u202e\n")
    drop_in(root, "vv-exporter.service", "User=eve\x9b31m")

    printed = CliRunner().invoke(vv, ["doctor", "--root", str(root)]).output

    assert "eve" in printed
    assert not {"\x1b", "\x9b", "\u202e"} & set(printed)
