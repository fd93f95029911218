"""The state folder is as `vv_exporter.installation.rights` says: made, mended, or refused; asked of real processes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.users import in_child, passable_folder
from vv_core.common import shared
from vv_exporter.alertmanager.token import ensure_token
from vv_exporter.installation import rights, statefolders
from vv_exporter.runtime.program import only_one, own_folder
from vv_exporter.settings import Settings, SettingsError, load
from vv_exporter.state.store import Store
from vv_exporter.supervisor.mailbox import Mailbox, Request

OWNER, OTHER, GROUP = 23_811, 23_812, 23_810
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct, autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"VV_STATE_DIR": str(tmp_path / "state"), "VV_CONFIG": ""})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def begin(settings: Settings) -> None:
    """What the exporter does first."""
    own_folder(settings.state_dir, settings.exporter_dir)
    with only_one(settings.exporter_dir, "exporter"):
        store = Store(settings.exporter_dir / "state.db", lambda: 1.0)
        with store.transaction() as tx:
            tx.append("x", 1.0, {})
        ensure_token(settings)
        found = {path.name: mode(path) for path in settings.exporter_dir.iterdir()}
        store.close()
    assert found == dict.fromkeys(("lock", "state.db", "state.db-wal", "state.db-shm", "alertmanager-token"), 0o600)


def test_everything_is_made_as_the_table_says(settings: Settings) -> None:
    begin(settings)
    own_folder(settings.state_dir, settings.self_monitor_dir, rights.VISIBLE_FOLDER)
    Mailbox(settings.self_monitor_dir).ask(Request("resume", "a"))

    assert {entry.path: mode(settings.state_dir / entry.path) for entry in rights.STATE} == {
        entry.path: entry.mode for entry in rights.STATE
    }


def test_an_installation_of_before_is_mended(settings: Settings) -> None:
    for path, old in ((settings.state_dir, 0o2770), (settings.exporter_dir, 0o2750), (settings.journal_dir, 0o755)):
        path.mkdir()
        path.chmod(old)
    for name in ("state.db", "lock"):
        (settings.exporter_dir / name).touch()
        (settings.exporter_dir / name).chmod(0o640)
    with contextlib.closing(sqlite3.connect(settings.exporter_dir / "state.db")) as old_one:
        old_one.execute("PRAGMA journal_mode = WAL")
        old_one.execute("CREATE TABLE x (y)")
        begin(settings)

    assert [mode(path) for path in (settings.state_dir, settings.exporter_dir)] == [0o3770, 0o700]
    assert mode(settings.journal_dir) & 0o3770 == 0o3770


def test_a_folder_that_the_operator_named_is_opened_to_nobody(settings: Settings) -> None:
    settings.state_dir.mkdir()
    settings.state_dir.chmod(0o755)

    begin(settings)

    assert mode(settings.state_dir) == 0o755


def test_a_new_database_beside_a_damaged_one_is_as_private(settings: Settings) -> None:
    begin(settings)
    database = settings.exporter_dir / "state.db"
    database.write_bytes(b"no database" * 1000)

    Store(database, lambda: 1.0).close()

    assert {mode(path) for path in settings.exporter_dir.iterdir()} == {0o600}
    assert len(list(settings.exporter_dir.glob("state.db.damaged-*"))) == 1


def test_without_locks_the_start_is_refused_in_one_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    own_folder(settings.state_dir, settings.exporter_dir)
    monkeypatch.setattr("fcntl.flock", refuse)

    with pytest.raises(SettingsError) as caught, only_one(settings.exporter_dir, "exporter"):
        pass

    (problem,) = caught.value.problems
    assert "has no locks (No locks available)" in problem
    assert "docs/deployment.md" in problem


def test_what_others_could_replace_is_told_with_its_cure(settings: Settings) -> None:
    begin(settings)
    assert list(statefolders.open_to_replacement(settings.state_dir)) == []
    settings.state_dir.chmod(0o2770)

    (problem,) = statefolders.open_to_replacement(settings.state_dir)
    assert problem.endswith(f": chmod 3770 {settings.state_dir}")


@needs_root
class TestOtherUsers:
    @pytest.fixture(autouse=True)
    def installed(self, settings: Settings) -> None:
        settings.state_dir.mkdir()
        os.chown(settings.state_dir, OWNER, GROUP)
        settings.state_dir.chmod(0o3770)

    def test_a_folder_that_somebody_else_put_there_is_refused(self, settings: Settings) -> None:
        assert in_child(lambda: settings.exporter_dir.mkdir(mode=0o777), OTHER, GROUP)

        def start() -> None:
            with pytest.raises(SettingsError, match="belongs to user 23812"):
                own_folder(settings.state_dir, settings.exporter_dir)

        assert in_child(start, OWNER, GROUP)

    def test_what_root_rendered_first_is_the_exporters(self, settings: Settings) -> None:
        ensure_token(settings)

        assert in_child(lambda: begin(settings), OWNER, GROUP)
        assert ensure_token(settings).stat().st_uid == OWNER

    def test_a_request_of_root_can_be_read_and_deleted_by_the_self_monitor(self, settings: Settings) -> None:
        folder = settings.self_monitor_dir
        assert in_child(lambda: own_folder(settings.state_dir, folder, rights.VISIBLE_FOLDER), OTHER, GROUP)
        Mailbox(folder).ask(Request("resume", "a"))

        def take() -> None:
            ((path, request),) = Mailbox(folder).requests()
            assert request.name == "a"
            path.unlink()

        assert in_child(take, OTHER, GROUP)

    @pytest.mark.parametrize("name", ["journal", "exporter", "logs", "jobs"])
    def test_a_member_of_the_group_replaces_nothing(self, settings: Settings, name: str) -> None:
        assert in_child(lambda: begin(settings), OWNER, GROUP)

        def attack() -> None:
            path = settings.state_dir / name
            with pytest.raises(PermissionError):
                path.rename(settings.state_dir / "mine")
            with pytest.raises(PermissionError):
                (settings.state_dir / "exporter" / "state.db").read_bytes()

        assert in_child(attack, OTHER, GROUP)


@pytest.mark.parametrize("make", [shared.make_folder, lambda path: statefolders.make_own_folder(Path(path))])
def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path, make: Callable[[str], None]) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match=r"exists|directory"):
        make(str(tmp_path / "file" / "folder"))
