"""A device pulls its fleet's configuration: from a real HTTPS server, with real signatures; the clock is passed in."""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.certificates import Certificates
from tests.support.clock import Clock
from tests.support.failing import fail_each_write
from tests.support.killing import killed_at_each_call
from tests.support.signed import Centre, FleetKey, serving
from vv_exporter.collectors.fleet import FleetCollector
from vv_exporter.fleet import config_fetch
from vv_exporter.fleet.config_document import MAX_BYTES, Release
from vv_exporter.fleet.config_pull import ConfigPuller
from vv_exporter.settings import load
from vv_exporter.settings.fleet_config import KeptConfig, kept_file, read_kept
from vv_exporter.state import timeline
from vv_exporter.state.store import Store
from vv_exporter.status import fleet
from vv_exporter.status.series import Series

ONE_HOUR, TWO_HOURS = "settings: {DVR_DOWN: 1h}\n", "settings: {DVR_DOWN: 2h}\n"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> FleetKey:
    return FleetKey(tmp_path_factory.mktemp("key") / "fleet.key")


@pytest.fixture
def centre(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[Centre]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))
    with serving(certificates) as found:
        yield found


class Device:
    """One that pulls; `begins` counts how often its exporter began anew, which loads its settings again."""

    def __init__(self, folder: Path, url: str, key: str) -> None:
        self.clock = Clock()
        self.environ = {
            "VV_STATE_DIR": str(folder),
            "VV_CONFIG": "",
            "VV_DEVICE_ID": "north-1",
            "VV_SITE": "porto",
            "VV_FLEET_CONFIG_URL": url,
            "VV_FLEET_CONFIG_KEY": key,
        }
        (folder / "exporter").mkdir(parents=True, exist_ok=True)
        self.store = Store(folder / "exporter" / "state.db", self.clock)
        self.begins = 0
        self.start()

    def start(self) -> None:
        self.settings = load(self.environ)
        self.puller = ConfigPuller(self.settings, self.environ, self.store, self.clock)
        self.puller.when_taken(self._begin_anew)

    def _begin_anew(self) -> None:
        self.begins += 1
        self.start()

    def pull(self) -> str:
        """Why nothing was taken."""
        self.puller.pull()
        return self.puller.state.reason

    @property
    def kept(self) -> KeptConfig | None:
        return read_kept(self.settings)

    @property
    def version(self) -> int:
        return self.settings.fleet_config_version

    def told(self) -> list[str]:
        return [one.title for one in timeline.read(self.store, timeline.Filter()).moments][::-1]


@pytest.fixture
def device(tmp_path: Path, centre: Centre, key: FleetKey) -> Iterator[Device]:
    made = Device(tmp_path / "state", centre.url, key.public)
    yield made
    made.store.close()


def test_what_is_signed_is_taken_once_and_used(device: Device, centre: Centre, key: FleetKey) -> None:
    centre.file = key.signed(Release(8, ONE_HOUR))

    assert device.pull() == ""
    assert (device.version, device.settings.dvr_down, device.begins) == (8, 3600, 1)
    assert kept_file(device.settings).stat().st_mode & 0o777 == 0o600
    for _ in range(3):
        assert device.pull() == ""
    assert device.begins == 1
    assert device.told() == ["The fleet's configuration was taken: version 8"]


def test_a_newer_one_replaces_it_and_going_back_is_a_newer_one_too(
    device: Device, centre: Centre, key: FleetKey
) -> None:
    for version, config, seconds in ((8, ONE_HOUR, 3600), (9, TWO_HOURS, 7200), (10, ONE_HOUR, 3600)):
        centre.file = key.signed(Release(version, config))
        assert device.pull() == ""
        assert (device.version, device.settings.dvr_down) == (version, seconds)


def test_what_was_not_changed_is_not_sent_again(device: Device, centre: Centre, key: FleetKey) -> None:
    centre.file, centre.headers = key.signed(Release(8, ONE_HOUR)), {"ETag": '"8"'}
    device.pull()
    device.pull()
    device.pull()

    # The exporter that began anew remembers nothing, and asks for all of it once.
    assert [asked.get("If-None-Match") for asked in centre.asked] == [None, None, '"8"']
    assert device.puller.state.reason == ""


def test_a_release_whose_time_comes_is_taken_though_the_file_stays_the_same(
    device: Device, centre: Centre, key: FleetKey
) -> None:
    centre.headers = {"ETag": '"x"'}
    centre.file = key.signed(Release(9, TWO_HOURS, valid_from=device.clock.now + 600), Release(8, ONE_HOUR))
    device.pull()
    device.pull()
    assert device.version == 8

    device.clock.advance(600)
    device.pull()

    assert device.version == 9


