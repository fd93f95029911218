"""The statements that are kept: of each day that is over, once, signed, and as they were then."""

import base64
import json
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import msgspec
import pytest

from tests.support.clock import Clock
from vv_core.signing import verify_signature
from vv_exporter.common.times import EARLIEST
from vv_exporter.digest.footage import footage_days
from vv_exporter.digest.mail import MAX_ATTACHED, attach
from vv_exporter.footage import statements
from vv_exporter.footage.ledger import milliseconds
from vv_exporter.footage.segments import recorded
from vv_exporter.footage.statement import Statement
from vv_exporter.footage.statements import KEEP, StatementKeeper, kept_statements, statements_folder
from vv_exporter.settings import Settings, load
from vv_exporter.state.store import Store

NOON = datetime(2023, 11, 14, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = load({"VV_STATE_DIR": str(tmp_path), "VV_DEVICE_ID": "edge-7", "VV_CONFIG": ""})
    found.exporter_dir.mkdir(parents=True)
    return found


@pytest.fixture
def keeper(store: Store, clock: Clock, settings: Settings) -> StatementKeeper:
    """Of a device that recorded an hour at noon, all but five minutes of it."""
    clock.now = NOON + HOUR
    record(store, *range(20), *range(25, 60))
    return StatementKeeper(store, settings, clock)


def record(store: Store, *minutes: int) -> None:
    with store.transaction() as tx:
        for minute in minutes:
            start = milliseconds(NOON + 60 * minute)
            recorded(tx, "gate", start, start + 60_000)


def names(settings: Settings) -> list[str]:
    folder = statements_folder(settings)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_day_is_kept_when_no_more_footage_of_it_may_come(
    keeper: StatementKeeper, clock: Clock, settings: Settings
) -> None:
    for now in (NOON + HOUR, NOON + 12 * HOUR - 1, NOON + 12 * HOUR + 100):  # the last files may still be open
        clock.now = now
        keeper.round()
        assert names(settings) == []
    clock.now = NOON + 12 * HOUR + 200
    keeper.round()

    assert names(settings) == ["statement-2023-11-14.json"]
    document = json.loads((statements_folder(settings) / names(settings)[0]).read_bytes())
    assert (document["day"], document["cameras"][0]["seconds"]) == ("2023-11-14", {"recorded": 55 * 60})


def test_it_stays_as_it_was_when_footage_comes_late(
    keeper: StatementKeeper, store: Store, clock: Clock, settings: Settings
) -> None:
    clock.now = NOON + 13 * HOUR
    keeper.round()
    before = (statements_folder(settings) / "statement-2023-11-14.json").read_bytes()
    record(store, 20, 21)
    StatementKeeper(store, settings, clock).round()

    assert (statements_folder(settings) / "statement-2023-11-14.json").read_bytes() == before


def test_days_without_an_exporter_are_made_up_for(keeper: StatementKeeper, clock: Clock, settings: Settings) -> None:
    clock.now = NOON + 3 * 24 * HOUR
    keeper.round()

    assert names(settings) == [f"statement-2023-11-{day}.json" for day in (14, 15, 16)]


def test_a_device_without_cameras_keeps_nothing(store: Store, clock: Clock, settings: Settings) -> None:
    StatementKeeper(store, settings, clock).round()

    assert names(settings) == []


@pytest.mark.parametrize("now", [0.0, 1000.0, EARLIEST, EARLIEST + 100_000.0])
def test_a_clock_that_is_not_set_yet_makes_no_statement_and_no_error(
    keeper: StatementKeeper, clock: Clock, settings: Settings, now: float
) -> None:
    clock.now = now
    keeper.round()

    assert names(settings) == []
    assert list(kept_statements(settings, now - 86_400, now)) == []


def test_the_oldest_go(keeper: StatementKeeper, clock: Clock, settings: Settings) -> None:
    folder = statements_folder(settings)
    folder.mkdir()
    for number in range(KEEP + 5):
        (folder / f"statement-2020-{number:05}.json").write_bytes(b"{}")
    clock.now = NOON + 13 * HOUR
    keeper.round()

    assert len(names(settings)) == KEEP
    assert names(settings)[-1] == "statement-2023-11-14.json"


def test_a_disk_that_does_not_take_it_is_tried_again(
    keeper: StatementKeeper, clock: Clock, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    clock.now = NOON + 13 * HOUR
    monkeypatch.setattr(statements, "write_small", full)
    keeper.round()
    assert names(settings) == []
    monkeypatch.undo()
    keeper.round()

    assert names(settings) == ["statement-2023-11-14.json"]


def test_it_is_signed_where_there_is_a_key(
    keeper: StatementKeeper, clock: Clock, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.write_text(base64.b64encode(bytes(range(32))).decode())
    key.chmod(0o600)
    monkeypatch.setenv("VV_HMAC_KEY_FILE", str(key))
    clock.now = NOON + 13 * HOUR
    keeper.round()

    document = json.loads((statements_folder(settings) / "statement-2023-11-14.json").read_bytes())
    assert verify_signature(document)
    assert not verify_signature({**document, "device": "another"})


class TestTheDigest:
    def test_it_has_the_days_that_ended_within_it(
        self, keeper: StatementKeeper, clock: Clock, settings: Settings
    ) -> None:
        clock.now = NOON + 3 * 24 * HOUR
        keeper.round()
        midnight = NOON + 12 * HOUR

        def days(since: float, until: float) -> list[str]:
            return [stated.day for _, _, stated in kept_statements(settings, since, until)]

        assert days(midnight - HOUR, midnight + 7 * HOUR) == ["2023-11-14"]
        assert days(midnight, midnight + 23 * HOUR) == []
        assert days(midnight - 1, midnight + 48 * HOUR) == ["2023-11-14", "2023-11-15", "2023-11-16"]

    def test_it_is_asked_of_any_time(self, keeper: StatementKeeper, clock: Clock, settings: Settings) -> None:
        clock.now = NOON + 2 * 24 * HOUR
        keeper.round()

        for since in (0.0, -1e10, EARLIEST):
            found = [stated.day for _, _, stated in kept_statements(settings, since, clock.now)]
            assert found == ["2023-11-14", "2023-11-15"]
        assert list(kept_statements(settings, clock.now, 0.0)) == []

    @pytest.mark.parametrize("content", [b"", b"{", b"[" * 5000, b"{}", b"x" * 100])
    def test_a_file_that_is_no_statement_is_left_out(
        self, keeper: StatementKeeper, clock: Clock, settings: Settings, content: bytes
    ) -> None:
        clock.now = NOON + 3 * 24 * HOUR
        keeper.round()
        (statements_folder(settings) / "statement-2023-11-15.json").write_bytes(content)

        found = [stated.day for _, _, stated in kept_statements(settings, NOON, clock.now)]
        assert found == ["2023-11-14", "2023-11-16"]

    def test_the_worst_comes_first(self, keeper: StatementKeeper, clock: Clock, settings: Settings) -> None:
        clock.now = NOON + 2 * 24 * HOUR
        keeper.round()
        found = footage_days(stated for _, _, stated in kept_statements(settings, NOON, clock.now))

        assert [(one.name, one.day) for one in found] == [("gate", "2023-11-15"), ("gate", "2023-11-14")]
        assert found[0].missing_seconds == 24 * HOUR
        assert found[0].causes == {"unknown": 24 * HOUR}
        assert found[0].there_ratio == 0

    def test_statements_are_attached_as_they_are_kept(self) -> None:
        made = EmailMessage()
        made.set_content("text")
        made.add_alternative("<p>html</p>", subtype="html")
        files = {"statement-1.json": b"1" * MAX_ATTACHED, "statement-2.json": b'{"signed": 1}'}
        attach(made, files)

        attached = {one.get_filename(): one.get_content() for one in made.iter_attachments()}
        assert attached == {"statement-2.json": b'{"signed": 1}'}  # the other is too much beside it
        (text, _), *_others = [part.iter_parts() for part in made.iter_parts() if part.is_multipart()]
        assert text.get_content() == "text\n"

    def test_a_statement_is_read_as_it_was_written(
        self, keeper: StatementKeeper, clock: Clock, settings: Settings
    ) -> None:
        clock.now = NOON + 13 * HOUR
        keeper.round()
        ((name, content, stated),) = kept_statements(settings, NOON, clock.now)

        assert name == "statement-2023-11-14.json"
        assert msgspec.json.decode(content, type=Statement) == stated
