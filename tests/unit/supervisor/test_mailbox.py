"""Whatever lies where the self-monitor reads and writes: the containers are looked at, and the next request is done."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.supervisor.site import FAILED, Site
from vv_exporter.state.database import StoreError
from vv_exporter.supervisor.mailbox import Request

LONG = 120
NAME = f"{0:032x}.json"  # before every name that is made now


def fill_with(content: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(content)


def link_to(target: str) -> Callable[[Path], Any]:
    return lambda path: path.symlink_to(target)


def make_full_folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").touch()


def make_unreadable(path: Path) -> None:
    path.write_text('{"action": "resume", "name": "web"}')
    path.chmod(0)


NO_REQUESTS: dict[str, Callable[[Path], Any]] = {
    "empty": fill_with(b""),
    "no JSON": fill_with(b"\xff\0{"),
    "another action": fill_with(b'{"action": "explode", "name": "web"}'),
    "too deep": fill_with(b'{"action": "resume", "name": "web", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a number for a name": fill_with(b'{"action": "forget", "name": 1%s}' % (b"0" * 5000)),
    "a name of controls": fill_with(rb'{"action": "forget", "name": "web\u0000\u001b[2J\n"}'),
    "half a character": fill_with(rb'{"action": "forget", "name": "\ud800"}'),
    "a name without an end": fill_with(b'{"action": "forget", "name": "%s"}' % (b"a" * 100_000)),
    "huge": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
    "a folder": Path.mkdir,
    "a folder that is not empty": make_full_folder,
    "a pipe": os.mkfifo,
    "a link to itself": link_to(NAME),
    "a link to a device": link_to("/dev/zero"),
    "a link to nowhere": link_to("/nowhere"),
    "unreadable": make_unreadable,
}


def mailbox(site: Site) -> Path:
    folder = site.settings.self_monitor_dir / "requests"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("what", NO_REQUESTS)
def test_what_is_no_request_costs_itself_only(tmp_path: Path, what: str) -> None:
    site = Site(tmp_path)
    NO_REQUESTS[what](mailbox(site) / NAME)
    site.rounds(LONG)
    assert site.calls == ["start"] * 3
    later = site.mailbox.ask(Request("resume", "web"))
    site.rounds(LONG)

    assert not later.exists()
    assert site.calls == ["start"] * 6
    assert site.told("supervisor.checked")[-1]["containers"]["web"]["gave_up"] is True


def test_what_is_no_request_is_taken_away_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site = Site(tmp_path)
    for what, make in NO_REQUESTS.items():
        make(mailbox(site) / f"{what}.json")
    site.rounds(LONG)

    assert [path.name for path in mailbox(site).iterdir()] == ["a folder that is not empty.json"]
    lines = [record for record in caplog.records if "no request" in record.message]
    assert len(lines) == 1
    assert "\x1b" not in lines[0].message


def test_a_link_in_the_mailbox_leads_nowhere(tmp_path: Path) -> None:
    site = Site(tmp_path)
    precious = tmp_path / "precious"
    precious.write_text('{"action": "forget", "name": "web"}')
    (mailbox(site) / NAME).symlink_to(precious)
    site.rounds(LONG)

    assert precious.exists()
    assert site.calls == ["start"] * 3


@pytest.mark.parametrize("count", [30_000])
def test_a_flood_of_files_delays_a_request_but_no_container(tmp_path: Path, count: int) -> None:
    site = Site(tmp_path)
    folder = mailbox(site)
    for number in range(count):
        os.mknod(folder / f"{number:032x}.json")
    request = site.mailbox.ask(Request("resume", "web"))
    site.rounds(LONG)

    assert site.calls[:3] == ["start"] * 3
    assert not request.exists()


@pytest.mark.parametrize("make", [os.mkfifo, Path.touch, link_to("requests"), link_to("/nowhere")])
def test_without_a_mailbox_the_containers_are_looked_at(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    site = Site(tmp_path)
    make(site.settings.self_monitor_dir / "requests")
    site.rounds(LONG)

    assert site.calls == ["start"] * 3


def test_a_request_that_cannot_be_done_now_waits_and_keeps_nothing_from_being_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path, FAILED)
    site.rounds(LONG)
    monkeypatch.setattr(site.supervisor, "_do_request", lambda *_: (_ for _ in ()).throw(StoreError("full")))
    path = site.mailbox.ask(Request("resume", "web"))
    with pytest.raises(StoreError, match="full"):
        site.rounds()
    assert path.exists()
    monkeypatch.undo()
    site.rounds(LONG)

    assert not path.exists()
    assert site.calls == ["start"] * 6


def test_a_request_that_cannot_be_deleted_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path)
    site.rounds(LONG)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = site.mailbox.ask(Request("resume", "web"))
    monkeypatch.setattr(Path, "unlink", refuse)
    site.rounds(LONG)
    monkeypatch.undo()

    assert path.exists()
    assert len(site.told("container.resumed")) == 1
    assert site.calls == ["start"] * 6


@pytest.mark.parametrize("make", [make_full_folder, os.mkfifo, link_to("/dev/full"), link_to("/nowhere/else")])
def test_the_view_is_written_whatever_lies_in_its_place(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    site = Site(tmp_path)
    view = site.settings.self_monitor_dir / "view.json"
    make(view)
    site.rounds(LONG)

    assert site.calls == ["start"] * 3
    assert json.loads(view.read_bytes())["containers"][0]["name"] == "web"


def test_a_view_that_cannot_be_written_costs_the_view_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path)

    def refuse(view: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(site.supervisor._mailbox, "show", refuse)
    for _ in range(LONG):
        with pytest.raises(OSError, match="No space"):
            site.rounds()

    assert site.calls == ["start"] * 3
    assert site.told("supervisor.checked")[-1]["containers"]["web"]["gave_up"] is True


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b'{"checked": 1}', b"\xff", b'{"checked": NaN}'])
def test_a_view_that_is_none_is_no_view(tmp_path: Path, content: bytes) -> None:
    site = Site(tmp_path)
    (site.settings.self_monitor_dir / "view.json").write_bytes(content)

    assert site.mailbox.view() is None


def test_one_container_that_breaks_the_look_costs_itself_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, FAILED, "self_monitor: {containers: [aaa, web]}")
    with site.store.engine_changes() as tx:
        tx.put(site.container_kind, "aaa", FAILED.__class__(name="aaa", id="2", state="exited", wanted=True))
    histories = site.supervisor._histories
    policy_restarts = histories._policy_restarts
    monkeypatch.setattr(
        site.supervisor._histories, "_policy_restarts", lambda name: policy_restarts(name) // (name != "aaa")
    )
    for _ in range(LONG):
        with pytest.raises(Exception, match="container aaa"):
            site.rounds()

    assert site.calls == ["start"] * 3
    assert site.told("supervisor.checked")[-1]["containers"]["web"]["gave_up"] is True
