"""`vv dvr login`: user and password that a DVR refused are sent again."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.journal.conftest import Journal
from tests.unit.probes.test_dvr_logins import Camera, dvr
from tests.unit.probes.test_rtsp import Peer
from vv_core.dvr import DvrLink
from vv_exporter.cli.dvr import command
from vv_exporter.journal.events import DvrLogin, decode
from vv_exporter.probes.dvr_logins import logins_of
from vv_exporter.probes.rtsp import Resolver, probe
from vv_exporter.state.timeline import Filter, read


def test_a_dvr_that_takes_them_by_now_gets_them(journal: Journal) -> None:
    camera = Camera()
    with Peer(camera.script) as peer:
        front, resolver = dvr(peer), Resolver("127.0.0.1", peer.port)
        logins = logins_of({"front": front, "back": dvr(peer, "another")}, journal.store)["front"]
        for _ in range(5):
            probe(front, resolver, logins)
        camera.lets_in = True
        journal.writer("a").event("dvr.login", dvr="back", component="vv dvr")
        journal.read()
        before = probe(front, resolver, logins)
        journal.writer("b").event("dvr.login", dvr="front", component="vv dvr")
        journal.read()

        assert (before.result, probe(front, resolver, logins).result) == ("auth", "ok")
    titles = [moment.title for moment in read(journal.store, Filter()).moments]
    assert "DVR front: user and password are sent again" in titles


def test_it_is_recorded_for_the_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("DVR_URL", "rtsp://192.0.2.1/live")

    assert CliRunner().invoke(command, ["login", "dvr"]).exit_code == 0
    (file,) = (tmp_path / "journal").glob("*.jsonl")
    assert isinstance(decode(file.read_bytes().splitlines()[-1]), DvrLogin)
    other = CliRunner().invoke(command, ["login", "yard"])
    assert (other.exit_code, other.output.strip()) == (1, "Error: no DVR yard is configured; there are: dvr")


def test_agents_are_let_try_again_too_also_of_dvrs_that_are_not_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path))
    link = DvrLink("yard", url="rtsp://u:p@192.0.2.1/live")
    for _ in range(3):
        link.failed("401 Unauthorized")
        link._begin_link()
    assert link.held_back()

    assert CliRunner().invoke(command, ["login", "yard"]).exit_code == 0
    assert not link.held_back()
    assert CliRunner().invoke(command, ["login", "yard"]).exit_code == 1
