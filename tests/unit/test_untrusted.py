"""JSON that others wrote: half a character costs itself, a broken element of a list costs that one."""

from __future__ import annotations

import json

import msgspec
import pytest

from vv_exporter.common.untrusted import decode_untrusted, elements
from vv_exporter.containers.observed import decode_list
from vv_exporter.docker_proxy import filters

TEXT: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)

HALVES = {
    b"caf\xe9": "caf\ufffd",
    b"\xc3": "\ufffd",
    b"\\ud800": "\ufffd",
    b"\\udc00 x": "\ufffd x",
    b"\\uDC00\\uD800": "\ufffd\ufffd",
    b"\\ud800\\u0041": "\ufffdA",
    b"\\u12": "\ufffd12",
    b"\\q": "\ufffdq",
    b"a\x01b\nc": "a b c",
}


@pytest.mark.parametrize(("written", "read"), HALVES.items())
def test_half_a_character_is_read_as_a_replacement(written: bytes, read: str) -> None:
    assert decode_untrusted(TEXT, b'"' + written + b'"') == read


def test_what_is_whole_beside_half_a_character_stays() -> None:
    whole = '\U0001f600 \\ud800 " \n \t \\ / é'

    assert decode_untrusted(TEXT, json.dumps(whole).encode()[:-1] + b'\\ud800"') == whole + "\ufffd"


@pytest.mark.parametrize("document", [b"", b'"', b"[1", b'"a', b"\\ud800", b"[" * 100_000, b'{"a":"\xff"', b"7"])
def test_what_is_broken_is_refused_in_one_way(document: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_untrusted(TEXT, document)


def entry(name: str, more: bytes = b"") -> bytes:
    return f'{{"Id":"{name}","Names":["/{name}"],"State":"running"'.encode() + more + b"}"


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("through", [bytes, filters.body(filters.LISTED)], ids=["directly", "through the proxy"])
def test_a_label_with_half_a_character_hides_no_container(half: bytes, through: filters.Filter) -> None:
    label = b',"Labels":{"com.docker.compose.project":"' + half + b'"}'
    listing = decode_list(through(b"[" + b",".join((entry("a"), entry("b", label), entry("c"))) + b"]"))

    assert [one.name for one in listing.containers] == ["a", "b", "c"]
    assert listing.complete
    assert listing.containers[1].project == HALVES[half]


@pytest.mark.parametrize("broken", [b'{"Id":"b" oops}', b"nul", b'{"Id":7}'])
@pytest.mark.parametrize("through", [bytes, filters.body(filters.LISTED)], ids=["directly", "through the proxy"])
def test_an_entry_that_cannot_be_read_hides_no_other_and_is_not_taken_for_absent(
    broken: bytes, through: filters.Filter
) -> None:
    listing = decode_list(through(b"[" + b" , ".join((entry("a"), broken, entry("c"))) + b"]"))

    assert [one.name for one in listing.containers] == ["a", "c"]
    assert not listing.complete


@pytest.mark.parametrize("depth", [5000, 100_000])
@pytest.mark.parametrize("through", [bytes, filters.body(filters.LISTED)], ids=["directly", "through the proxy"])
def test_an_entry_that_is_too_deep_hides_no_other(depth: int, through: filters.Filter) -> None:
    """Some Pythons read ten times as deep as others; what is not read is not taken for absent."""
    deep = entry("b", b',"X":' + b"[" * depth + b"]" * depth)
    listing = decode_list(through(b"[" + b" , ".join((entry("a"), deep, entry("c"))) + b"]"))

    names = [one.name for one in listing.containers]
    assert names == (["a", "b", "c"] if listing.complete else ["a", "c"])


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (b"[]", []),
        (b" [ 1 , {} ] ", [b"1", b"{}"]),
        (b'["a,]", [1,2], {"x": [3,4]}]', [b'"a,]"', b"[1,2]", b'{"x": [3,4]}']),
    ],
)
def test_elements_of_an_array(document: bytes, found: list[bytes]) -> None:
    assert elements(document) == found


@pytest.mark.parametrize("document", [b"", b"{}", b"[", b"[1", b"[]]", b"[] []", b"nul", b"]["])
def test_what_is_no_array_has_no_elements(document: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        elements(document)