def test_a_release_for_others_is_not_for_this_device(device: Device, centre: Centre, key: FleetKey) -> None:
    centre.file = key.signed(Release(9, TWO_HOURS, devices=("site=faro", "south-7")))
    assert (device.pull(), device.version) == ("", 0)

    centre.file = key.signed(Release(9, TWO_HOURS, devices=("site=faro",)), Release(8, ONE_HOUR))
    assert (device.pull(), device.version) == ("", 8)

    centre.file = key.signed(Release(9, TWO_HOURS, devices=("site=faro", "site=porto")), Release(8, ONE_HOUR))
    assert (device.pull(), device.version) == ("", 9)


def refused(device: Device, reason: str) -> None:
    """It stays as it was, however often; it is told once."""
    before, told = (device.kept, device.version, device.begins), len(device.told())
    assert device.pull() == reason
    assert device.pull() == reason
    assert (device.kept, device.version, device.begins) == before
    assert len(device.told()) == told + 1
    assert device.told()[-1] == f"The fleet's configuration was refused ({reason})"


def test_another_key_has_no_say(device: Device, centre: Centre, key: FleetKey, tmp_path: Path) -> None:
    centre.file = key.signed(Release(8, ONE_HOUR))
    device.pull()
    centre.file = FleetKey(tmp_path / "other").signed(Release(9, TWO_HOURS))

    refused(device, "signature")


@pytest.mark.parametrize("cut", [1, 2, 100])
def test_what_lacks_its_end_is_refused(device: Device, centre: Centre, key: FleetKey, cut: int) -> None:
    centre.file = key.signed(Release(8, ONE_HOUR))[:-cut]

    refused(device, "signature")


def test_nothing_is_read_before_its_signature_is_good(
    device: Device, centre: Centre, key: FleetKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(_: bytes) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr("vv_exporter.fleet.config_pull.parse_document", parse)
    centre.file = key.signed(Release(8, ONE_HOUR)).replace(b"1h", b"9h")

    refused(device, "signature")


@pytest.mark.parametrize("file", [b"", b"<html>", b"\xff\xfe\x00", b"vv-fleet-config ed25519 AAAA", b"{}\n{}"])
def test_what_is_not_signed_is_refused(device: Device, centre: Centre, file: bytes) -> None:
    centre.file = file

    refused(device, "format")


@pytest.mark.parametrize("document", [b"\xff\xfe", b"[]", b'{"format": 1, "releases": [], "run": "reboot"}'])
def test_what_is_signed_and_says_something_else_is_refused(
    device: Device, centre: Centre, key: FleetKey, document: bytes
) -> None:
    centre.file = key.sign(document)

    refused(device, "format")


def test_an_older_version_that_was_signed_once_is_refused(device: Device, centre: Centre, key: FleetKey) -> None:
    old, new = key.signed(Release(8, ONE_HOUR)), key.signed(Release(9, TWO_HOURS))
    for centre.file in (old, new):
        device.pull()
    centre.file = old

    refused(device, "version")
    assert device.version == 9


@pytest.mark.parametrize("left", [b"", b"{", b'{"version": 0, "key": "", "config": ""}', None])
def test_an_older_version_is_refused_also_where_the_kept_one_cannot_be_read_any_more(
    device: Device, centre: Centre, key: FleetKey, left: bytes | None
) -> None:
    old, new = key.signed(Release(8, ONE_HOUR)), key.signed(Release(9, TWO_HOURS))
    for centre.file in (old, new):
        device.pull()
    if left is None:
        kept_file(device.settings).unlink()
    else:
        kept_file(device.settings).write_bytes(left)
    device.start()
    centre.file = old

    refused(device, "version")
    assert "older than 9" in device.puller.state.details
    centre.file = new
    assert (device.pull(), device.version) == ("", 9)


def test_how_far_a_device_was_is_known_of_what_was_kept_before_that_was_noted(
    device: Device, centre: Centre, key: FleetKey
) -> None:
    """By an earlier version of the exporter, or by one that was killed before it could note it."""
    centre.file = key.signed(Release(9, TWO_HOURS))
    kept_file(device.settings).write_bytes(msgspec.json.encode(KeptConfig(9, key.public, TWO_HOURS)))
    device.start()
    device.pull()
    kept_file(device.settings).unlink()
    device.start()
    centre.file = key.signed(Release(8, ONE_HOUR))

    refused(device, "version")


def test_one_version_has_one_text(device: Device, centre: Centre, key: FleetKey) -> None:
    centre.file = key.signed(Release(8, ONE_HOUR))
    device.pull()
    centre.file = key.signed(Release(8, TWO_HOURS))

    refused(device, "version")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("settings: {SLACK_WEBHOOK_URL: 'https://hooks.example.org/hunter2'}", "SLACK_WEBHOOK_URL: is a secret"),
        ("settings: {VV_FLEET_CONFIG_KEY: x}", "VV_FLEET_CONFIG_KEY: is for the device to say"),
        ("settings: {VV_STATE_DIR: /}", "VV_STATE_DIR: is for the device to say"),
        ("settings: {DVR_DOWN: 1h, DVR_DOWN: 2h}", "duplicate key DVR_DOWN"),
        ("a: &a [x]\nb: [*a, *a]", "has aliases"),
        ("settings: {DVR_DOWN: never}", "DVR_DOWN"),
    ],
)
def test_what_the_settings_do_not_take_is_refused_with_its_key(
    device: Device, centre: Centre, key: FleetKey, config: str, said: str
) -> None:
    centre.file = key.signed(Release(8, ONE_HOUR))
    device.pull()
    centre.file = key.signed(Release(9, config))

    refused(device, "config")
    assert said in device.puller.state.details
    assert "hunter2" not in device.puller.state.details


