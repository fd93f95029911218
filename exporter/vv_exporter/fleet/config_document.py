"""A fleet's signed configuration: how it is written, and which release in it is for a device. Pure.

::

    vv-fleet-config ed25519 SIGNATURE        base64, of exactly the bytes after this line
    {"format": 1, "releases": [
      {"version": 8, "valid_from": 0.0, "devices": ["site=porto"], "config": "stages: …"},
      {"version": 7, "valid_from": 0.0, "devices": [], "config": "…"}]}

Nothing of the document is read before its signature was found good. Of its releases a device takes the first that is
for it and whose time has come: so the canaries stand first, and what all others have below.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

MAX_BYTES = 1 << 20
"""Of the whole file: as many as vv.yml may have."""
MAX_VERSION = 2**53
_HEAD = b"vv-fleet-config ed25519 "
LABELS = ("device", "site")
"""What a selector may ask for: VV_DEVICE_ID and VV_SITE."""


class DocumentError(ValueError):
    """It is no signed configuration; the message says what is wrong with it."""


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A configuration (`config`, in the form of vv.yml) for the devices that one of `devices` selects; none: for all.

    It is taken from `valid_from` on (Unix seconds).
    """

    version: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]
    config: str
    valid_from: float = 0.0
    devices: tuple[str, ...] = ()


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed. `format` is that of the document."""

    format: Literal[1]
    releases: tuple[Release, ...]


class Signed(NamedTuple):
    """A file in its two parts."""

    signature: bytes
    document: bytes


def split_signed(file: bytes) -> Signed:
    """Raises `DocumentError`."""
    head, newline, document = file.partition(b"\n")
    if not head.startswith(_HEAD) or not newline:
        raise DocumentError(f"its first line does not begin with {_HEAD.decode().strip()!r}")
    try:
        return Signed(base64.b64decode(head[len(_HEAD) :].strip(), validate=True), document)
    except binascii.Error:
        raise DocumentError("the signature in its first line is no base64") from None


def join_signed(signed: Signed) -> bytes:
    """The file."""
    return _HEAD + base64.b64encode(signed.signature) + b"\n" + signed.document


def parse_document(document: bytes) -> Document:
    """What a document says whose signature is good. Raises `DocumentError`."""
    try:
        found = msgspec.convert(json.loads(document, object_pairs_hook=_unique_keys), Document)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"cannot be read: {error}") from None
    for release in found.releases:
        for selector in release.devices:
            parse_selector(selector)
    if len({release.version for release in found.releases}) != len(found.releases):
        raise DocumentError("two of its releases have one version")
    return found


def _unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise DocumentError("duplicate key")
    return dict(pairs)


def write_document(document: Document) -> bytes:
    """The bytes that are signed."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def parse_selector(selector: str) -> tuple[str, str]:
    """`site=porto` as label and value; a name alone is a device's. Raises `DocumentError`."""
    label, equals, value = selector.partition("=")
    if not equals:
        label, value = "device", selector
    if label not in LABELS or not value:
        raise DocumentError(
            f"no devices are selected by {selector!r}; write site=SITE, device=NAME, or a device's name"
        )
    return label, value


def choose_release(document: Document, labels: Mapping[str, str], now: float, taken: int = 0) -> Release | None:
    """The first that is for a device with these labels, and whose time has come; None: there is none.

    Of what was `taken`, or is older, the time had come once: a clock that is behind takes nothing back.
    """
    for release in document.releases:
        selectors = map(parse_selector, release.devices)
        is_meant = not release.devices or any(labels.get(label, "") == value for label, value in selectors)
        if is_meant and (release.valid_from <= now or release.version <= taken):
            return release
    return None


def with_release(document: Document | None, release: Release) -> Document:
    """The document with a new release before those that there are. Raises `DocumentError` if its version is not newer.

    A release for all devices that holds already leaves nobody for those below it.
    """
    older = document.releases if document is not None else ()
    newest = max((one.version for one in older), default=0)
    if release.version <= newest:
        raise DocumentError(f"version {release.version} is not newer than {newest}, which is there; also to go back")
    for selector in release.devices:
        parse_selector(selector)
    below = () if not release.devices and not release.valid_from else older
    return Document(1, (release, *below))
