"""A file of settings is read as systemd reads it; the cases are those of systemd.exec(5) and of its own tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from vv_exporter.cli import vv
from vv_exporter.settings.environmentfile import parse_environment_file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("DVR_URL=rtsp://10.0.0.5/cam?channel=1&subtype=0\n", {"DVR_URL": "rtsp://10.0.0.5/cam?channel=1&subtype=0"}),
        ("A=$(touch /tmp/x) `id` $HOME;b\n", {"A": "$(touch /tmp/x) `id` $HOME;b"}),
        ("A='a b'\"c d\"\n", {"A": "a bc d"}),
        ("A='two\nlines'\nB=1\n", {"A": "two\nlines", "B": "1"}),
        ("A=one\\\ntwo\n", {"A": "onetwo"}),
        ('A="a\\"b\\$c\\d\\\ne"\n', {"A": 'a"b$c\\de'}),
        ("A='a\\b'\n", {"A": "a\\b"}),
        ("A=a\\ \nB=a\\\\b\n", {"A": "a ", "B": "a\\b"}),
        ("  A =  a b  \n", {"A": "a b"}),
        ("A=a 'b' \"c\"\n", {"A": "a 'b' \"c\""}),
        ("A='a'b\n", {"A": "ab"}),
        ("A=\nB=1\n", {"A": "", "B": "1"}),
        ("# A=1\n;B=2\nC=3 # no comment\n", {"C": "3 # no comment"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("no line of any use\nA=1\n", {"A": "1"}),
        ("export A=1\n1A=1\nA-B=1\nB=1\n", {"B": "1"}),
        ("A='open", {"A": "open"}),
        ("", {}),
        ("\\", {}),
        ("A=\\", {"A": ""}),
    ],
)
def test_values_are_those_that_the_service_gets(text: str, expected: dict[str, str]) -> None:
    assert parse_environment_file(text) == expected


def check(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(vv, ["config", "check", *arguments])
    return done.exit_code, done.output


def test_a_file_is_checked_as_the_service_will_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, trap = tmp_path / "vv.env", tmp_path / "executed"
    monkeypatch.setenv("VV_DEVICE_ID", "of the caller, and wrong")
    file.write_text(
        f"VV_DEVICE_ID=edge-7\nVV_CONFIG=\nVV_STATE_DIR={tmp_path}\n"
        f"DVR_URL=rtsp://10.0.0.5/cam?channel=1&subtype=0\nVV_QUIET_HOURS_TIMEZONE=$(touch {trap})\n"
    )

    code, said = check("--env-file", str(file))

    assert code == 2
    assert "VV_QUIET_HOURS_TIMEZONE" in said
    assert "DVR_URL" not in said
    assert not trap.exists()


def test_the_environment_of_the_caller_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VV_DEVICE_ID", "not of the file")
    (tmp_path / "vv.env").write_text(f"VV_DEVICE_ID=edge-7\nVV_CONFIG=\nVV_STATE_DIR={tmp_path}\n")

    code, said = check("--env-file", str(tmp_path / "vv.env"))

    assert code == 0
    assert "ok: device edge-7" in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, said = check("--env-file", str(tmp_path / "none.env"))

    assert code == 2
    assert "none.env" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("\ufeffVV_DEVICE_ID=edge-7", "VV_DEVICE_ID: a byte order mark stands before it"),
        ("export VV_DEVICE_ID=edge-7", "VV_DEVICE_ID: `export` stands before it"),
        ("\ufeffexport VV_DEVICE_ID=edge-7", "VV_DEVICE_ID: a byte order mark stands before it"),
        ('"VV_DEVICE_ID=edge-7"', "VV_DEVICE_ID: a quote stands beside its name"),
        ("\tVV_DEVICE_ID=edge-7", ""),
        ("# export VV_DEVICE_ID=edge-7", ""),
        ("; VV_DEVICE_ID=edge-7", ""),
        ("two words=edge-7", ""),
    ],
)
def test_a_line_that_the_service_passes_over_is_told(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "vv.env").write_text(f"{line}\nDVR_IP=192.0.2.1\n", encoding="utf-8")
    code, told = check("--env-file", str(tmp_path / "vv.env"))

    assert said in told
    assert code == (2 if said else 0)
    assert "edge-7" not in told or not said
