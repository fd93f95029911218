"""The heads of chains leave the device with the digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import chains
from vv_core import _chains
from vv_core.signing import sign_payload
from vv_exporter.digest import digest, mail
from vv_exporter.digest.chains import chain_heads
from vv_exporter.digest.history import History


def test_a_mailbox_knows_how_long_a_chain_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in chains.environment_of(tmp_path / "state", chains.key_file(tmp_path / "keys")).items():
        monkeypatch.setenv(name, value)
    _chains.reset()
    last = [sign_payload({"line": number}, chain="loglines") for number in range(7)][-1]
    _chains.reset()

    heads = chain_heads(tmp_path / "state")
    found = digest(History([], [], [], {}), "edge-1", 0.0, 86_400.0, heads)

    head = f"loglines:7:{last['signature']['mac']}"
    for made in (mail.text(found, "http://edge-1"), mail.html(found, "http://edge-1")):
        assert head in made
        assert "2026-01" in made


@pytest.mark.parametrize("make", [lambda folder: None, Path.touch])
def test_without_heads_there_is_nothing_of_them(tmp_path: Path, make: object) -> None:
    make(tmp_path / "chains")  # type: ignore[operator]

    found = digest(History([], [], [], {}), "edge-1", 0.0, 86_400.0, chain_heads(tmp_path))

    assert found.chains == ()
    assert "CHAINS" not in mail.text(found, "http://edge-1")