def test_a_refusal_that_is_mended_is_over(device: Device, centre: Centre, key: FleetKey) -> None:
    centre.file = key.signed(Release(8, "settings: {DVR_DOWN: never}"))
    refused(device, "config")

    centre.file = key.signed(Release(9, ONE_HOUR))

    assert (device.pull(), device.version) == ("", 9)


def test_a_link_that_goes_down_ends_no_refusal_and_has_none_told_again(
    device: Device, centre: Centre, key: FleetKey
) -> None:
    centre.file = key.signed(Release(8, "settings: {DVR_DOWN: never}"))
    refused(device, "config")
    for centre.status in (500, 200, 404, 200):
        assert device.pull() == "config"

    assert len(device.told()) == 1


def test_a_file_that_is_too_large_is_not_taken_in(device: Device, centre: Centre, key: FleetKey) -> None:
    sent: list[int] = []

    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(160):
                sent.append(handler.wfile.write(b" " * (1 << 16)))
        except OSError:
            pass

    centre.answer = answer
    refused(device, "answer")
    assert sum(sent) < 2 * 10 * MAX_BYTES

    centre.answer, centre.file = None, key.signed(Release(8, "#" * MAX_BYTES))
    assert device.pull() == "answer"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirections_are_not_followed(device: Device, centre: Centre, key: FleetKey, status: int) -> None:
    with serving(None) as elsewhere:
        elsewhere.file = key.signed(Release(8, ONE_HOUR))
        centre.status, centre.headers = status, {"Location": elsewhere.url}

        refused(device, "answer")
        assert elsewhere.asked == []


def unreached(device: Device) -> None:
    """A link that is down refuses nothing."""
    before = (device.kept, device.version, device.begins, device.told())
    assert device.pull() == "unreachable"
    assert (device.kept, device.version, device.begins, device.told()) == before


@pytest.mark.parametrize("status", [304, 401, 404, 500, 503])
def test_a_server_without_an_answer_changes_nothing(device: Device, centre: Centre, key: FleetKey, status: int) -> None:
    centre.file = key.signed(Release(8, ONE_HOUR))
    device.pull()
    centre.status = status

    unreached(device)
    assert (device.version, device.settings.dvr_down) == (8, 3600)


def test_an_answer_that_breaks_off_is_no_bad_signature(device: Device, centre: Centre, key: FleetKey) -> None:
    def answer(handler: Any) -> None:
        file = key.signed(Release(8, ONE_HOUR))
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(file)))
        handler.end_headers()
        handler.wfile.write(file[:-10])
        handler.close_connection = True

    centre.answer = answer

    unreached(device)


