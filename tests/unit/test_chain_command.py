"""`vv chain verify`: files as logrotate leaves them, in their order; what is wrong, and the exit code."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support import chains
from vv_core import _chains
from vv_core.signing import sign_payload
from vv_exporter.cli import vv
from vv_exporter.probes.chain_files import log_files


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, value in chains.environment_of(tmp_path / "state", chains.key_file(tmp_path / "keys")).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("VV_CONFIG", raising=False)
    folder = tmp_path / "logs"
    folder.mkdir()
    _chains.reset()
    yield folder
    _chains.reset()


def sign(count: int) -> list[chains.Line]:
    lines = [sign_payload({"line": number}, chain="loglines") for number in range(count)]
    for head in _chains._heads.values():
        head.finish()
    return lines


def write(path: Path, lines: list[chains.Line]) -> None:
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def verify(*arguments: object) -> Result:
    return CliRunner().invoke(vv, ["chain", "verify", *map(str, arguments)])


@pytest.mark.parametrize(
    "names",
    [
        ["a.jsonl.10.gz", "a.jsonl.9.gz", "a.jsonl.2", "a.jsonl.1", "a.jsonl"],
        ["a.jsonl-20260930.gz", "a.jsonl-20261031", "a.jsonl-20261129", "a.jsonl.1", "a.jsonl"],
        ["z", "y", "x", "b", "a"],
        ["3.logline.json", "2.logline.json", "1.logline.json", "0.logline.json", "00.logline.json"],
    ],
)
def test_files_are_taken_in_the_order_in_which_they_were_written(logs: Path, names: list[str]) -> None:
    lines = sign(5)
    for name, line in zip(names, lines, strict=True):
        write(logs / name, [line])
    if names[0].endswith(".json"):
        (logs / names[0]).write_text(json.dumps(lines[0], indent=2))

    result = verify(logs)

    assert [path.name for path in log_files([str(logs / "*")])] == names
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "whole")


def test_without_a_path_the_logs_that_the_exporter_verifies_are_read(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VV_CHAIN_LOGS", str(logs / "*.jsonl"))
    lines = sign(5)
    write(logs / "a.jsonl", [*lines[:2], *lines[3:]])

    result = verify()

    assert (result.exit_code, "number 3 is missing" in result.stdout) == (1, True)


def test_without_any_path_it_says_what_to_name(logs: Path) -> None:
    result = verify()

    assert (result.exit_code, result.stderr) == (1, "")
    assert "say PATH, or set VV_CHAIN_LOGS" in result.stdout


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda lines: lines.pop(5), "missing: loglines: number 6 is missing"),
        (lambda lines: lines.insert(2, lines.pop(5)), "reordered: loglines: number 6"),
        (lambda lines: lines.append(lines[3]), "doubled: loglines: number 4"),
        (lambda lines: lines.pop(), "missing: loglines: number 10 is missing: the chain's head"),
        (lambda lines: lines[4].update(line="x"), "log:5, which says that it is number 5, does not fit its signature"),
        (lambda lines: lines.insert(2, {}), "log:3 has no signature"),
    ],
)
def test_it_says_which_line_and_fails(logs: Path, change: Any, text: str) -> None:
    lines = sign(10)
    change(lines)
    write(logs / "log", lines)

    result = verify(logs / "log")

    assert result.exit_code == 1
    assert text in result.stdout
    assert result.stdout.splitlines()[-1] == "NOT WHOLE"
    document = json.loads(verify("--json", logs / "log").stdout)
    assert (document["verdict"], document["broken"]) == ("NOT WHOLE", True)
    assert any(finding["breaks"] for finding in document["findings"])


def test_a_head_known_elsewhere_proves_a_truncation_without_the_state(logs: Path) -> None:
    lines = sign(10)
    head = f"loglines:10:{lines[-1]['signature']['mac']}"
    write(logs / "log", lines[:-3])

    assert verify("--no-state", logs).exit_code == 0
    result = verify("--no-state", "--head", head, logs)

    assert result.exit_code == 1
    assert "numbers 8 to 10 missing: the chain was known to come to number 10" in result.stdout
    assert verify("--head", "loglines:x:y", logs).exit_code == 2


@pytest.mark.parametrize("content", [b"", b"no json\n", b"\x1f\x8b broken"])
def test_nothing_to_verify_is_not_fine(logs: Path, content: bytes) -> None:
    (logs / "log.gz").write_bytes(content)

    result = verify(logs)

    assert (result.exit_code, "UNKNOWN" in result.stdout) == (1, True)


def test_what_is_no_file_or_not_there_is_not_fine_and_blocks_nobody(logs: Path) -> None:
    write(logs / "log", sign(3))
    os.mkfifo(logs / "pipe")

    result = verify(logs)

    assert (result.exit_code, "pipe: not a regular file" in result.stderr) == (1, True)
    assert verify(logs / "nowhere").exit_code == 1


def test_a_key_that_is_not_here_is_a_wrong_configuration(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(logs / "log", sign(3))
    other = chains.key_file(tmp_path / "other", "2025-01")
    monkeypatch.setenv("VV_HMAC_KEY_FILE", str(other))
    monkeypatch.setenv("VV_HMAC_KEYS_DIR", str(other.parent))

    result = verify(logs)

    assert (result.exit_code, result.stdout.splitlines()[-1]) == (
        2,
        "UNKNOWN: the keys of some lines are not here (VV_HMAC_KEYS_DIR)",
    )


def test_control_characters_of_a_log_are_not_printed(logs: Path) -> None:
    write(logs / "log", [*sign(1), {"chain": {"name": "\x1b[2J"}, "signature": {"v": "\x1b[2J"}}])

    assert "\x1b" not in verify(logs).stdout
