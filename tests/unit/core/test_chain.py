"""Chains of signed lines: what was done to a log is found and named; what happens to an honest one accuses nobody."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import random
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support import chains
from tests.support.killing import killed_at_each_call
from vv_core import _chains, chain, signing
from vv_core.chain import ChainCheck, Head, Report, kept_heads
from vv_core.common.ids import uuid7_hex
from vv_core.signing import SigningError, check_chain, not_written, sign_payload, verify_signature
from vv_core.testing import captured

Line = dict[str, Any]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state folder; keys are beside it."""
    folder = tmp_path / "state"
    key = chains.key_file(tmp_path / "keys")
    for name, value in chains.environment_of(folder, key).items():
        monkeypatch.setenv(name, value)
    _chains.reset()
    yield folder
    _chains.reset()


def sign(count: int = 1, **members: object) -> list[Line]:
    return [sign_payload({"line": number, **members}, chain="loglines") for number in range(count)]


def checked(lines: Any, **options: Any) -> Report:
    """With the heads of this device, from the start; what this process signed it has written."""
    for head in _chains._heads.values():
        head.finish()
    check = ChainCheck(heads=kept_heads(), from_start=True, **options)
    for number, line in enumerate(lines, 1):
        check.add(line, f"line {number}")
    return check.finish()


def kinds(report: Report) -> dict[str, int]:
    return dict(sorted(report.counts.items()))


def named(report: Report) -> set[int]:
    """All numbers that the findings name."""
    return {number for one in report.findings for number in range(one.number, one.last + 1)}


@pytest.fixture
def once() -> Iterator[None]:
    """Each line's signature is verified once: what is tampered with are their places."""
    verified: dict[str, str] = {}

    def verify(line: Line, *keys: object) -> str:
        mac = line["signature"]["mac"]
        return verified.get(mac) or verified.setdefault(mac, verify_quietly(line, *keys))

    verify_quietly = signing.verify_quietly
    with patch.object(signing, "verify_quietly", verify):
        yield


class TestLink:
    def test_lines_are_numbered_and_bound_to_the_one_before(self) -> None:
        one, two, three = sign(3)

        assert [line["chain"]["number"] for line in (one, two, three)] == [1, 2, 3]
        assert two["chain"]["previous"] == one["signature"]["mac"]
        assert three["chain"]["previous"] == two["signature"]["mac"]
        assert len({line["chain"]["id"] for line in (one, two, three)}) == 1

    @pytest.mark.parametrize("name", ["a", "chai", "chain ", "chains", "z", "\U0001f600", "\uffff", ""])
    def test_its_signature_is_one_of_canonical_json_whatever_the_names(self, name: str) -> None:
        line = sign_payload({name: 1, "b": [1, {"d": 2}], "x": "é"}, chain="loglines")

        assert verify_signature(line)
        assert not verify_signature(line | {"chain": line["chain"] | {"number": 2}})
        assert not verify_signature({name: value for name, value in line.items() if name != "chain"})

    def test_a_line_may_be_signed_anew(self) -> None:
        (line,) = sign()

        again = sign_payload(line, chain="loglines")

        assert again["chain"]["number"] == 2
        assert verify_signature(again)

    def test_chains_do_not_know_each_other(self) -> None:
        lines = [sign_payload({}, chain=name) for name in ("one", "other", "one", "other")]

        assert [line["chain"]["number"] for line in lines] == [1, 1, 2, 2]
        assert kinds(checked(lines)) == {}

    @pytest.mark.parametrize("name", ["", "..", "a/b", "x" * 65, "é", ".hidden"])
    def test_a_name_that_is_none_is_refused(self, name: str) -> None:
        with pytest.raises(SigningError) as caught:
            sign_payload({}, chain=name)
        assert caught.value.reason == "chain"

    @pytest.mark.parametrize(
        "payload", [b"bytes", {"chain": "retail"}, {"chain": None}, {"x": float("nan")}, {1: 2}, 7]
    )
    def test_what_has_no_place_for_a_link_or_no_canonical_form_is_refused_and_takes_no_number(
        self, payload: Any
    ) -> None:
        with pytest.raises(SigningError) as caught:
            sign_payload(payload, chain="loglines")
        assert caught.value.reason == "payload"
        assert sign()[0]["chain"]["number"] == 1


