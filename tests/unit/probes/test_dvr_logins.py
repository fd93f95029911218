"""A wrong password is sent a few times, whatever happens to the exporter; a right one always."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.unit.probes.test_rtsp import SDP, Peer
from vv_exporter.probes.dvr_logins import COUNTS, MAX_REFUSED, logins_of
from vv_exporter.probes.rtsp import Answer, Resolver, probe
from vv_exporter.settings import Dvr, Secret
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store

WRONG, RIGHT = "wr0ng-secret", "r1ght-secret"
BASIC, DIGEST = 'Basic realm="cam"', 'Digest realm="cam", nonce="abc", qop="auth"'


class Camera:
    """A camera with one account, and how often a login came. Each stream may have its own idea of who is let in."""

    def __init__(self, challenge: str = BASIC, *, closes: bool = False, refused: tuple[str, ...] = ()) -> None:
        self.challenge = challenge
        self.closes = closes
        self.refused = refused
        self.lets_in = False
        self.answers_logins = True
        self.status = "401 Unauthorized"
        self.logins: list[str] = []

    def script(self, peer: Peer) -> None:
        """Answer one connection."""
        while True:
            request = peer.request()
            if request.startswith("OPTIONS"):
                peer.answer()
            elif "Authorization: " not in request:
                peer.answer("401 Unauthorized", f"WWW-Authenticate: {self.challenge}")
                if self.closes:
                    return
            elif not self._knows(request):
                if not self.answers_logins:
                    return
                peer.answer(self.status, f"WWW-Authenticate: {self.challenge}")
                if self.closes:
                    return
            else:
                peer.answer("200 OK", "Transport: RTP/AVP/TCP;interleaved=0-1", "Session: a", body=SDP)
                if request.startswith("PLAY"):
                    peer.frame(1)
                    peer.frame(2)

    def _knows(self, request: str) -> bool:
        self.logins.append(request.split()[1])
        return self.lets_in and not any(target in request.split()[1] for target in self.refused)


class Device:
    """An exporter's store and the probes of its DVRs, which may begin anew."""

    def __init__(self, folder: Path, dvrs: Mapping[str, Dvr]) -> None:
        self.path = folder / "state.db"
        self.configure(dvrs)

    def configure(self, dvrs: Mapping[str, Dvr]) -> None:
        """Start with this configuration."""
        self.dvrs = dvrs
        self.store = Store(self.path, Clock())
        self.logins = logins_of(dvrs, self.store)

    def restart(self, dvrs: Mapping[str, Dvr] | None = None) -> None:
        """End, and start again."""
        self.store.close()
        self.configure(self.dvrs if dvrs is None else dvrs)

    def ask(self, name: str = "front") -> Answer:
        """Probe once."""
        dvr = self.dvrs[name]
        return probe(dvr, Resolver(dvr.host, dvr.port), self.logins[name])

    def counts(self) -> list[int]:
        """What is counted."""
        return [count.sent for count in self.store.docs(COUNTS).values()]


def dvr(peer: Peer, password: str = WRONG, user: str = "viewer", target: str = "/live") -> Dvr:
    return Dvr("127.0.0.1", peer.port, target, user, Secret(password), timeout=20.0)


@pytest.fixture
def camera() -> Camera:
    return Camera()


@pytest.fixture
def peer(camera: Camera) -> Iterator[Peer]:
    with Peer(camera.script) as peer:
        yield peer


@pytest.fixture
def device(tmp_path: Path, peer: Peer) -> Iterator[Device]:
    device = Device(tmp_path, {"front": dvr(peer)})
    yield device
    device.store.close()


