"""Whether a recording can be played: containers as recorders leave them, cut off at each byte, and what is none."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vv_exporter.probes.footage_containers import EMPTY, NO_CONTAINER, NO_INDEX, REASONS, TRUNCATED, container_problem


def box(kind: bytes, content: bytes = b"", *, wide: bool = False) -> bytes:
    if wide:
        return (1).to_bytes(4, "big") + kind + (16 + len(content)).to_bytes(8, "big") + content
    return (8 + len(content)).to_bytes(4, "big") + kind + content


FTYP, MOOV, MDAT = box(b"ftyp", b"isom0000"), box(b"moov", b"m" * 40), box(b"mdat", b"p" * 60)
FRAGMENT = box(b"moof", b"f" * 20) + MDAT
PACKET = b"\x47" + b"\x00" * 187


def problem(tmp_path: Path, name: str, content: bytes) -> str:
    path = tmp_path / name
    path.write_bytes(content)
    return container_problem(str(path))


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("index last.mp4", FTYP + MDAT + MOOV, ""),
        ("index first.mov", FTYP + MOOV + MDAT, ""),
        ("of 64 bits.mp4", FTYP + box(b"mdat", b"p" * 60, wide=True) + MOOV, ""),
        ("to the end.mp4", FTYP + MOOV + b"\x00\x00\x00\x00mdat" + b"p" * 9, ""),
        ("fragmented.mp4", FTYP + MOOV + FRAGMENT + FRAGMENT, ""),
        ("fragmented, cut off.mp4", (FTYP + MOOV + FRAGMENT + FRAGMENT)[:-10], ""),
        ("killed.mp4", FTYP + MDAT, NO_INDEX),
        ("killed while it wrote.mp4", FTYP + b"\x00\x00\x00\x00mdat" + b"p" * 9, NO_INDEX),
        ("cut off.mp4", (FTYP + MDAT + MOOV)[:-5], NO_INDEX),
        ("cut off behind its index.mp4", (FTYP + MOOV + MDAT)[:-5], TRUNCATED),
        ("zeros.mp4", b"\x00" * 100, NO_CONTAINER),
        ("zeros behind it.mp4", FTYP + b"\x00\x00\x00\x02" * 20, NO_INDEX),
        ("text.MP4", b"<html>404 not found</html>", NO_CONTAINER),
        ("of one byte.mp4", b"\x00", NO_CONTAINER),
        ("nothing.mkv", b"", EMPTY),
        ("it is.mkv", b"\x1a\x45\xdf\xa3\x01", ""),
        ("it is none.webm", b"RIFF", NO_CONTAINER),
        ("packets.ts", PACKET * 5, ""),
        ("packets with time codes.m2ts", (b"\x00" * 4 + PACKET) * 5, ""),
        ("one packet.ts", PACKET, ""),
        ("out of step.ts", b"\x00" + PACKET * 5, NO_CONTAINER),
        ("of another kind.avi", b"anything", ""),
        ("of no ending", b"anything", ""),
    ],
)
def test_what_a_recorder_left_is_known_for_what_it_is(tmp_path: Path, name: str, content: bytes, found: str) -> None:
    assert problem(tmp_path, name, content) == found


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_was_cut_off_anywhere_is_not_taken_for_whole(tmp_path: Path, data: st.DataObject) -> None:
    whole = FTYP + MDAT + MOOV
    length = data.draw(st.integers(0, len(whole) - 1))

    assert problem(tmp_path, "gate.mp4", whole[:length]) in REASONS


@given(st.binary(max_size=300), st.sampled_from([".mp4", ".mkv", ".ts", ""]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_in_a_file_something_is_said_of_it(tmp_path: Path, content: bytes, ending: str) -> None:
    assert problem(tmp_path, f"gate{ending}", content) in ("", *REASONS)


def test_only_regular_files_are_read_and_links_are_not_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "link.mp4").symlink_to("/dev/zero")

    assert container_problem(str(tmp_path / "pipe.mp4")) == ""
    with pytest.raises(OSError, match="symbolic"):
        container_problem(str(tmp_path / "link.mp4"))
