"""Signatures by OpenSSL's command: good ones, bad ones, and what must not be taken for either."""

import base64
from pathlib import Path

import pytest

from tests.support.signed import FleetKey
from vv_exporter.fleet import ed25519
from vv_exporter.fleet.ed25519 import OpensslError, make_private_key, public_key, sign, verify

# RFC 8032, 7.1, test 3: a public key, a message and its signature.
KNOWN_KEY = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
KNOWN_SIGNATURE = (
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
DER = bytes.fromhex("302a300506032b6570032100")


def der(key: str) -> str:
    return base64.b64encode(DER + bytes.fromhex(key)).decode()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> FleetKey:
    return FleetKey(tmp_path_factory.mktemp("key") / "fleet.key")


def test_a_signature_of_the_standard_is_good() -> None:
    assert verify(der(KNOWN_KEY), bytes.fromhex(KNOWN_SIGNATURE), bytes.fromhex("af82"))
    assert not verify(der(KNOWN_KEY), bytes.fromhex(KNOWN_SIGNATURE), bytes.fromhex("af83"))


def test_every_changed_byte_is_noticed(key: FleetKey) -> None:
    document = b"stages: {}"
    signature = sign(key.file, document)
    assert verify(key.public, signature, document)

    for place in (0, len(document) // 2, len(document) - 1):
        changed = bytearray(document)
        changed[place] ^= 1
        assert not verify(key.public, signature, bytes(changed))
    for place in (0, 31, 32, 63):
        bad = bytearray(signature)
        bad[place] ^= 1
        assert not verify(key.public, bytes(bad), document)


@pytest.mark.parametrize("signature", [b"", b"\0" * 63, b"\0" * 64, b"\0" * 65, b"\xff" * 64])
def test_what_is_no_signature_is_not_good(key: FleetKey, signature: bytes) -> None:
    assert not verify(key.public, signature, b"x")
    assert not verify(key.public, signature, b"")


def test_another_key_has_not_signed_it(key: FleetKey, tmp_path: Path) -> None:
    assert not verify(FleetKey(tmp_path / "other").public, sign(key.file, b"x"), b"x")


def test_a_large_document_is_signed_as_a_whole(key: FleetKey) -> None:
    document = b"a" * (1 << 20)
    signature = sign(key.file, document)

    assert verify(key.public, signature, document)
    assert not verify(key.public, signature, document[:-1])


def test_without_the_command_nothing_is_good_and_it_is_said(
    key: FleetKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    signature = sign(key.file, b"x")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(OpensslError, match="openssl, which makes and checks signatures, is missing"):
        verify(key.public, signature, b"x")


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("exit 0", OpensslError),
        ("echo Signature Verified Successfully; exit 1", OpensslError),
        ("echo unknown option -rawin >&2; exit 1", OpensslError),
        ("echo Signature Verification Failure; exit 1", False),
    ],
)
def test_a_command_that_does_something_else_has_not_said_that_it_is_good(
    key: FleetKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, outcome: object
) -> None:
    program = tmp_path / "openssl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    if outcome is False:
        assert not verify(key.public, b"\0" * 64, b"x")
    else:
        with pytest.raises(OpensslError):
            verify(key.public, b"\0" * 64, b"x")


def test_a_command_that_hangs_is_ended(key: FleetKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "openssl"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(ed25519, "_SECONDS", 0.2)

    with pytest.raises(OpensslError, match="has not answered"):
        verify(key.public, b"\0" * 64, b"x")


def test_a_key_is_for_its_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "fleet.key"
    make_private_key(file)

    assert file.stat().st_mode & 0o777 == 0o600
    assert base64.b64decode(public_key(file)).startswith(DER)
    with pytest.raises(FileExistsError):
        make_private_key(file)


def test_what_is_no_key_signs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "fleet.key"
    file.write_text("nonsense")

    with pytest.raises(OpensslError, match="cannot sign"):
        sign(file, b"x")
    with pytest.raises(OpensslError, match="cannot be read"):
        public_key(file)
