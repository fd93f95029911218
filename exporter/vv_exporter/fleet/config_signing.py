"""The centre's side of a fleet's configuration: a release is checked as devices do, and signed with what is served."""

from __future__ import annotations

from pathlib import Path

from vv_exporter.common.smallfiles import read_small, write_small
from vv_exporter.fleet import ed25519
from vv_exporter.fleet.config_document import (
    MAX_BYTES,
    Document,
    DocumentError,
    Release,
    Signed,
    join_signed,
    parse_document,
    split_signed,
    with_release,
    write_document,
)
from vv_exporter.settings import load_with_fleet_config
from vv_exporter.settings.fleet_config import KeptConfig

_ANY_DEVICE = {"VV_DEVICE_ID": "any", "VV_CONFIG": "", "VIDEO_STORAGE_ROOT": "/srv"}
"""What each device says of itself: footage of cameras needs a video storage."""
_FOR_THE_SERVER = 0o644
"""There is nothing secret in it."""


def read_config(file: Path) -> str:
    """The text of a vv.yml. Raises `OSError`, `DocumentError`."""
    try:
        return read_small(file, MAX_BYTES, follow=True).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DocumentError(f"{file} is not UTF-8") from None


def sign_release(release: Release, private_key: Path, above: Path | None, out: Path) -> None:
    """Write the signed file with this release above those of the file `above`.

    Raises `SettingsError` for what devices would refuse, `DocumentError`, `OpensslError`, `OSError`.
    """
    load_with_fleet_config(_ANY_DEVICE, KeptConfig(release.version, "", release.config))
    served = _read_own(above, private_key) if above is not None else None
    document = write_document(with_release(served, release))
    signed = join_signed(Signed(ed25519.sign(private_key, document), document))
    if len(signed) > MAX_BYTES:
        raise DocumentError(f"it would have {len(signed)} bytes, and devices take {MAX_BYTES}")
    write_small(out, signed, _FOR_THE_SERVER, lasting=True)


def _read_own(file: Path, private_key: Path) -> Document:
    """What a file says that this key has signed."""
    signed = split_signed(read_small(file, MAX_BYTES, follow=True))
    if not ed25519.verify(ed25519.public_key(private_key), *signed):
        raise DocumentError(f"{file} is not signed with {private_key}, or was changed")
    return parse_document(signed.document)