class TestTampering:
    def test_each_kind_is_named(self) -> None:
        lines = sign(10)
        a, b = lines[4], lines[6]

        assert str(check_chain([*lines[:4], *lines[5:]]).findings[0]) == (
            "loglines: number 5 is missing: line 5 was signed after that"
        )
        assert kinds(checked([*lines[:4], b, lines[5], a, *lines[7:]])) == {"reordered": 2}
        assert kinds(checked([*lines, a])) == {"doubled": 1}
        assert kinds(checked(lines[:8])) == {"missing": 1}
        assert kinds(checked([*lines[:4], a | {"line": 99}, *lines[5:]])) == {"changed": 1, "missing": 1}
        assert kinds(checked([*lines[:4], {"line": 4}, *lines[4:]])) == {"unsigned": 1}
        assert kinds(checked(lines)) == {}

    def test_the_head_shows_a_truncation_and_one_kept_elsewhere_does_so_even_without_the_state(
        self, state: Path
    ) -> None:
        lines = sign(10)
        known = Head("loglines", 10, lines[-1]["signature"]["mac"])
        shutil.rmtree(state)

        report = checked(lines[:7], known=[known])

        assert [(finding.kind, finding.number, finding.last) for finding in report.findings] == [("missing", 8, 10)]
        assert kinds(checked(lines, known=[known])) == {}
        assert kinds(checked(lines, known=[Head("loglines", 10, "0" * 64)])) == {"forked": 1}

    @pytest.mark.usefixtures("once")
    @pytest.mark.parametrize("tamper", chains.TAMPERINGS, ids=lambda tamper: tamper.__name__)
    def test_of_one_writer_each_is_found_and_named(self, tamper: Any) -> None:
        lines, chance = sign(60), random.Random(16)

        for _ in range(250):
            tampered, numbers = tamper(lines, chance)
            report = checked(tampered)
            if tampered != lines:  # a line doubled is never the same, nor is one swapped
                assert report.broken
                assert named(report) & numbers

    def test_lines_of_before_and_without_a_chain_stay_valid(self) -> None:
        before = [{"line": "of long ago"}, sign_payload({"line": "signed"})]
        lines = [*before, *sign(3), sign_payload({"line": "by another script"})]

        report = checked(lines)

        assert kinds(report) == {}
        assert (report.lines, report.chained) == (6, 3)

    def test_a_line_of_another_key_is_neither_fine_nor_broken(self, tmp_path: Path) -> None:
        lines = sign(2)
        other = chains.key_file(tmp_path / "elsewhere", "2025-01")
        lines.append(sign_payload({}, chain="loglines", key_file=other))

        report = checked(lines)

        assert (report.broken, report.unknown) == (False, True)

    @pytest.mark.parametrize(
        "line", [b"\xff", "no json", "[1]", "7", "[" * 100_000, '{"signature": 1}', '{"chain": 3, "signature": {}}']
    )
    def test_any_line_is_judged(self, line: Any) -> None:
        lines = sign(2)

        report = checked([lines[0], line, lines[1]])

        assert sum(report.counts.values()) == 1


