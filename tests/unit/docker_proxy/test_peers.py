"""Whom a socket of the proxy serves, beside its mode."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.support.users import as_a_process, in_child, passable_folder
from tests.support.waiting import wait_until
from vv_exporter.containers.engine import Engine
from vv_exporter.docker_proxy.peers import Peer, Peers, parse_peers, peer_of
from vv_exporter.docker_proxy.policy import READ
from vv_exporter.docker_proxy.run import listeners
from vv_exporter.docker_proxy.server import MAX_CONNECTIONS, Listener
from vv_exporter.settings import SettingsError, load

ALLOWED, OTHER, GROUP = 23_851, 23_852, 23_853


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A socket that anybody may connect to; its Engine does not answer."""
    with passable_folder() as folder:
        listener = Listener(
            folder / "s", "/nowhere", READ, lambda _: True, parse_peers(f"{ALLOWED}, @{GROUP}", "VV_DOCKER_X")
        )
        listener.start()
        listener.path.chmod(0o666)
        yield listener
        listener.stop()


def code(path: Path) -> int:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        with contextlib.suppress(BrokenPipeError):  # turned away already: the answer is there
            client.sendall(b"GET /_ping HTTP/1.1\r\n\r\n")
        return int(client.recv(1000).split()[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")
class TestUsers:
    @pytest.mark.parametrize(
        ("uid", "gid", "groups", "served"),
        [
            (ALLOWED, ALLOWED, (), True),
            (OTHER, GROUP, (), True),
            (OTHER, OTHER, (1, GROUP), True),
            (0, 0, (), True),
            (OTHER, OTHER, (), False),
            (OTHER, OTHER, (1, 2, 3), False),
        ],
    )
    def test_the_kernel_says_who_it_is(
        self, listener: Listener, uid: int, gid: int, groups: tuple[int, ...], served: bool
    ) -> None:
        def ask() -> None:
            assert code(listener.path) == (502 if served else 403)

        assert in_child(ask, uid, gid, groups)
        assert listener.peers.refused == (0 if served else 1)

    def test_it_is_told_once_a_user_and_counted_each_time(
        self, listener: Listener, caplog: pytest.LogCaptureFixture
    ) -> None:
        def ask() -> None:
            for _ in range(5):
                assert code(listener.path) == 403

        with caplog.at_level(logging.WARNING):
            assert in_child(ask, OTHER, OTHER)
            assert in_child(ask, OTHER + 100, OTHER)

        assert listener.peers.refused == 10
        assert len(caplog.records) == 2
        assert f"does not serve user {OTHER}: see VV_DOCKER_X" in caplog.text

    def test_the_exporter_reads_how_many_each_socket_refused(self) -> None:
        with passable_folder() as folder:
            settings = load({"VV_CONFIG": "", "VV_DOCKER_ACT_USERS": str(ALLOWED), "DOCKER_HOST": "unix:///nowhere"})
            read, act = served = listeners(settings, folder / "read", folder / "act")
            for listener in served:
                listener.start()
                listener.path.chmod(0o666)
            try:
                assert in_child(lambda: [code(act.path) for _ in range(3)], OTHER, OTHER)
                engine = Engine.__new__(Engine)
                engine._client = docker.APIClient(base_url=f"unix://{read.path}", version="1.41", timeout=20)
                engine._base = f"{engine._client.base_url}/v1.41"
                assert engine.refused_by_proxy() == {"read": 0, "act": 3}
                engine.close()
            finally:
                for listener in served:
                    listener.stop()

    def test_who_is_not_served_takes_nobodys_place(self, listener: Listener) -> None:
        """Though it reads no answer, and keeps its end open."""

        def crowd() -> None:
            held = [socket.socket(socket.AF_UNIX) for _ in range(2 * MAX_CONNECTIONS)]
            for client in held:
                client.connect(str(listener.path))
            signal.pause()

        with as_a_process(crowd, OTHER, OTHER):
            wait_until(lambda: listener.peers.refused == 2 * MAX_CONNECTIONS, 20, what="the crowd")
            assert code(listener.path) == 502


def test_a_peer_is_the_process_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = peer_of(ours)

    assert (peer.pid, peer.uid) == (os.getpid(), os.geteuid())
    assert peer.gids == {os.getegid(), *os.getgroups()}


def test_without_a_list_the_mode_of_the_socket_decides() -> None:
    assert Peers().admit(Peer(1, 12345, frozenset()))


@pytest.mark.parametrize(
    ("text", "uids", "gids"),
    [("", [], []), (" 1, 2 ,@3", [1, 2], [3]), ("root,@root", [0], [0])],
)
def test_users_and_groups_by_name_or_number(text: str, uids: list[int], gids: list[int]) -> None:
    peers = parse_peers(text)

    assert (sorted(peers.uids), sorted(peers.gids)) == (uids, gids)


@pytest.mark.parametrize("text", ["nobody-of-this-name", "@no-group-of-this-name", "a b", "@", "-1", "x\n"])
def test_a_user_who_is_not_there_is_named_with_the_key(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        listeners(load({"VV_CONFIG": "", "VV_DOCKER_ACT_USERS": text}), None, tmp_path / "act")

    (problem,) = caught.value.problems
    assert problem.startswith("VV_DOCKER_ACT_USERS: ")


@pytest.mark.parametrize("text", [",", " , ", ",,"])
def test_a_list_that_names_nobody_is_refused_and_opens_the_socket_to_nobody(text: str) -> None:
    with pytest.raises(ValueError, match="names nobody"):
        parse_peers(text)
    with pytest.raises(SettingsError, match="VV_DOCKER_ACT_USERS: "):
        load({"VV_DOCKER_ACT_USERS": text})
