"""The statement of a day: equal to the ledger, of the day as its clock shows, proven by its signature."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from tests.support.clock import Clock
from vv_core.signing import sign_payload
from vv_exporter.cli import footage as cli
from vv_exporter.footage import corrupt
from vv_exporter.footage.ledger import milliseconds
from vv_exporter.footage.segments import done, recorded
from vv_exporter.footage.statement import Statement, day_between, statement
from vv_exporter.state.store import Store

NOON = datetime(2023, 11, 14, 12, tzinfo=UTC).timestamp()
HOUR = 3600


def stated(store: Store, clock: Clock, folder: Path, day: str = "2023-11-14", timezone: str = "UTC") -> Statement:
    return statement(store, {}, "edge-1", day, timezone, folder, clock())


@pytest.fixture
def day(store: Store, clock: Clock) -> Store:
    """From noon on an hour was recorded, but five minutes of it; half of that is signed, one cannot be played."""
    clock.now = NOON + 36 * HOUR
    with store.transaction() as tx:
        for minute in (*range(20), *range(25, 60)):
            start = milliseconds(NOON + 60 * minute)
            recorded(tx, "gate", start, start + 60_000, f"/v/{minute}.mp4")
            if minute >= 30:
                done(tx, "signed", f"/v/{minute}.mp4", "")
        corrupt.record_corrupt_file(tx, "gate", milliseconds(NOON), milliseconds(NOON + 60), "/v/0.mp4", "no_index")
    return store


def test_it_says_what_the_ledger_has(day: Store, clock: Clock, tmp_path: Path) -> None:
    (camera,) = stated(day, clock, tmp_path).cameras

    assert camera.seconds == {"recorded": 55 * 60, "signed": 30 * 60}
    assert camera.signed_ratio == pytest.approx(30 / 55, abs=1e-6)
    assert (camera.missing[0].start, camera.missing[0].end) == (NOON + 20 * 60, NOON + 25 * 60)
    assert camera.missing_by_cause == {"unknown": camera.missing_seconds}
    assert camera.missing_seconds == 5 * 60 + 11 * HOUR
    assert camera.expected_seconds == 12 * HOUR
    assert camera.there_ratio == pytest.approx(1 - camera.missing_seconds / camera.expected_seconds, abs=1e-6)
    assert [(one.file, one.problem) for one in camera.corrupt] == [("/v/0.mp4", "no_index")]
    assert camera.final


def test_of_a_day_that_is_not_over_it_is_not_final(day: Store, clock: Clock, tmp_path: Path) -> None:
    clock.now = NOON + HOUR

    assert not stated(day, clock, tmp_path, "today").cameras[0].final


@pytest.mark.parametrize(
    ("name", "timezone", "begins", "hours"),
    [
        ("2023-11-14", "UTC", "2023-11-14T00:00:00+00:00", 24),
        ("2023-11-14", "America/Sao_Paulo", "2023-11-14T03:00:00+00:00", 24),
        ("2023-10-29", "Europe/Lisbon", "2023-10-28T23:00:00+00:00", 25),
        ("2023-03-26", "Europe/Lisbon", "2023-03-26T00:00:00+00:00", 23),
        ("", "UTC", "2023-11-13T00:00:00+00:00", 24),
        ("today", "Pacific/Kiritimati", "2023-11-14T10:00:00+00:00", 24),
    ],
)
def test_a_day_is_that_of_the_devices_clock(name: str, timezone: str, begins: str, hours: int) -> None:
    _, since, until = day_between(name, timezone, NOON)

    assert datetime.fromtimestamp(since, UTC).isoformat() == begins
    assert until - since == hours * HOUR


@pytest.mark.parametrize("name", ["2023-13-01", "1999-01-01", "2023-11-15", "9999-12-31", "noon", "0001-01-01"])
def test_what_is_no_day_or_has_not_begun_is_said(name: str) -> None:
    with pytest.raises(ValueError, match="day: "):
        day_between(name, "UTC", NOON)


def printed(monkeypatch: pytest.MonkeyPatch, document: dict[str, Any], *args: str) -> str:
    text = json.dumps(document)
    monkeypatch.setattr(cli, "ask", lambda *_: (msgspec.json.decode(text, type=Statement), text))
    result = CliRunner().invoke(cli.command, ["statement", *args])
    assert result.exit_code == 0, result.output
    return result.output


def test_it_is_printed_with_the_times_of_its_zone(
    day: Store, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = msgspec.to_builtins(stated(day, clock, tmp_path, timezone="America/Sao_Paulo"))

    text = printed(monkeypatch, document)

    assert "Footage of edge-1 on 2023-11-14 (America/Sao_Paulo)" in text
    assert "2023-11-14 09:20:00 -0300 – 2023-11-14 09:25:00 -0300         5 min  unknown" in text
    assert "54.54 % of what was recorded is signed" in text
    assert "/v/0.mp4 cannot be played: its index is missing" in text
    assert "not signed: the exporter has no key" in text


class TestTheSignature:
    @pytest.fixture
    def file(self, day: Store, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        key = tmp_path / "2026-01.key"
        key.write_text("ab" * 32)
        key.chmod(0o600)
        monkeypatch.setenv("VV_HMAC_KEY_FILE", str(key))
        monkeypatch.setenv("VV_STATE_DIR", str(tmp_path / "state"))
        document = msgspec.to_builtins(stated(day, clock, tmp_path))
        path = tmp_path / "statement.json"
        path.write_text(json.dumps(sign_payload(document)))
        return path

    def verify(self, file: Path) -> tuple[int, str]:
        result = CliRunner().invoke(cli.command, ["verify", str(file)])
        return result.exit_code, result.output

    def test_it_proves_the_statement(self, file: Path) -> None:
        code, said = self.verify(file)

        assert (code, said) == (0, "good: edge-1 signed this statement of 2023-11-14 with the key 2026-01\n")

    @pytest.mark.parametrize("place", ["device", "day", "cameras", "chains", "until", "signature"])
    def test_whatever_was_changed_is_noticed(self, file: Path, place: str) -> None:
        found = json.loads(file.read_text())
        if place == "cameras":
            found["cameras"][0]["missing_seconds"] = 0.0
        elif place == "chains":
            found["chains"] = [{"chain": "a", "number": 1, "mac": "m", "key_id": "k", "time": 0.0}]
        elif place == "signature":
            del found["signature"]
        else:
            found[place] = 1.0 if place == "until" else "another"
        file.write_text(json.dumps(found))

        code, said = self.verify(file)

        assert code == 1
        assert said.startswith("NOT PROVEN: ")

    def test_a_key_that_is_not_here_proves_nothing(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("VV_HMAC_KEY_FILE")

        assert self.verify(file)[0] == 1

    @pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\xff", b'{"statement": 1}', b"null"])
    def test_what_is_no_statement_is_said(self, file: Path, content: bytes) -> None:
        file.write_bytes(content)

        assert self.verify(file)[0] == 2