@pytest.mark.usefixtures("once")
class TestManyProcesses:
    LINES, KILLS, TAMPERED = 10_000, 24, 1_000

    def test_of_eight_with_kills_nobody_is_accused_and_all_that_is_tampered_with_is_named(self, tmp_path: Path) -> None:
        log, chance = tmp_path / "loglines.jsonl", random.Random(8)
        killed = chains.sign_beside(log, self.LINES, 8, chance, self.KILLS)
        honest = checked(log.read_bytes().splitlines())

        assert not honest.broken, honest.findings
        assert honest.chained >= self.LINES
        assert honest.counts.get("unwritten", 0) <= killed
        lines = chains.read_lines(log)
        cuts = self.cuts([chains.number_of(line) for line in lines])
        for number in range(self.TAMPERED):
            tamper = chains.TAMPERINGS[number % len(chains.TAMPERINGS)]
            window = self.window(lines, cuts, chance)
            tampered, numbers = tamper(window, chance)
            report = self.checked(tampered, window[-1])
            if tamper is chains.swap and not report.broken:
                # Both were being written: an honest log may have them so.
                assert report.counts.get("raced")
                continue
            if not report.broken:  # its writer was killed; or it was the first here, and may have been rotated away
                assert {"unwritten", "earlier"} & {
                    one.kind for one in report.findings if one.number <= min(numbers) <= one.last
                }
            behind = {finding.by for finding in report.findings if finding.kind == "reordered"}
            assert (named(report) | behind) & numbers, (tamper.__name__, numbers, report.findings)

    @staticmethod
    def cuts(numbers: list[int]) -> list[int]:
        """Where no line with a lower number follows: a log may be cut there."""
        found, lowest = [], numbers[-1] + 1
        for at in range(len(numbers) - 1, 0, -1):
            lowest = min(lowest, numbers[at])
            found.append((at, lowest))
        highest, cuts = 0, []
        for number, (at, lowest) in zip(numbers, reversed(found), strict=False):
            highest = max(highest, number)
            if highest < lowest:
                cuts.append(at)
        return cuts

    @staticmethod
    def window(lines: list[Line], cuts: list[int], chance: random.Random) -> list[Line]:
        """Some hundred lines, from one cut to another; the last one has the highest number."""
        while True:
            at = chance.randrange(len(cuts) - 1)
            ends = [cut for cut in cuts[at + 1 : at + 200] if cut > cuts[at] + 50]
            if ends:
                window = lines[cuts[at] : ends[0]]
                if max(map(chains.number_of, window)) == chains.number_of(window[-1]):
                    return window

    @staticmethod
    def checked(lines: list[Line], last: Line) -> Report:
        head = Head("loglines", chains.number_of(last), last["signature"]["mac"], part=last["chain"]["id"])
        check = ChainCheck(heads=[head])
        for number, line in enumerate(lines, 1):
            check.add(line, f"line {number}")
        return check.finish()


