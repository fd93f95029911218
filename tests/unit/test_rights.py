"""Who may read, write and connect to what: the matrix, asked of real processes, files and sockets.

The files of deploy/systemd say who runs as whom and which folders there are; nothing of it is repeated here but what
each may do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import units
from tests.support.users import as_a_process, in_child, passable_folder
from tests.support.waiting import wait_until
from vv_core.attempts import Attempts
from vv_core.common import journals
from vv_core.jobs import heartbeat
from vv_core.logs import setup_logging
from vv_exporter.alertmanager.token import ensure_token
from vv_exporter.docker_proxy.peers import parse_peers
from vv_exporter.docker_proxy.policy import ACT, READ
from vv_exporter.docker_proxy.server import Listener
from vv_exporter.installation import rights
from vv_exporter.reporting.cron import turn
from vv_exporter.runtime.program import only_one, own_folder
from vv_exporter.settings import Settings, load
from vv_exporter.state.store import Store
from vv_exporter.supervisor.mailbox import Mailbox, Request, View

IDS = {"root": 0} | {
    name: 23_820 + number
    for number, name in enumerate(("vv", "vv-self-monitor", "vv-docker", "vv-docker-read", "vv-docker-act", "docker"))
}
SERVICES = {
    "exporter": "vv-exporter.service",
    "self-monitor": "vv-self-monitor.service",
    "proxy": "vv-docker-proxy.service",
}
User = tuple[int, int, tuple[int, ...]]


def identity(service: str) -> User:
    """User, group and further groups of a service, as its unit says."""
    unit = units.unit(SERVICES[service])
    more = " ".join(unit.get("SupplementaryGroups", [])).split()
    return IDS[unit["User"][-1]], IDS[unit["Group"][-1]], tuple(IDS[name] for name in more)


USERS: dict[str, User] = {
    "root": (0, 0, ()),
    **{service: identity(service) for service in SERVICES},
    "script one": (23_841, 23_841, (IDS["vv"],)),
    "script two": (23_842, IDS["vv"], ()),
    "stranger": (23_843, 23_843, ()),
}
SCRIPTS = {"script one", "script two"}
ALL_OF_VV = {"root", "exporter", "self-monitor"} | SCRIPTS
EXPORTER, SELF_MONITOR, PROXY = {"root", "exporter"}, {"root", "self-monitor"}, {"root", "proxy"}

STATE = {
    # What is done with it, and who may.
    "report": ALL_OF_VV,
    "log": ALL_OF_VV,
    "take a job's lock": ALL_OF_VV,
    "count an attempt": ALL_OF_VV,
    "read state.db": EXPORTER,
    "read the token": EXPORTER,
    "write state.db": EXPORTER,
    "delete state.db": EXPORTER,
    "list exporter/": EXPORTER,
    "read the self-monitor's state.db": SELF_MONITOR,
    "read what the self-monitor sees": ALL_OF_VV,
    "ask the self-monitor": SELF_MONITOR,
    "delete another's report": EXPORTER,
    "replace journal/": EXPORTER,
    "replace exporter/": EXPORTER,
    # In a sticky folder the owner of the folder may, and the owner of the file.
    "replace self-monitor/": EXPORTER | SELF_MONITOR,
    "replace jobs/": EXPORTER,
    "replace a job's lock": EXPORTER,
}
SYSTEMD = STATE | {
    "connect to look": EXPORTER | PROXY,
    "connect to act": SELF_MONITOR | PROXY,
    "put a socket of one's own in its place": PROXY,
    "read a secret": EXPORTER,
    "read vv.yml": set(USERS),
    "change vv.yml": {"root"},
    "add a secret": {"root"},
}
VV_UP = STATE | {"read what Alertmanager runs with": EXPORTER}


class TestFiles:
    """deploy/systemd says what the table says."""

    def test_folders_and_users_are_those_of_the_table(self) -> None:
        assert (units.SYSTEMD / "tmpfiles.conf").read_text() == rights.tmpfiles()
        assert (units.SYSTEMD / "sysusers.conf").read_text() == rights.sysusers()

    @pytest.mark.parametrize("name", rights.UNITS)
    def test_each_unit_is_that_of_the_table(self, name: str) -> None:
        unit, wanted = units.unit(name), rights.UNITS[name]

        assert (unit["User"], unit["Group"]) == ([wanted.user], [wanted.group])
        assert tuple(" ".join(unit["SupplementaryGroups"]).split()) == wanted.groups
        assert int(unit["UMask"][0], 8) == wanted.umask
        assert tuple(unit["ReadWritePaths"][0].split()) == wanted.writes
        assert {path.lstrip("-") for path in unit["InaccessiblePaths"][0].split()} == set(wanted.hidden)
        assert {key: unit[key][-1] for key in wanted.sandbox} == dict(wanted.sandbox)

    def test_no_script_belongs_to_a_group_of_the_proxys(self) -> None:
        members = {rights.MAY_LOOK: set(), rights.MAY_ACT: set()}
        for service, (_, group, more) in {name: USERS[name] for name in SERVICES}.items():
            for name, found in members.items():
                if IDS[name] in (group, *more):
                    found.add(service)

        assert members == {rights.MAY_LOOK: {"exporter"}, rights.MAY_ACT: {"self-monitor"}}


@pytest.fixture
def root() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


def settings_of(state: Path) -> Settings:
    return load({"VV_STATE_DIR": str(state), "VV_CONFIG": ""})


def run_exporter_once(settings: Settings) -> None:
    own_folder(settings.state_dir, settings.exporter_dir)
    with only_one(settings.exporter_dir, "exporter"):
        Store(settings.exporter_dir / "state.db", lambda: 1.0).close()
        ensure_token(settings)


def run_self_monitor_once(settings: Settings) -> None:
    own_folder(settings.state_dir, settings.self_monitor_dir, rights.VISIBLE_FOLDER)
    with only_one(settings.self_monitor_dir, "self-monitor"):
        Store(settings.self_monitor_dir / "state.db", lambda: 1.0).close()
        Mailbox(settings.self_monitor_dir).show(View(1.0, ()))


def run_script_once(settings: Settings) -> None:
    heartbeat("another's")
    with turn(str(settings.state_dir / "jobs"), "sweep", wait=False):
        pass
    with Attempts(settings.state_dir.parent / "video", limit=9).attempt("scan") as attempt:
        attempt.fail("broken")
    setup_logging("another").warning("hello")


def may(action: Callable[[], object]) -> bool:
    try:
        action()
    except PermissionError:
        return False
    return True


def replaceable(path: Path) -> bool:
    def replace() -> None:
        path.rename(path.with_name("taken"))
        path.with_name("taken").rename(path)

    return may(replace)


def deletable(path: Path) -> bool:
    """Undone at once, since the next user is asked the same."""

    def delete() -> None:
        path.rename(path.with_name(f"{path.name}.gone"))
        path.with_name(f"{path.name}.gone").rename(path)

    return may(delete)


def reports() -> bool:
    journals.reset()
    heartbeat("mine")
    return journals._journal.lost == 0 and not journals._journal._queue


def counts(settings: Settings) -> bool:
    attempts = Attempts(settings.state_dir.parent / "video", limit=99)
    before = attempts.count("scan")
    with attempts.attempt("scan") as attempt:
        attempt.fail("broken")
    return before > 0 and attempts.count("scan") == before + 1


def takes(settings: Settings) -> bool:
    def take() -> None:
        with turn(str(settings.state_dir / "jobs"), "sweep", wait=False):
            pass

    return may(take)


def actions_on_state(settings: Settings) -> dict[str, Callable[[], bool]]:
    state, own, other = settings.state_dir, settings.exporter_dir, settings.self_monitor_dir
    # What root reports is given to the owner of the folder.
    report = next(path for path in (state / "journal").glob("*.jsonl") if path.stat().st_uid == IDS["vv"])
    return {
        "report": reports,
        "log": lambda: may(lambda: (state / "logs/app.log").open("a").close()),
        "take a job's lock": lambda: takes(settings),
        "count an attempt": lambda: counts(settings),
        "read state.db": lambda: may((own / "state.db").read_bytes),
        "read the token": lambda: may((own / "alertmanager-token").read_bytes),
        "write state.db": lambda: may(lambda: (own / "state.db").open("r+b").close()),
        "delete state.db": lambda: deletable(own / "state.db"),
        "list exporter/": lambda: may(lambda: list(own.iterdir())),
        "read the self-monitor's state.db": lambda: may((other / "state.db").read_bytes),
        "read what the self-monitor sees": lambda: may(lambda: Mailbox(other).view()),
        "ask the self-monitor": lambda: may(lambda: Mailbox(other).ask(Request("resume", "a"))),
        "delete another's report": lambda: deletable(report),
        "replace journal/": lambda: replaceable(state / "journal"),
        "replace exporter/": lambda: replaceable(own),
        "replace self-monitor/": lambda: replaceable(other),
        "replace jobs/": lambda: replaceable(state / "jobs"),
        "replace a job's lock": lambda: deletable(state / "jobs/sweep.lock"),
    }


def asked_as(user: str, actions: dict[str, Callable[[], bool]]) -> set[str]:
    """What of this a process of that user may do."""
    reader, writer = os.pipe()

    def ask() -> None:
        for name, action in actions.items():
            if action():
                os.write(writer, f"{name}\n".encode())

    try:
        assert in_child(ask, *USERS[user])
    finally:
        os.close(writer)
    with os.fdopen(reader) as answers:
        return set(answers.read().splitlines())


def allowed(matrix: dict[str, set[str]], user: str) -> set[str]:
    return {action for action, users in matrix.items() if user in users}


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")


def prepared(root: Path, state: Path, monkeypatch: pytest.MonkeyPatch, exporter: User) -> Settings:
    """The state folder after each of them ran for the first time, under a umask that suits nobody."""
    settings = settings_of(state)
    (state.parent / "video").write_bytes(b"broken")
    monkeypatch.setenv("VV_STATE_DIR", str(state))
    monkeypatch.delenv("VV_LOG_DIR", raising=False)
    before = os.umask(0o022)
    try:
        assert in_child(lambda: run_exporter_once(settings), *exporter)
        assert in_child(lambda: run_self_monitor_once(settings), *USERS["self-monitor"])
        journals.reset()  # whatever a test before has left
        run_script_once(settings)  # root's cron
        journals.reset()
    finally:
        os.umask(before)
    return settings


@needs_root
class TestSystemd:
    @pytest.fixture
    def settings(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
        units.make_folders(root, IDS)
        for path, mode, owner in (("vv.yml", 0o644, "root"), ("secrets/slack", 0o600, "vv")):
            file = root / "etc/vv" / path
            file.write_text("x")
            file.chmod(mode)
            os.chown(file, IDS[owner], IDS[owner])
        return prepared(root, root / "var/lib/vv", monkeypatch, USERS["exporter"])

    @pytest.fixture
    def sockets(self, root: Path, settings: Settings) -> Iterator[Path]:
        """The proxy at work, as its unit says."""
        folder, unit = root / "run/vv-docker", units.unit(SERVICES["proxy"])
        setting = dict(item.split("=", 1) for line in unit["Environment"] for item in line.split())
        with as_a_process(lambda: serve(folder, setting, int(unit["UMask"][0], 8)), *USERS["proxy"]):
            wait_until(lambda: (folder / "act/docker.sock").exists(), 30, what="the proxy's sockets")
            yield folder

    @pytest.mark.parametrize("user", USERS)
    def test_each_may_what_the_matrix_says(self, root: Path, settings: Settings, sockets: Path, user: str) -> None:
        configuration = root / "etc/vv"
        actions = actions_on_state(settings) | {
            "connect to look": lambda: answers(sockets / "read/docker.sock"),
            "connect to act": lambda: answers(sockets / "act/docker.sock"),
            "put a socket of one's own in its place": lambda: replaceable(sockets / "act/docker.sock"),
            "read a secret": lambda: may((configuration / "secrets/slack").read_bytes),
            "read vv.yml": lambda: may((configuration / "vv.yml").read_bytes),
            "change vv.yml": lambda: may(lambda: (configuration / "vv.yml").open("a").close()),
            "add a secret": lambda: may((configuration / f"secrets/{os.getpid()}").touch),
        }

        assert asked_as(user, actions) == allowed(SYSTEMD, user)

    def test_the_kernels_word_counts_where_a_mode_was_opened(self, settings: Settings, sockets: Path) -> None:
        """As an administrator does who wants it to work at once: chmod 777."""
        for path in (sockets / "act", sockets / "act/docker.sock"):
            path.chmod(0o777)

        connecting = {user for user in USERS if asked_as(user, {"x": lambda: answers(sockets / "act/docker.sock")})}
        assert connecting == SELF_MONITOR | PROXY

    def test_each_user_keeps_the_next_from_nothing(self, settings: Settings) -> None:
        """One after another on the same folders."""
        for user in (*USERS, *reversed(USERS)):
            assert asked_as(user, actions_on_state(settings)) == allowed(STATE, user), user


@needs_root
class TestVvUp:
    """One user runs the stack, others of his group report."""

    @pytest.mark.parametrize("user", USERS)
    def test_each_may_what_the_matrix_says(self, root: Path, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
        state = root / "home" / "state"
        state.parent.mkdir()
        os.chown(state.parent, *USERS["exporter"][:2])
        state.parent.chmod(0o2755)
        settings = prepared(root, state, monkeypatch, USERS["exporter"])
        config = state / "stack" / "alertmanager.yml"

        def render() -> None:
            from vv_exporter.installation.statefolders import make_own_folder

            make_own_folder(config.parent)
            config.write_text("x")

        assert in_child(render, *USERS["exporter"])
        actions = actions_on_state(settings) | {"read what Alertmanager runs with": lambda: may(config.read_bytes)}

        assert asked_as(user, actions) == allowed(VV_UP, user)


def serve(folder: Path, setting: dict[str, str], umask: int) -> None:
    """What `vv docker-proxy` does, with the users' numbers for their names; its Engine does not answer."""
    os.umask(umask)
    for name, rules, key in (("read", READ, "VV_DOCKER_READ_USERS"), ("act", ACT, "VV_DOCKER_ACT_USERS")):
        who = ",".join(f"@{IDS[item[1:]]}" if item[0] == "@" else str(IDS[item]) for item in setting[key].split(","))
        Listener(folder / name / "docker.sock", "/nowhere", rules, lambda _: True, parse_peers(who, key)).start()
    signal.pause()


def answers(path: Path) -> bool:
    """Whether the proxy asks the Engine on behalf of this process: that the Engine is not there is an answer, too."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        try:
            client.connect(str(path))
        except PermissionError:
            return False
        with contextlib.suppress(BrokenPipeError):  # turned away already: the answer is there
            client.sendall(b"GET /_ping HTTP/1.1\r\n\r\n")
        code = int(client.recv(100).split()[1])
    assert code in (403, 502)
    return code == 502