def test_a_server_that_is_gone_or_that_nobody_vouches_for(
    device: Device, centre: Centre, key: FleetKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    centre.file = key.signed(Release(8, ONE_HOUR))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    unreached(device)

    device.environ["VV_FLEET_CONFIG_URL"] = "https://127.0.0.1:1/vv.signed"
    device.start()
    unreached(device)


def test_a_server_that_hangs_is_not_waited_for(device: Device, centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_fetch, "TIMEOUT", (0.3, 0.3))
    centre.answer = lambda _: centre.released.wait(20)
    began = time.monotonic()

    unreached(device)
    assert time.monotonic() - began < 10


def test_a_server_that_never_ends_is_not_listened_to(
    device: Device, centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not centre.released.wait(0.02):
            handler.wfile.write(b" ")

    monkeypatch.setattr(config_fetch, "MAX_SECONDS", 0.5)
    centre.answer = answer

    unreached(device)


def test_a_compressed_answer_stays_as_small_as_it_is(device: Device, centre: Centre, key: FleetKey) -> None:
    centre.headers, centre.file = {"Content-Encoding": "gzip"}, key.signed(Release(8, ONE_HOUR))

    assert device.pull() == ""
    assert centre.asked[0]["Accept-Encoding"] == "identity"


def test_without_openssl_nothing_is_taken(
    device: Device, centre: Centre, key: FleetKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    centre.file = key.signed(Release(8, ONE_HOUR))
    monkeypatch.setenv("PATH", str(tmp_path))

    refused(device, "unverified")
    assert "install it" in device.puller.state.details


def test_what_does_not_go_together_with_the_device_any_more_is_told(
    device: Device, centre: Centre, key: FleetKey
) -> None:
    centre.file = key.signed(Release(8, "settings: {DISK_CRITICAL_FREE: 15%, DISK_WARNING_FREE: 20%}"))
    device.pull()
    device.environ["DISK_WARNING_FREE"] = "12%"
    device.start()

    assert device.version == 0
    refused(device, "config")
    assert device.kept is not None

    del device.environ["DISK_WARNING_FREE"]
    device.start()
    assert (device.pull(), device.version) == ("", 8)


def test_another_key_is_trusted_from_its_first_file_on_and_versions_go_on(
    device: Device, centre: Centre, key: FleetKey, tmp_path: Path
) -> None:
    centre.file = key.signed(Release(8, ONE_HOUR))
    device.pull()
    new = FleetKey(tmp_path / "new")
    device.environ["VV_FLEET_CONFIG_KEY"] = new.public
    device.start()
    assert device.version == 0

    centre.file = new.signed(Release(7, TWO_HOURS))
    assert device.pull() == "version"
    centre.file = new.signed(Release(8, ONE_HOUR))
    assert (device.pull(), device.version) == ("", 8)


def test_a_full_disk_leaves_what_was_there(
    device: Device, centre: Centre, key: FleetKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    centre.file = key.signed(Release(8, ONE_HOUR))
    device.pull()
    centre.file = key.signed(Release(9, TWO_HOURS))
    with monkeypatch.context() as patched:
        patched.setattr("vv_exporter.fleet.config_pull.write_small", full)
        refused(device, "disk")
        assert device.version == 8

    assert (device.pull(), device.version) == ("", 9)


def keep(device: Device, new: KeptConfig) -> None:
    device.puller._keep(new)


def test_at_every_write_that_fails_the_old_one_or_the_new_one_is_there(device: Device) -> None:
    old, new = KeptConfig(8, "k", ONE_HOUR), KeptConfig(9, "k", TWO_HOURS)

    def prepare() -> Any:
        keep(device, old)

        def work(end_outage: Any) -> None:
            try:
                keep(device, new)
            except Exception:
                assert device.kept in (old, new)
                end_outage()
                keep(device, new)
            end_outage()
            assert device.kept == new

        return work

    assert fail_each_write(prepare, errno.ENOSPC) >= 3  # open, write, fsync


def test_at_every_kill_the_old_one_or_the_new_one_is_there(device: Device) -> None:
    old, new = KeptConfig(8, "k", ONE_HOUR), KeptConfig(9, "k", TWO_HOURS)
    keep(device, old)
    seen = set()
    for _ in killed_at_each_call(lambda: keep(device, new)):
        assert device.kept in (old, new)
        seen.add(device.kept)
        keep(device, old)

    assert seen == {old, new}


def test_killed_before_it_began_anew_it_begins_with_what_is_kept(device: Device, centre: Centre, key: FleetKey) -> None:
    centre.file = key.signed(Release(8, ONE_HOUR))
    device.puller.when_taken(lambda: None)
    device.pull()

    device.start()

    assert (device.version, device.pull(), device.begins) == (8, "", 0)


def test_it_is_shown(device: Device, centre: Centre, key: FleetKey) -> None:
    def shown() -> fleet.FleetConfig | None:
        return fleet.read(Series([*FleetCollector(device.settings, device.puller).collect()]))

    before = shown()
    assert before is not None
    assert (before.version, before.reason, before.pulled) == (0, "", None)

    centre.file = key.signed(Release(8, ONE_HOUR))
    device.pull()
    device.pull()
    taken = shown()
    assert taken is not None
    assert (taken.version, taken.reason, taken.pulled) == (8, "", device.clock.now)
    assert not list(fleet.troubles(taken))

    centre.file = key.signed(Release(7, ONE_HOUR))
    device.pull()
    refusal = shown()
    assert refusal is not None
    assert (refusal.version, refusal.reason, refusal.is_refused) == (8, "version", True)
    assert any("refused (version)" in line for line in fleet.troubles(refusal))
    assert any("refused (version)" in cell.text for row in fleet.table(refusal, device.clock.now).rows for cell in row)


def test_a_device_that_pulls_nothing_shows_nothing() -> None:
    assert list(FleetCollector(load({"VV_CONFIG": ""}), None).collect()) == []
    assert fleet.read(Series([])) is None