@pytest.mark.real_kernel
class TestKills:
    def test_a_kill_at_any_system_call_forks_nothing_and_loses_no_number_silently(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        chains.append(log, sign())
        with captured():  # the journal's calls are tried elsewhere
            for _ in killed_at_each_call(lambda: chains.append(log, sign())):
                chains.append(log, sign())

        report = checked(log.read_bytes().splitlines())
        assert not report.broken, report.findings
        assert report.counts["unwritten"]
        assert not {"begun", "continued"} & set(report.counts)

    def test_a_line_torn_by_a_kill_costs_itself_alone(self, tmp_path: Path) -> None:
        log = tmp_path / "log"

        def torn() -> None:
            line = json.dumps(sign()[0]).encode()
            with log.open("ab") as file:
                file.write(line[: len(line) // 2])
                file.flush()
                os.kill(os.getpid(), 9)

        chains.append(log, sign(2))
        pid = os.fork()
        if pid == 0:
            torn()
        os.waitpid(pid, 0)
        chains.append(log, sign(2))

        report = checked(log.read_bytes().splitlines())
        assert kinds(report) == {"unreadable": 1, "unwritten": 1}


class TestOutside:
    def outside(self) -> str:
        with captured() as events:
            (line,) = sign()
        assert verify_signature(line)
        assert [event["chain"] for event in events.of("chain.outside")] == ["loglines"]
        assert kinds(checked([line])) == {"outside": 1}
        return str(line["chain"]["outside"])

    def test_a_full_disk(self, state: Path) -> None:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        state.mkdir()
        with patch("os.pwrite", side_effect=full):
            assert self.outside() == "No space left on device"
        assert sign()[0]["chain"]["number"] == 1

    def test_a_short_write_leaves_the_head_as_it_was(self) -> None:
        lines, pwrite = sign(3), os.pwrite
        with patch("os.pwrite", lambda fd, content, at: pwrite(fd, content[:100], at)):
            self.outside()
        lines += sign(2)
        assert kinds(checked(lines)) == {}

    def test_a_folder_that_is_none(self, state: Path) -> None:
        state.mkdir()
        (state / "chains").write_text("")
        assert self.outside()

    @pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
    def test_a_head_that_is_no_file(self, state: Path, make: Any) -> None:
        (state / "chains").mkdir(parents=True)
        make(state / "chains" / "loglines")
        assert self.outside()

    def test_a_head_that_others_do_not_let_go(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_chains, "_PATIENCE", 0.05)
        lines = sign(1)
        with (state / "chains" / "loglines").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert self.outside() == "others do not let go of the chain's head"
        monkeypatch.setattr(_chains, "_PAUSE", 0)
        _chains.reset()
        assert kinds(checked(lines + sign(2))) == {}

    def test_a_signal_that_signs_while_its_thread_does(self) -> None:
        head = _chains._head("loglines")
        with _chains._Held(head):
            assert self.outside() == "this thread holds the chain's head already"


class TestHead:
    """Whatever is in its file, a line is signed, and the chain goes on from what can be believed."""

    HOSTILE = (
        b"",
        b"\0" * 20_000,
        b"x" * 100_000,
        b"00000000 {}\n",
        b"[" * 16_384,
    )

    @pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
    def test_a_hostile_head(self, state: Path, content: bytes) -> None:
        old = sign(3)
        _chains.reset()
        (state / "chains" / "loglines").write_bytes(content)

        new = sign(3)

        assert new[0]["chain"]["number"] == 1
        report = checked([*old, *new])
        assert not report.broken or kinds(report) == {"missing": 1}
        assert "begun" in report.counts or not content.strip(b"\0")

    @pytest.mark.parametrize(
        "change",
        [
            {"number": 2**53}, {"number": -1}, {"number": "3"}, {"number": True}, {"mac": "x"}, {"id": ""},
            {"open": {"x": [1]}}, {"open": {"0": "ab"}}, {"unwritten": [[1]]}, {"unwritten": [[1, 2]] * 300},
            {"boot": 3}, {"first": 0}, {"time": None}, {"rev": 1.5}, {"open": []}, {"uptime": -3},
        ],
        ids=str,
    )  # fmt: skip
    def test_a_head_with_a_right_checksum_and_wrong_content(self, state: Path, change: dict[str, object]) -> None:
        sign(1)
        path = state / "chains" / "loglines"
        head = _chains._head("loglines")._known
        assert head is not None
        _chains.reset()
        path.write_bytes(_chains._slot_content(head | change) * 2)

        (line,) = sign()

        assert (line["chain"]["number"], line["chain"]["restart"]) == (1, {"why": "unreadable"})

    def test_a_head_that_vanishes_is_known_to_those_that_live(self, state: Path) -> None:
        lines = sign(3)
        shutil.rmtree(state / "chains")

        lines += sign(3)

        assert [line["chain"]["number"] for line in lines] == [1, 2, 3, 4, 5, 6]
        assert kinds(checked(lines)) == {}

    def test_a_descriptor_that_now_means_another_file_is_not_written_to(self, tmp_path: Path) -> None:
        lines = sign(1)
        fd, other = _chains._head("loglines")._fd, tmp_path / "video.mp4"
        other.write_bytes(b"video")
        with other.open("r+b") as file:
            os.dup2(file.fileno(), fd)
            lines += sign(1)
        assert other.read_bytes() == b"video"
        assert kinds(checked(lines)) == {}

    def test_the_lines_of_threads_may_stand_in_any_order(self) -> None:
        found: list[Line] = []
        lock = threading.Lock()

        def work() -> None:
            for _ in range(20):
                (line,) = sign()
                with lock:
                    found.append(line)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert not checked(found).broken

    def test_a_line_that_could_not_be_written_is_no_accusation(self) -> None:
        lines = sign(5)
        not_written(lines.pop(2))
        not_written({"no": "chain"})
        lines += sign(2)

        assert kinds(checked(lines)) == {"unwritten": 1}

    def test_a_forked_child_has_numbers_of_its_own(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        chains.append(log, sign(2))
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                try:
                    chains.append(log, sign(2))
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
            chains.append(log, sign(1))

        assert kinds(checked(log.read_bytes().splitlines())) == {}

    def test_members_of_the_group_share_it(self, state: Path) -> None:
        sign(1)

        assert (state / "chains").stat().st_mode & 0o7777 == 0o3770
        assert (state / "chains" / "loglines").stat().st_mode & 0o777 == 0o660


class TestParts:
    """What ends a part and begins another: a boot, a restored backup, a head that was put back."""

    @staticmethod
    def boots(monkeypatch: pytest.MonkeyPatch, boot: str, uptime: int = 5) -> None:
        _chains.reset()
        monkeypatch.setattr(_chains, "_boot_id", lambda: boot)
        monkeypatch.setattr(_chains, "_uptime_seconds", lambda: uptime)

    def test_a_boot_joins_without_a_word(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = sign(3)
        self.boots(monkeypatch, "second")
        lines += sign(3)

        assert [line["chain"]["number"] for line in lines] == [1, 2, 3, 4, 5, 6]
        assert lines[3]["chain"]["restart"]["why"] == "boot"
        assert kinds(checked(lines)) == {}
        assert kinds(checked([*lines[:2], *lines[3:]])) == {"lost": 1}
        assert kinds(checked([*lines[:3], *lines[4:]])) == {"missing": 1}

    @pytest.mark.usefixtures("once")
    @pytest.mark.parametrize("tamper", chains.TAMPERINGS, ids=lambda tamper: tamper.__name__)
    def test_over_boots_each_is_found_and_named(self, monkeypatch: pytest.MonkeyPatch, tamper: Any) -> None:
        lines, chance = sign(4), random.Random(17)
        for boot in range(5):
            self.boots(monkeypatch, f"{boot}", 1000)
            lines += sign(4)
        assert kinds(checked(lines)) == {}

        for _ in range(250):
            tampered, numbers = tamper(lines, chance)
            report = checked(tampered)
            if tampered != lines:  # what a power cut may have taken is told as that
                assert report.broken or report.counts.get("lost")
                assert named(report) & numbers

    def test_a_line_behind_a_boot_that_it_was_signed_before_is_named_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines = sign(3)
        self.boots(monkeypatch, "second")
        lines += sign(3)

        a, b, c, *rest = lines
        assert kinds(checked([a, b, rest[0], c, *rest[1:]])) == {"reordered": 1}
        assert kinds(checked([*lines, c])) == {"doubled": 1}
        (found,) = checked([a, b, rest[0], c, *rest[1:]]).findings
        assert str(found) == (
            "loglines: number 3 (line 4) stands behind number 4 (line 3), which was signed after the device had booted"
        )

    def test_a_power_cut_that_lost_the_last_writes_of_the_head_is_told_as_such(
        self, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines = sign(3)
        old = (state / "chains" / "loglines").read_bytes()
        lines += sign(4)
        self.boots(monkeypatch, "second")
        (state / "chains" / "loglines").write_bytes(old)
        lines += sign(3)

        report = checked(lines)

        assert kinds(report) == {"continued": 1}
        assert "numbers 4 to 7 had been signed: the device had booted" in str(report.findings[0])

    @pytest.mark.parametrize(("seconds", "kind"), [(59, "lost"), (61, "missing")])
    def test_a_power_cut_takes_lines_of_a_minute_and_no_more(
        self, monkeypatch: pytest.MonkeyPatch, seconds: int, kind: str
    ) -> None:
        self.boots(monkeypatch, "first", 1000)
        lines = sign(3)
        monkeypatch.setattr(_chains, "_uptime_seconds", lambda: 1000 + seconds)
        sign(4)
        self.boots(monkeypatch, "second")
        lines += sign(3)

        report = checked(lines)

        assert kinds(report) == {kind: 1}
        assert named(report) == {4, 5, 6, 7}

    def test_a_restored_backup_is_told_and_not_silently_joined(
        self, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines = sign(3)
        backup = (state / "chains" / "loglines").read_bytes()
        lines += sign(4)
        _chains.reset()
        monkeypatch.setattr(_chains, "_TOUCHED", -1)  # as if it had been longer ago
        (state / "chains" / "loglines").write_bytes(backup)
        restored = sign(1)
        monkeypatch.undo()

        report = check_chain([*lines, *restored], key_file=state.parent / "keys" / "2026-01.key")

        assert restored[0]["chain"]["restart"]["why"] == "replaced"
        assert kinds(report) == {"continued": 1}

    def test_two_devices_that_go_on_from_one_backup_are_told(
        self, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines = sign(3)
        backup = (state / "chains" / "loglines").read_bytes()
        self.boots(monkeypatch, "second")
        one = sign(2)
        self.boots(monkeypatch, "third")
        (state / "chains" / "loglines").write_bytes(backup)
        other = sign(2)

        report = checked([*lines, *one, *other])

        assert kinds(report) == {"continued": 1}
        assert "two parts begin with number 4" in str(report.findings[0])

    def test_a_whole_part_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first = sign(3)
        self.boots(monkeypatch, "second")
        sign(1)
        monkeypatch.setattr(_chains, "_uptime_seconds", lambda: 500)
        sign(2)
        self.boots(monkeypatch, "third")
        third = sign(3)

        report = checked([*first, *third])

        assert report.broken
        assert named(report) >= {4, 5, 6}

    def test_what_was_rotated_away_is_told_and_no_accusation(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = sign(5)
        self.boots(monkeypatch, "second")
        lines += sign(3)

        assert kinds(check_chain(lines[2:])) == {"earlier": 1}
        assert kinds(check_chain(lines[5:])) == {"earlier": 1}
        assert kinds(check_chain(lines[6:])) == {"earlier": 2}
        assert named(check_chain(lines[6:])) == {1, 2, 3, 4, 5, 6}
        assert kinds(check_chain(lines[2:], from_start=True)) == {"missing": 1}

    def test_a_new_key_goes_on_with_the_chain(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = sign(3)
        monkeypatch.setenv("VV_HMAC_KEY_FILE", str(chains.key_file(tmp_path / "keys", "2026-02")))
        lines += sign(3)

        assert [line["signature"]["key_id"] for line in lines[2:4]] == ["2026-01", "2026-02"]
        assert kinds(checked(lines)) == {}


WRITERS = 3
STEPS = st.one_of(
    st.tuples(st.just("sign"), st.integers(0, WRITERS - 1)),
    st.tuples(st.just("write"), st.integers(0, WRITERS - 1)),
    st.tuples(st.sampled_from(["kill", "exit", "give back", "rotate"]), st.integers(0, WRITERS - 1)),
    st.tuples(st.sampled_from(["boot", "back up", "restore"]), st.just(0)),
)


class Device:
    """Writers, each with the head open as a process of its own has it, that write one log; what happens to them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state" / "chains" / "loglines"
        self.keys = folder / "keys"
        self.log: list[Line] = []
        self._boot = 1
        self._backup: dict[str, Any] | None = None
        self.restored = False
        self._key = 1
        self._heads = [self._head() for _ in range(WRITERS)]
        self._unwritten: list[Line | None] = [None] * WRITERS

    def _head(self) -> _chains.Head:
        return _chains.Head(str(self.path), f"boot {self._boot}")

    def do(self, what: str, writer: int) -> None:
        getattr(self, what.replace(" ", "_"))(writer)

    def sign(self, writer: int) -> None:
        self.write(writer)
        _chains._heads[str(self.path)] = self._heads[writer]
        key = chains.key_file(self.keys, f"key-{self._key}")
        self._unwritten[writer] = sign_payload({"writer": writer}, chain="loglines", key_file=key)

    def write(self, writer: int) -> None:
        line, self._unwritten[writer] = self._unwritten[writer], None
        if line is not None:
            self.log.append(line)

    def give_back(self, writer: int) -> None:
        line, self._unwritten[writer] = self._unwritten[writer], None
        _chains._heads[str(self.path)] = self._heads[writer]
        not_written(line or {})

    def kill(self, writer: int) -> None:
        self._heads[writer].close()
        self._heads[writer], self._unwritten[writer] = self._head(), None

    def exit(self, writer: int) -> None:
        self.write(writer)
        self._heads[writer].finish()
        self.kill(writer)

    def rotate(self, writer: int) -> None:
        self._key += 1

    def boot(self, _: int) -> None:
        self._boot += 1
        for writer in range(WRITERS):
            self.kill(writer)

    def back_up(self, _: int) -> None:
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
            self._backup = _chains.read(file.fileno())

    def restore(self, _: int) -> None:
        if self._backup is not None:
            self.restored = True
            self.path.write_bytes(_chains._slot_content(self._backup | {"time": self._backup["time"] - 100}) * 2)

    def end(self) -> None:
        for writer in range(WRITERS):
            self.exit(writer)


def _is_last_of_its_part(line: Line, log: list[Line]) -> bool:
    own = line["chain"]
    return all(one["chain"].get("id") != own.get("id") or one["chain"]["number"] <= own["number"] for one in log)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(steps=[("sign", 0), ("back up", 0), ("sign", 0), ("restore", 0)], clock=1)
@example(
    steps=[("sign", 0), ("back up", 0), ("sign", 0), ("restore", 0), ("exit", 0), ("sign", 0)], clock=1
)  # who ends well does not hide that it was replaced
@example(
    steps=[("sign", 1), ("sign", 0), ("back up", 0), ("sign", 1), ("restore", 0), ("give back", 0), ("sign", 2)],
    clock=1,
)
@example(
    steps=[("sign", 0), ("back up", 0), ("restore", 0), ("sign", 1), ("sign", 1), ("boot", 0), ("sign", 0)], clock=1
)  # what a boot took of a part before the one that the boot ended
@example(
    steps=[("sign", 0), ("back up", 0), ("restore", 0), ("sign", 1), ("sign", 1), ("boot", 0), ("restore", 0)], clock=1
)
@example(steps=[("sign", 0), ("sign", 0), ("boot", 0), ("sign", 0), ("boot", 0), ("sign", 0)], clock=-1)
@given(steps=st.lists(STEPS, max_size=60), clock=st.sampled_from([1, 0, -1]))
def test_an_honest_chain_is_never_accused_and_a_line_that_is_deleted_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, int]], clock: int
) -> None:
    """Whatever the clock does from one part to the next: it goes on, stands still, or is set back."""
    folder = tmp_path / uuid7_hex()
    monkeypatch.setenv("VV_STATE_DIR", str(folder / "state"))
    moments = count(1 << 40, clock)
    monkeypatch.setattr(_chains, "uuid7_hex", lambda: f"{next(moments):012x}{uuid7_hex()[12:]}")
    device = Device(folder)
    folder.mkdir()
    with captured():
        for what, writer in steps:
            device.do(what, writer)
        device.end()
    heads = kept_heads(str(device.path.parent))

    def check(lines: list[Line]) -> Report:
        found = ChainCheck(heads=heads, keys_dir=device.keys, from_start=True)
        for number, line in enumerate(lines, 1):
            found.add(line, f"line {number}")
        return found.finish()

    honest = check(device.log)
    assert not honest.broken, honest.findings
    assert not honest.unknown
    for at, line in enumerate(device.log if len(device.log) > 1 else ()):  # an empty log is of no chain
        if device.restored and _is_last_of_its_part(line, device.log):
            continue  # a head from a backup does not know of it, and no line behind it tells
        found = check([*device.log[:at], *device.log[at + 1 :]])
        assert chains.number_of(line) in named(found), (line, found.findings)
    _chains._heads.clear()


def test_findings_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "MAX_FINDINGS", 10)
    lines = sign(80)

    report = checked([*["torn"] * 20, *lines[::2]])

    assert (len(report.findings), report.counts["unreadable"], report.counts["missing"]) == (10, 20, 40)
    assert all(finding.breaks for finding in report.findings)


class TestDocument:
    """docs/chain.md shows how other programs verify: it does."""

    PAGE = Path(__file__).parents[3] / "docs" / "chain.md"

    def verified(self, folder: Path, lines: list[Line]) -> str:
        script = re.findall(r"```sh\n(.*?)```", self.PAGE.read_text(), re.DOTALL)[-1]
        (folder / "loglines.jsonl").unlink(missing_ok=True)
        chains.append(folder / "loglines.jsonl", lines)
        (folder / "2026-01.key").write_bytes((folder / "keys" / "2026-01.key").read_bytes())
        done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
        assert not done.stderr
        return done.stdout

    def test_openssl_and_jq_verify_a_chain(self, tmp_path: Path) -> None:
        lines = sign(3, text="é and \u2028", nested={"b": [True, None], "a": "\n"})

        assert self.verified(tmp_path, lines) == ""
        assert self.verified(tmp_path, [lines[0], lines[2]]).startswith("the line before is missing")
        assert self.verified(tmp_path, [*lines[:2], lines[2] | {"line": 7}]).startswith("changed")

    def test_it_names_all_that_is_found(self) -> None:
        page = self.PAGE.read_text()

        assert {kind for kind in (*chain.BREAKS, *chain.NOTES) if f"`{kind}`" not in page} == set()
