"""How far a file was counted is known for as long as a power cut may bring the file back."""

from unittest.mock import Mock

import pytest

from tests.unit.journal.conftest import Journal
from vv_exporter.journal import folder
from vv_exporter.journal.progress import PROGRESS
from vv_exporter.metrics.exporter import EVENTS
from vv_exporter.state.store import Store


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Mock:
    sync = Mock()
    monkeypatch.setattr(folder, "sync_folder", sync)
    return sync


def count(journal: Journal, name: str) -> None:
    """A writer comes and goes, and is counted."""
    writer = journal.writer(name)
    writer.event("heartbeat", job="nightly")
    writer.close()
    journal.read()


def known(journal: Journal) -> set[str]:
    return {name.partition(".")[0] for name in journal.store.docs(PROGRESS)}


def test_a_file_that_is_back_after_a_power_cut_is_not_counted_again(journal: Journal) -> None:
    journal.writer("a").event("heartbeat", job="nightly")
    content = (journal.directory / "a.0.jsonl").read_bytes()
    count(journal, "b")
    for name in ("c", "d", "e"):
        count(journal, name)
    assert known(journal) >= {"a", "e"}
    journal.restart()
    (journal.directory / "e.0.jsonl").write_bytes(content)
    journal.read()

    assert journal.value(EVENTS, "heartbeat") == 5
    assert journal.names() == ["a.0.jsonl"]


def test_it_is_forgotten_after_its_folder_was_synced_which_is_seldom(journal: Journal, syncs: Mock) -> None:
    for name in ("a", "b", "c", "d"):
        count(journal, name)
    assert known(journal) == {"b", "c", "d"}  # the first that is deleted is forgotten with the next
    assert [call.args for call in syncs.call_args_list] == [(str(journal.directory),)]

    journal.clock.advance(folder.FORGET_INTERVAL_SECONDS)
    count(journal, "e")
    assert known(journal) == {"e"}
    assert syncs.call_count == 2


def test_very_many_are_forgotten_at_once(journal: Journal, syncs: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    count(journal, "a")
    count(journal, "b")
    monkeypatch.setattr(folder, "FORGET_FILES", 2)
    count(journal, "c")
    assert known(journal) == {"b", "c"}
    count(journal, "d")

    assert known(journal) == {"d"}


def test_it_is_known_for_as_long_as_the_folder_cannot_be_synced_and_reading_goes_on(
    journal: Journal, syncs: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    syncs.side_effect = OSError(5, "Input/output error")
    for name in ("a", "b", "c"):
        count(journal, name)

    assert known(journal) == {"a", "b", "c"}
    assert journal.value(EVENTS, "heartbeat") == 3
    assert "Input/output error" in caplog.text


def test_what_is_to_be_forgotten_is_when_something_is_counted_next(journal: Journal, syncs: Mock) -> None:
    count(journal, "a")
    for _ in range(3):
        journal.read()  # nothing is written without need
    assert known(journal) == {"a"}
    count(journal, "b")

    assert known(journal) == {"b"}
    assert syncs.call_count == 1


def test_the_folder_is_synced_before_the_commit_that_forgets(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    commit = Store._write_transaction
    monkeypatch.setattr(folder, "sync_folder", lambda _: steps.append("folder"))
    monkeypatch.setattr(
        Store, "_write_transaction", lambda store, changes: steps.append("commit") or commit(store, changes)
    )
    count(journal, "a")
    count(journal, "b")

    assert steps == ["commit", "folder", "commit"]
    assert journal.names() == []
