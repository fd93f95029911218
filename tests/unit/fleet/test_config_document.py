"""A fleet's signed configuration as it is written, and which release in it a device takes."""

import json

import pytest

from vv_exporter.fleet.config_document import (
    MAX_BYTES,
    Document,
    DocumentError,
    Release,
    Signed,
    choose_release,
    join_signed,
    parse_document,
    parse_selector,
    split_signed,
    with_release,
    write_document,
)

NORTH = {"device": "north-1", "site": "porto"}
SOUTH = {"device": "south-7", "site": "faro"}
NOW = 1_700_000_000.0


def document(*releases: Release) -> Document:
    return parse_document(write_document(Document(1, releases)))


def test_what_was_written_is_read_byte_for_byte() -> None:
    signed = Signed(bytes(range(64)), b'{"format": 1}\n\r\n\xff')

    assert split_signed(join_signed(signed)) == signed


@pytest.mark.parametrize(
    "file",
    [b"", b"{}", b"vv-fleet-config ed25519 AAAA", b"vv-fleet-config rsa AAAA\n{}", b"vv-fleet-config ed25519 ?\n{}"],
)
def test_a_file_without_a_signature_is_none(file: bytes) -> None:
    with pytest.raises(DocumentError, match="its first line"):
        split_signed(file)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"\xff\xfe{}", "cannot be read"),
        (b"{", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"format": 2, "releases": []}', "Invalid enum value 2"),
        (b'{"format": 1}', "missing required field `releases`"),
        (b'{"format": 1, "releases": [], "run": "reboot"}', "unknown field `run`"),
        (b'{"format": 1, "format": 1, "releases": []}', "duplicate key"),
        (b'{"format": 1, "releases": [{"version": 0, "config": ""}]}', ">= 1"),
        (b'{"format": 1, "releases": [{"version": true, "config": ""}]}', "Expected `int`"),
        (b'{"format": 1, "releases": [{"version": 1e99, "config": ""}]}', "Expected `int`"),
        (b'{"format": 1, "releases": [{"version": 9007199254740993, "config": ""}]}', "<="),
        (b'{"format": 1, "releases": [{"version": 1, "config": {}}]}', "Expected `str`"),
        (
            b'{"format": 1, "releases": [{"version": 1, "config": "", "devices": ["rack=4"]}]}',
            "no devices are selected by",
        ),
    ],
)
def test_a_document_that_says_anything_else_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(DocumentError, match=problem):
        parse_document(text)


def test_two_releases_of_one_version_are_refused() -> None:
    with pytest.raises(DocumentError, match="one version"):
        document(Release(3, "a"), Release(3, "b"))


def test_a_device_takes_the_first_release_that_is_for_it() -> None:
    canary, rest = Release(8, "new", devices=("site=porto", "west-2")), Release(7, "old")
    found = document(canary, rest)

    assert choose_release(found, NORTH, NOW) == canary
    assert choose_release(found, {"device": "west-2", "site": ""}, NOW) == canary
    assert choose_release(found, SOUTH, NOW) == rest
    assert choose_release(document(canary), SOUTH, NOW) is None
    assert choose_release(document(), SOUTH, NOW) is None


@pytest.mark.parametrize(
    ("selector", "is_meant"),
    [("site=porto", True), ("site=Porto", False), ("site=port", False), ("porto", False), ("north-1", True)],
)
def test_a_selector_is_compared_whole(selector: str, is_meant: bool) -> None:
    assert (choose_release(document(Release(1, "", devices=(selector,))), NORTH, NOW) is not None) == is_meant


@pytest.mark.parametrize("selector", ["", "=", "site=", "rack=4", "=porto", "SITE=porto"])
def test_a_selector_that_selects_nothing_is_refused(selector: str) -> None:
    with pytest.raises(DocumentError, match="no devices are selected by"):
        parse_selector(selector)


def test_a_site_that_is_not_set_is_selected_by_nobody() -> None:
    assert choose_release(document(Release(1, "", devices=("site=porto",))), {"device": "a"}, NOW) is None


def test_a_release_is_passed_over_until_its_time_has_come() -> None:
    later, now = Release(8, "new", valid_from=NOW), Release(7, "old")
    found = document(later, now)

    assert choose_release(found, NORTH, NOW - 1) == now
    assert choose_release(found, NORTH, NOW) == later


def test_a_clock_that_is_behind_takes_nothing_back() -> None:
    later, now = Release(8, "new", valid_from=NOW), Release(7, "old")

    assert choose_release(document(later, now), NORTH, 0.0, taken=8) == later
    assert choose_release(document(later, now), NORTH, 0.0, taken=7) == now


def test_canaries_stand_above_what_the_others_keep_and_a_release_for_all_above_nothing() -> None:
    first = with_release(None, Release(1, "a"))
    canary = with_release(first, Release(2, "b", devices=("site=porto",)))
    all_of_them = with_release(canary, Release(3, "c"))

    assert [one.version for one in canary.releases] == [2, 1]
    assert [one.version for one in all_of_them.releases] == [3]
    assert [one.version for one in with_release(canary, Release(3, "c", valid_from=NOW)).releases] == [3, 2, 1]


@pytest.mark.parametrize("version", [1, 2])
def test_a_version_that_was_there_is_no_new_one(version: int) -> None:
    with pytest.raises(DocumentError, match="not newer than 2"):
        with_release(Document(1, (Release(2, "a"),)), Release(version, "b"))


def test_the_signed_bytes_are_json_that_people_can_read() -> None:
    text = write_document(Document(1, (Release(8, "stages: {}\n", devices=("site=porto",)),)))

    assert json.loads(text) == {
        "format": 1,
        "releases": [{"version": 8, "config": "stages: {}\n", "valid_from": 0.0, "devices": ["site=porto"]}],
    }
    assert text.startswith(b'{\n "format": 1,\n "releases": [\n')
    assert text.endswith(b"}\n")


def test_versions_are_as_large_as_every_reader_of_json_takes_them() -> None:
    assert document(Release(2**53, "")).releases[0].version == 2**53
    assert MAX_BYTES == 1_048_576


def test_a_first_release_has_its_time_too() -> None:
    assert choose_release(document(Release(1, "", valid_from=NOW + 1)), NORTH, NOW) is None


def test_what_is_put_above_is_looked_at_as_well() -> None:
    with pytest.raises(DocumentError, match="no devices are selected by"):
        with_release(None, Release(1, "", devices=("rack=4",)))
    with pytest.raises(DocumentError, match="not newer than 5"):
        with_release(Document(1, (Release(2, ""), Release(5, ""))), Release(3, ""))
    assert with_release(None, Release(1, "")).format == 1