class TestAWrongPassword:
    @pytest.mark.parametrize("closes", [False, True])
    @pytest.mark.parametrize("challenge", [BASIC, DIGEST, f"{DIGEST}, stale=true", f"{DIGEST}, {BASIC}"])
    @pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
    def test_is_sent_a_few_times_however_often_the_exporter_starts(
        self, device: Device, camera: Camera, challenge: str, closes: bool, status: str
    ) -> None:
        camera.challenge, camera.closes, camera.status = challenge, closes, status
        answers = []
        for _ in range(4):
            answers += [device.ask() for _ in range(2)]
            device.restart()

        assert len(camera.logins) == MAX_REFUSED
        assert {answer.result for answer in answers} == {"auth"}
        assert (answers[0].held_back, answers[-1].held_back) == (False, True)
        assert answers[-1].error == (
            "refused user or password 3 times; they are not sent again, so that it does not lock the account: correct "
            "them here, or when the DVR takes them by now: vv dvr login front"
        )

    def test_is_counted_on_the_disk_when_the_camera_hears_of_it(self, tmp_path: Path) -> None:
        """Power that is lost meanwhile leaves what is there now."""
        found = []

        def script(peer: Peer) -> None:
            while "Authorization: " not in peer.request():
                peer.answer("401 Unauthorized", f"WWW-Authenticate: {BASIC}")
            for path in tmp_path.glob("state.db*"):
                shutil.copy(path, folder)
            left = Store(folder / "state.db", Clock())
            found.append([count.sent for count in left.docs(COUNTS).values()])
            left.close()
            peer.answer("401 Unauthorized", f"WWW-Authenticate: {BASIC}")

        folder = tmp_path / "after the power was lost"
        folder.mkdir()
        with Peer(script) as peer:
            device = Device(tmp_path, {"front": dvr(peer)})
            device.ask()
            device.ask()
            device.store.close()

        assert found == [[1, 1], [2, 2]]

    @pytest.mark.parametrize("change", [{"password": RIGHT}, {"user": "other"}, {"target": "/other"}])
    def test_another_one_is_sent(self, device: Device, camera: Camera, peer: Peer, change: dict[str, str]) -> None:
        for _ in range(5):
            device.ask()
        device.restart({"front": dvr(peer, **change)})
        refused = [device.ask() for _ in range(5)]
        camera.lets_in = True
        device.restart({"front": dvr(peer, password="another", **{k: v for k, v in change.items() if k != "password"})})

        assert len(camera.logins) == 2 * MAX_REFUSED
        assert {answer.result for answer in refused} == {"auth"}
        assert device.ask().result == "ok"
        assert device.counts() == []

    def test_is_held_back_and_yet_it_is_seen_whether_the_camera_is_there(self, device: Device, camera: Camera) -> None:
        for _ in range(5):
            device.ask()
        camera.challenge = "Basic"
        assert device.ask().result == "auth"
        with Peer(lambda peer: peer.request() and None) as other:
            gone = Dvr("127.0.0.1", other.port, "/live", "viewer", Secret(WRONG), timeout=20.0)
            assert probe(gone, Resolver("127.0.0.1", other.port), device.logins["front"]).result == "error"

    def test_of_the_address_is_not_sent_again_either(self, tmp_path: Path) -> None:
        asked = []

        def script(peer: Peer) -> None:
            while True:
                asked.append(peer.request().split()[:2])
                peer.answer("401 Unauthorized" if asked[-1][0] == "DESCRIBE" else "200 OK")

        with Peer(script) as peer:
            device = Device(tmp_path, {"front": dvr(peer, "", "", "/user=admin_password=wr0ng_channel=1")})
            answers = [device.ask() for _ in range(6)]
            device.store.close()

        assert sum(method == "DESCRIBE" for method, _ in asked) == MAX_REFUSED
        assert len([address for _, address in asked if "wr0ng" in address]) == 2 * MAX_REFUSED
        assert "vv dvr login front" in answers[-1].error

    def test_is_bounded_too_where_nothing_can_be_written(
        self, device: Device, camera: Camera, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise StoreError("no room")

        device.ask()
        monkeypatch.setattr(device.store, "_write_transaction", fail)
        for _ in range(6):
            device.ask()

        assert len(camera.logins) == MAX_REFUSED


class TestTheRightPassword:
    def test_is_sent_always_and_written_down_once(
        self, device: Device, camera: Camera, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        camera.lets_in = True
        assert device.ask().result == "ok"

        def fail(*_: object) -> None:
            raise AssertionError("written again")

        monkeypatch.setattr(device.store, "_write_transaction", fail)
        assert [device.ask().result for _ in range(5)] == ["ok"] * 5
        assert device.counts() == []

    def test_counts_from_0_again(self, device: Device, camera: Camera) -> None:
        for lets_in in (False, False, True, False, False, True):
            camera.lets_in = lets_in
            assert device.ask().result == ("ok" if lets_in else "auth")
            device.restart()

    def test_that_was_let_in_and_is_refused_then_is_counted(self, device: Device, camera: Camera) -> None:
        camera.lets_in = True
        device.ask()
        camera.lets_in, before = False, len(camera.logins)
        for _ in range(6):
            device.ask()

        assert len(camera.logins) - before == MAX_REFUSED

    def test_of_a_camera_that_does_not_answer_is_sent_on(self, device: Device, camera: Camera) -> None:
        camera.answers_logins = False
        results = [device.ask().result for _ in range(3 * MAX_REFUSED)]
        camera.lets_in = True

        assert set(results) == {"error"}
        assert (device.ask().result, device.counts()) == ("ok", [])


class TestChannelsOfOneRecorder:
    def test_are_one_account(self, tmp_path: Path, camera: Camera, peer: Peer) -> None:
        names = [f"channel {number}" for number in range(8)]
        device = Device(tmp_path, {name: dvr(peer, target=f"/{name[-1]}") for name in names})
        answers = [device.ask(name) for _ in range(3) for name in names]
        device.store.close()

        assert len(camera.logins) == MAX_REFUSED
        assert {answer.result for answer in answers} == {"auth"}
        assert answers[-1].error.endswith("vv dvr login 'channel 7'")

    def test_one_that_is_refused_keeps_none_out(self, tmp_path: Path, camera: Camera, peer: Peer) -> None:
        camera.lets_in, camera.refused = True, ("/secret",)
        device = Device(tmp_path, {"good": dvr(peer), "bad": dvr(peer, target="/secret")})
        answers = [(device.ask("bad").result, device.ask("good").result) for _ in range(8)]
        device.store.close()

        assert answers == [("auth", "ok")] * 8
        assert sum(address.endswith("/secret") for address in camera.logins) == MAX_REFUSED


def test_what_is_kept_tells_nobody_the_password(device: Device, tmp_path: Path, peer: Peer) -> None:
    device.ask()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("state.db*"))

    assert WRONG.encode() not in kept
    assert b"viewer" not in kept
    keys = list(device.store.docs(COUNTS))
    assert [len(key) for key in keys] == [8, 8]
    (tmp_path / "other").mkdir()
    elsewhere = Device(tmp_path / "other", {"front": dvr(peer)})
    elsewhere.ask()
    assert not set(keys) & set(elsewhere.store.docs(COUNTS))
    elsewhere.store.close()
