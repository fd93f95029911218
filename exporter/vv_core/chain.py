"""Whether a log of chained lines is whole; and if not, which line is missing, doubled, out of order, or changed.

report = check_chain(open("loglines.jsonl"))        # vv_core.signing
report.broken                                       # True
[str(finding) for finding in report.findings]       # ["loglines: number 42 is missing: line 43 was signed after it", …]

What is found is of two kinds. `BREAKS` come of nothing that happens to an honest log: somebody changed it. All else
is told as what it is: a line that a kill or a power cut may have taken, a chain that began with 1 again, lines that two
processes wrote at the same time, a key that is not here. Neither is passed over in silence.

A chain alone cannot show that its last lines are missing. That takes a `Head` of it: the one that the device keeps, or
one that left it in time, in a mail.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vv_core import _chains, signing
from vv_core.common import files, texts

BREAKS = {
    "missing": "a line that was written is not there",
    "reordered": "a line stands before one that was written before it was signed",
    "doubled": "a line is there twice",
    "changed": "a line does not fit its signature",
    "unsigned": "a line without a signature stands between those that have one",
    "forked": "two different lines have one number, or follow one line, and the head was not put back",
}
"""What an honest log does not have, and what it means."""
NOTES = {
    "unwritten": "a line may never have been written: the process that signed it was killed, or said so",
    "open": "a line was being written when the last one was signed",
    "lost": "lines of the last minute before the device went off, which a power cut may have taken",
    "continued": "the chain went on from another place than its end: a restored backup, or a head lost in a power cut",
    "begun": "the chain was begun from number 1, its head was gone: whether lines before are missing is unknown",
    "earlier": "lines before the first one are not here: deleted, or moved away as logs are rotated",
    "outside": "a line was signed without its place in the chain, which could not be continued",
    "unreadable": "a line is no JSON: torn by a kill, or none of ours",
    "raced": "lines of several processes, written at the same time, do not stand in the order of their numbers",
    "unread": "lines are missing, and not every file could be read",
    "unknown_key": "a line cannot be verified: its key is not here",
}
"""What may be so in an honest log, and what it means."""

MAX_FINDINGS = 1000
"""Findings that a report holds; all are counted."""
POWER_CUT_SECONDS = 60
"""How long a line may be on its way to the disk: Linux writes back what is older than 30 seconds, every 5."""

_WINDOW = 2048  # latest MACs of a part that are remembered
_MAX_GAPS = 10_000
_MAX_SALVAGED = 64


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the numbers `number` to `last` of a chain (0: it has no number), seen at `where`."""

    kind: str
    chain: str
    number: int
    last: int
    where: str
    text: str
    by: int = 0
    """The number of the line that shows it, where another one does."""

    @property
    def breaks(self) -> bool:
        """Whether no honest log has it."""
        return self.kind in BREAKS

    def __str__(self) -> str:
        return f"{self.chain}: {self.text}" if self.chain else self.text


@dataclass(frozen=True, slots=True)
class Head:
    """A chain's last line as somebody knew it: its number and MAC; `state` is what a device's own head says besides."""

    chain: str
    number: int
    mac: str
    key_id: str = ""
    time: float = 0.0
    part: str = ""
    first: int = 1
    restart: Mapping[str, Any] | None = None
    open: frozenset[int] = frozenset()
    unwritten: frozenset[int] = frozenset()


@dataclass(slots=True)
class Report:
    """What `check_chain` found."""

    lines: int = 0
    """Lines that are not empty."""
    chained: int = 0
    """Of these, how many have a place in a chain."""
    heads: dict[str, Head] = field(default_factory=dict)
    """By chain: the last line that was seen."""
    findings: list[Finding] = field(default_factory=list)
    """The first `MAX_FINDINGS`."""
    counts: dict[str, int] = field(default_factory=dict)
    """Of all findings, by kind."""

    partial: bool = False
    """Whether lines may be in files that could not be read: then none is told as missing."""

    @property
    def broken(self) -> bool:
        """Whether somebody changed the log."""
        return any(kind in BREAKS for kind in self.counts)

    @property
    def unknown(self) -> bool:
        """Whether there are lines that could not be verified."""
        return "unknown_key" in self.counts

    def _take(self, finding: Finding) -> None:
        """Take a finding. More than are held give way from the back, notes first."""
        if self.partial and finding.kind == "missing":
            finding = replace(finding, kind="unread")
        self.counts[finding.kind] = self.counts.get(finding.kind, 0) + 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
        elif finding.breaks:
            for at in range(MAX_FINDINGS - 1, -1, -1):
                if not self.findings[at].breaks:
                    del self.findings[at]
                    self.findings.append(finding)
                    return


@dataclass(slots=True)
class _Line:
    number: int
    mac: str
    key_id: str
    where: str
    link: Mapping[str, Any]
    excused: frozenset[int]
    """Numbers that may come later, or never."""
    unwritten: frozenset[int]


@dataclass(slots=True)
class _Gap:
    """Numbers that should have been there before the line at `where`."""

    first: int
    last: int
    where: str
    by: int


class _Part:
    """What is known of a part: an unbroken piece of a chain, under one id."""

    def __init__(self, chain: str, part: str, first: int, report: Report) -> None:
        self.chain, self.id, self.first = chain, part, first
        self.report = report
        self.highest = first - 1
        self.lowest = 0
        self.latest: _Line | None = None
        self.restart: Mapping[str, Any] | None = None
        self.before = ""
        """The MAC of the line before `first`, as the first line has it."""
        self.waiting: dict[int, str] = {}
        """Open numbers that were not seen yet, each with where it was missed first."""
        self.excused: dict[int, str] = {}
        self.excused_before: set[int] = set()
        self.gaps: list[_Gap] = []
        self.early: set[int] = set()
        self.raced = 0
        """Lines that came late, as they may: several processes wrote at the same time."""
        self._macs: dict[int, str] = {}
        self._previous: dict[int, str] = {}
        self._held: _Line | None = None

    def add(self, line: _Line) -> None:
        """Take the part's next line."""
        held, self._held = self._held, None
        if held is not None:
            if self.highest < line.number < held.number and line.number not in held.excused:
                text = f"stands before number {line.number}, which was written before it was signed"
                self._report_line("reordered", held, text, line.number)
                self.early.add(held.number)
            else:
                self._advance_to(held)
        if self._is_second(line):
            return
        self._compare_links(line)
        self._remember_line(line)
        if line.number <= self.highest:
            self._take_late_line(line)
            self._settle_numbers(line)
        elif any(number not in line.excused for number in self._unseen_between(line.number)):
            self._held = line
        else:
            self._advance_to(line)

    def end(self, head: Head | None = None) -> None:
        """There are no further lines; `head` is the head of this part, if it is known."""
        if self._held is not None:
            self._advance_to(self._held)
            self._held = None
        for number in sorted(self.early):
            self._miss_numbers(self.highest + 1, number - 1, frozenset(self.early), f"number {number}", number)
            self.highest = max(self.highest, number)
        if head is not None and self.restart is None and self.lowest != self.first:  # its first line is not here
            self.restart = head.restart
        latest = self.latest.excused if self.latest is not None else frozenset[int]()
        excused = head.open | head.unwritten if head is not None else latest
        self.excused_before.update(number for number in excused if number < self.first)
        if head is not None and head.number >= self.highest:
            line = _Line(head.number + 1, "", "", "the chain's head", {}, head.open | head.unwritten, head.unwritten)
            self._miss_numbers(self.highest + 1, head.number, line.excused | self.early, line.where, line.number)
            self.waiting.update((number, line.where) for number in head.open if self.highest < number <= head.number)
            self.excused.update((number, line.where) for number in head.unwritten if number > self.highest)
            self._settle_numbers(line)

    def excuse(self, number: int, where: str) -> None:
        """The line with this number may never have been written, says `where`; if it was not seen, that is why."""
        if self.waiting.pop(number, None) is not None:
            self.excused[number] = where
        elif (gap := self._find_gap(number)) is not None:
            self._cut_gap(gap, number)
            self.excused[number] = where

    def mac(self, number: int) -> str | None:
        """The MAC of a line, as far back as they are remembered."""
        return self._macs.get(number)

    def _unseen_between(self, number: int) -> range:
        """Numbers that were not seen yet below `number`. Of very many, the first: one that is not excused is enough."""
        first = self.highest + 1
        while first in self.early:
            first += 1
        return range(first, min(number, first + _chains.MAX_OPEN + _chains.MAX_UNWRITTEN + 1))

    def _is_second(self, line: _Line) -> bool:
        known = self._macs.get(line.number)
        seen = line.number in self.early or (
            self.first <= line.number <= self.highest
            and line.number not in self.waiting
            and line.number not in self.excused
            and self._find_gap(line.number) is None
        )
        if known is None and not seen:
            return False
        if known is not None and known != line.mac:
            self._report_line("forked", line, "is another line with that number: both were signed")
        else:
            self._report_line("doubled", line, "is there a second time")
        return True

    def _compare_links(self, line: _Line) -> None:
        """Compare what is bound together: a line's MAC, and what the next one says it is."""
        before, after = self._macs.get(line.number - 1), self._previous.get(line.number)
        if line.number == self.first:
            self.before, self.restart = line.link["previous"], line.link.get("restart")
        elif before is not None and before != line.link["previous"]:
            self._report_line(
                "forked", line, f"does not follow the number {line.number - 1} that is there, but another one"
            )
        if after is not None and after != line.mac:
            self._report_line("forked", line, f"is not the one that number {line.number + 1} follows")

    def _remember_line(self, line: _Line) -> None:
        self.lowest = min(self.lowest or line.number, line.number)
        _keep_latest(self._macs, line.number, line.mac)
        _keep_latest(self._previous, line.number - 1, line.link["previous"])

    def _take_late_line(self, line: _Line) -> None:
        """A number that was missed comes after all."""
        gap = self._find_gap(line.number)
        if gap is None:
            self.raced += self.waiting.pop(line.number, None) is not None
            self.raced += self.excused.pop(line.number, None) is not None
            return
        text = f"stands behind number {gap.by} ({gap.where}), which was signed after it was written"
        self._report_line("reordered", line, text, gap.by)
        self._cut_gap(gap, line.number)

    def _advance_to(self, line: _Line) -> None:
        if self.highest < line.number:
            self._miss_numbers(self.highest + 1, line.number - 1, line.excused | self.early, line.where, line.number)
            for number in line.excused:
                if self.highest < number < line.number and number not in self.early:
                    self.waiting[number] = line.where
            self.highest = line.number
            self.early.discard(line.number)
            while self.highest + 1 in self.early:
                self.highest += 1
                self.early.discard(self.highest)
            self.early = {number for number in self.early if number > self.highest}
            self.latest = line
        self._settle_numbers(line)

    def _settle_numbers(self, line: _Line) -> None:
        """What `line` says of numbers before it."""
        for number in line.unwritten:
            if number < self.first:
                self.excused_before.add(number)
            else:
                self.excuse(number, line.where)
        for number in [number for number in self.waiting if number < line.number and number not in line.excused]:
            del self.waiting[number]
            self._miss_numbers(number, number, frozenset(), line.where, line.number)

    def _miss_numbers(self, first: int, last: int, but: frozenset[int] | set[int], where: str, by: int) -> None:
        for number in sorted(number for number in but if first <= number <= last):
            self._keep_gap(first, number - 1, where, by)
            first = number + 1
        self._keep_gap(first, last, where, by)

    def _keep_gap(self, first: int, last: int, where: str, by: int) -> None:
        if first > last:
            return
        if len(self.gaps) >= _MAX_GAPS:  # they can no longer be filled: what comes late is told as a second one
            self._report_missing(self.gaps.pop(0))
        self.gaps.append(_Gap(first, last, where, by))

    def _find_gap(self, number: int) -> _Gap | None:
        return next((gap for gap in reversed(self.gaps) if gap.first <= number <= gap.last), None)

    def _cut_gap(self, gap: _Gap, number: int) -> None:
        self.gaps.remove(gap)
        self._keep_gap(gap.first, number - 1, gap.where, gap.by)
        self._keep_gap(number + 1, gap.last, gap.where, gap.by)

    def _report_missing(self, gap: _Gap) -> None:
        many = f"number {gap.first} is" if gap.first == gap.last else f"numbers {gap.first} to {gap.last} are"
        text = f"{many} missing: {gap.where} was signed after that"
        self.report._take(Finding("missing", self.chain, gap.first, gap.last, gap.where, text, gap.by))

    def add_behind_boot(self, line: _Line, number: int, where: str) -> None:
        """Take a line behind one that was signed after a boot: whoever signed it was gone by then.

        One that is here already, or stands behind its own part's as well, is told as that.
        """
        if self.mac(line.number) is None and self._find_gap(line.number) is None:
            self._report_behind_boot(line, number, where)
        self.add(line)

    def _report_behind_boot(self, line: _Line, number: int, where: str) -> None:
        text = f"stands behind number {number} ({where}), which was signed after the device had booted"
        self._report_line("reordered", line, text, number)

    def note(self, kind: str, first: int, last: int, where: str, text: str) -> None:
        """Report something of the numbers `first` to `last`."""
        self.report._take(Finding(kind, self.chain, first, last, where, text))

    def tell_lost(self, first: int, last: int, where: str) -> None:
        """Report that a power cut may have taken these."""
        text = f"{_numbers_text(first, last)} of the minute before the device went off: a power cut may have taken them"
        self.note("lost", first, last, where, text)

    def _report_line(self, kind: str, line: _Line, text: str, by: int = 0) -> None:
        text = f"number {line.number} ({line.where}) {text}"
        self.report._take(Finding(kind, self.chain, line.number, line.number, line.where, text, by))

    def tell_rest(self, *, is_first: bool) -> None:
        """Report what is still missing at the end. `is_first`: no line of the chain is here from before this part."""
        for gap in sorted(self.gaps, key=lambda gap: gap.first):
            if is_first and self.first <= gap.first and gap.last < (self.lowest or gap.last + 1):
                text = f"{_numbers_text(gap.first, gap.last)} before the first line here ({gap.where})"
                self.note("earlier", gap.first, gap.last, gap.where, text)
            else:
                self._report_missing(gap)
        for number, where in sorted(self.excused.items()):
            self.note("unwritten", number, number, where, f"number {number} may never have been written, says {where}")
        for number, where in sorted(self.waiting.items()):
            self.note("open", number, number, where, f"number {number} was being written, says {where}")
        if self.raced:
            text = f"{texts.many(self.raced, 'line')} stand behind lines with higher numbers, written at the same time"
            self.note("raced", 0, 0, "", text)


class ChainCheck:
    """Checks lines one by one, with as much memory as a chain has parts and gaps, however long it is.

    `heads` are those that the device keeps (`kept_heads`), read before the lines were; `known` those that somebody has
    kept elsewhere. Every chain that has a head in `known` must come to it. `from_start`: nothing was rotated away.
    `keeps_up`: what is known elsewhere and older than the first line here was rotated away. Keys are those of
    `verify_signature`; that lines are verified here is not counted.
    """

    def __init__(
        self,
        *,
        heads: Iterable[Head] = (),
        known: Iterable[Head] = (),
        key_file: str | os.PathLike[str] | None = None,
        keys_dir: str | os.PathLike[str] | None = None,
        from_start: bool = False,
        keeps_up: bool = False,
    ) -> None:
        self.report = Report()
        self._keys = key_file, keys_dir
        self._from_start = from_start
        self._keeps_up = keeps_up
        self._heads = {(head.chain, head.part): head for head in heads}
        self._known = list(known)
        self._wanted: dict[tuple[str, int], set[str]] = {}
        for head in self._known:
            self._wanted.setdefault((head.chain, head.number), set()).add(head.mac)
        self._seen: dict[tuple[str, int], set[str]] = {}
        self._parts: dict[tuple[str, str], _Part] = {}
        self._off: dict[tuple[str, str], tuple[int, str]] = {}
        """By chain and part: the first line that was signed after the device had booted, with its number."""
        self._keyless: set[str] = set()
        self._latest = ""  # the chain of the last line that had one

    def add(self, line: object, where: str) -> str:
        """Take the next line of the log; `where` says which one it is. Gives its chain, "" if it has none.

        A line is text, bytes or an object as JSON has them; anything else is told as unreadable.
        """
        try:
            return self._take_line(line, where)
        except texts.ENDS:
            raise
        except BaseException as error:  # an object that refuses to be read
            self._report_place("unreadable", where, f"{where} cannot be read ({type(error).__name__})")
            return ""

    def _take_line(self, line: object, where: str) -> str:
        report = self.report
        if isinstance(line, str | bytes):
            line = line.strip()
            if not line:
                return ""
        report.lines += 1
        parsed, is_whole = _parse_line(line)
        if not is_whole:
            self._report_place("unreadable", where, f"{where} is no JSON object, or has something before it")
        if parsed is not None and signing.SIGNATURE in parsed:
            return self._take_signed(parsed, where)
        if parsed is not None and report.chained:
            report._take(Finding("unsigned", self._latest, 0, 0, where, f"{where} has no signature"))
        return ""

    def finish(self, *, partial: bool = False) -> Report:
        """There are no further lines: say what is missing. `partial`: some files could not be read."""
        self.report.partial = partial
        for (chain, part_id), head in self._heads.items():
            if chain in self.report.heads:  # a part of which no line is here may be one whose lines were all deleted
                self._parts.setdefault((chain, part_id), _Part(chain, part_id, head.first, self.report))
        parts = list(self._parts.values())
        for part in parts:
            part.end(self._heads.get((part.chain, part.id)))
        self._pass_on_excuses(parts)
        for part in parts:
            self._join_parts(part)
        for part in parts:
            older = any(other.chain == part.chain and other.id < part.id for other in parts)
            part.tell_rest(is_first=not self._from_start and not older)
        for head in self._known:
            self._compare_links(head)
        return self.report

    def _pass_on_excuses(self, parts: Iterable[_Part]) -> None:
        """What a part says of numbers before the one that it continues is for those before that."""
        for part in sorted(parts, key=lambda part: part.id, reverse=True):
            before = self._parts.get((part.chain, str((part.restart or {}).get("id"))))
            if before is not None:
                before.excused_before.update(number for number in part.excused_before if number < before.first)

    def _take_signed(self, line: Mapping[str, Any], where: str) -> str:
        link, report = _link_of(line), self.report
        try:
            signing.verify_quietly(line, *self._keys)
        except signing.SignatureError as error:
            if error.reason not in ("unknown_key", "key"):
                self._report_changed(link, where, error.message)
                return ""
            if error.key_id not in self._keyless and len(self._keyless) < MAX_FINDINGS:
                self._keyless.add(error.key_id)
                self._report_place("unknown_key", where, f"{where} and others cannot be verified: {error.message}")
        if link is not None:
            report.chained += 1
            self._take_linked(link, line[signing.SIGNATURE], where)
            self._latest = str(link["name"])
            return self._latest
        if isinstance(outside := line.get(signing.CHAIN), Mapping) and "outside" in outside:
            text = f"{where} was signed outside the chain: {texts.line(outside['outside'], 200)}"
            report._take(Finding("outside", texts.line(outside.get("name"), 64), 0, 0, where, text))
        return ""

    def _report_changed(self, link: Mapping[str, Any] | None, where: str, why: str) -> None:
        chain, number = (link["name"], link["number"]) if link is not None else (self._latest, 0)
        claimed = f", which says that it is number {number}," if number else ""
        text = f"{where}{claimed} does not fit its signature: {why}"
        self.report._take(Finding("changed", chain, number, number, where, text))

    def _take_linked(self, link: Mapping[str, Any], signature: Mapping[str, Any], where: str) -> None:
        chain, number, mac = link["name"], link["number"], str(signature["mac"])
        unwritten = frozenset(link.get("unwritten", ()))
        excused = unwritten | frozenset(link.get("open", ()))
        line = _Line(number, mac, str(signature["key_id"]), where, link, excused, unwritten)
        if (chain, number) in self._wanted:
            self._seen.setdefault((chain, number), set()).add(mac)
        part = self._parts.get((chain, link["id"]))
        if part is None:
            part = self._parts[chain, link["id"]] = _Part(chain, link["id"], link["first"], self.report)
        later = self._off.get((chain, part.id))
        if later is None:
            part.add(line)
        else:
            part.add_behind_boot(line, *later)
        restart = link.get("restart")
        if restart is not None and restart["why"] == "boot":
            self._off.setdefault((chain, str(restart["id"])), (number, where))
        head = self.report.heads.get(chain)
        if head is None or (link["id"], number) > (head.part, head.number):
            self.report.heads[chain] = Head(chain, number, mac, line.key_id, part=link["id"])

    def _join_parts(self, part: _Part) -> None:
        """Compare where a part begins with where the one before it ends."""
        restart, first = part.restart, part.first
        if restart is None:
            self._without_first_line(part)
            return
        where = f"number {first}"
        if restart.get("why") == "unreadable":
            part.note("begun", first, first, where, "the chain was begun from number 1: its head could not be read")
            return
        before = self._parts.get((part.chain, str(restart.get("id"))))
        if before is None:
            self._without_part(part, restart)
            return
        for number in part.excused_before:
            before.excuse(number, where)
        twin = next((other for other in self._parts.values() if _are_twins(other, part)), None)
        if twin is not None:
            text = f"two parts begin with number {first}: a restored backup, or a copy of this device"
            part.note("continued", first, first, where, text)
        elif before.highest >= first:
            why = "the device had booted" if restart.get("why") == "boot" else "its head was put back or replaced"
            many = _numbers_text(first, before.highest)
            text = f"the chain went on behind number {first - 1}, though {many} had been signed: {why}"
            part.note("continued", first, before.highest, where, text)
        known = before.mac(first - 1)
        if known is not None and part.before and known != part.before:
            part.note(
                "forked", first, first, where, f"number {first} does not follow the number {first - 1} that is there"
            )
        if before.highest < first - 1:
            self._missing_end(before, part, restart)

    def _without_first_line(self, part: _Part) -> None:
        """What a part continues is said by its first line alone, which is not here."""
        older = [other for other in self._parts.values() if other.chain == part.chain and other.id < part.id]
        first, last = max((other.highest for other in older), default=0) + 1, part.first - 1
        if first > last:
            return
        if older or self._from_start:
            part.tell_lost(first, last, f"number {part.first}")
        else:
            text = f"{_numbers_text(first, last)} before the first line here"
            part.note("earlier", first, last, f"number {part.first}", text)

    def _missing_end(self, before: _Part, part: _Part, restart: Mapping[str, Any]) -> None:
        first, last, where = before.highest + 1, part.first - 1, f"number {part.first}"
        seen = before.latest.link.get("uptime", 0) if before.latest is not None else 0
        unwritten = {number for number in part.excused_before if first <= number <= last}
        if restart.get("why") == "boot" and 0 <= restart["uptime"] - seen <= POWER_CUT_SECONDS:
            before.tell_lost(first, last, where)
        else:
            before._miss_numbers(first, last, unwritten, where, part.first)
            before.excused.update((number, where) for number in unwritten)

    def _without_part(self, part: _Part, restart: Mapping[str, Any]) -> None:
        """The part before is not here at all: moved away, if nothing older is here."""
        first, last, where = restart["first"], part.first - 1, f"number {part.first}"
        gone = _Part(part.chain, str(restart["id"]), first, self.report)
        unwritten = {number for number in part.excused_before if first <= number <= last}
        gone._miss_numbers(first, last, unwritten, where, part.first)
        gone.excused.update((number, where) for number in unwritten)
        older = [other for other in self._parts.values() if other.chain == part.chain and other.id < gone.id]
        is_first = not older and not self._from_start
        if not is_first and restart["why"] == "boot" and restart["uptime"] - restart["since"] <= POWER_CUT_SECONDS:
            for gap in gone.gaps:
                gone.tell_lost(gap.first, gap.last, where)
            gone.gaps.clear()
        gone.tell_rest(is_first=is_first)
        end = max(older, key=lambda other: other.id).highest if older else 0
        if end < first - 1 and is_first:
            text = f"{_numbers_text(end + 1, first - 1)} before the first line here"
            gone.note("earlier", end + 1, first - 1, where, text)
        elif end < first - 1:  # of a part of which nothing is left, not even what it says of these
            gone.tell_lost(end + 1, first - 1, where)

    def _compare_links(self, head: Head) -> None:
        """Whether the chain comes to a head that was kept elsewhere."""
        seen = self._seen.get((head.chain, head.number), set())
        lowest = min((part.lowest for part in self._parts.values() if part.chain == head.chain), default=0)
        if head.mac in seen or (self._keeps_up and lowest > head.number):
            return
        where, last = "a head kept elsewhere", self.report.heads.get(head.chain)
        if seen:
            text = f"number {head.number} is another line than the one that was known elsewhere"
            self.report._take(Finding("forked", head.chain, head.number, head.number, where, text))
        else:
            first = last.number + 1 if last is not None and last.number < head.number else head.number
            text = f"{_numbers_text(first, head.number)} missing: the chain was known to come to number {head.number}"
            self.report._take(Finding("missing", head.chain, first, head.number, where, text))

    def _report_place(self, kind: str, where: str, text: str) -> None:
        self.report._take(Finding(kind, "", 0, 0, where, text))


def place_of(line: object) -> tuple[str, int] | None:
    """The part that a line is of, and its number there, as it says itself; None if it has no place in a chain."""
    found, _ = _parse_line(line.strip() if isinstance(line, str | bytes) else line)
    link = _link_of(found) if found is not None else None
    return (link["id"], link["number"]) if link is not None else None


def kept_heads(folder: str | None = None) -> list[Head]:
    """The heads that this device keeps. What is no head is left out. Raises `OSError` if the folder cannot be read."""
    found = []
    folder = _chains.folder() if folder is None else folder
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    for name in names[:MAX_FINDINGS]:
        try:
            fd = files.open_regular(os.fsencode(os.path.join(folder, name)))
        except OSError:
            continue
        try:
            state = _chains.read(fd)
        except OSError:
            continue
        finally:
            os.close(fd)
        if state is not None:
            found.append(_head_of_state(name, state))
    return found


def _head_of_state(name: str, state: Mapping[str, Any]) -> Head:
    return Head(
        name,
        state["number"],
        state["mac"],
        state["key_id"],
        state["time"],
        state["id"],
        state["first"],
        state["restart"],
        frozenset(number for numbers in state["open"].values() for number in numbers),
        frozenset(number for number, _ in state["unwritten"]),
    )


def _parse_line(line: object) -> tuple[Mapping[str, Any] | None, bool]:
    """The object of a line, and whether that is all of it: a kill may have left a part of another one before it."""
    import json

    if isinstance(line, Mapping):
        return line, True
    if not isinstance(line, str | bytes):
        return None, False
    opening: Any = "{" if isinstance(line, str) else b"{"
    at = 0
    for _ in range(_MAX_SALVAGED):
        try:
            found = json.loads(line[at:])
        except (ValueError, RecursionError):
            at = line.find(opening, at + 1)
            if at < 0:
                break
        else:
            is_object = isinstance(found, dict) and (at == 0 or signing.SIGNATURE in found)
            return (found, at == 0) if is_object else (None, False)
    return None, False


def _link_of(line: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A line's place in a chain, if it is well formed; whoever made it."""
    link = line.get(signing.CHAIN)
    if not isinstance(link, Mapping):
        return None
    restart = link.get("restart")
    lists = [link.get("open", []), link.get("unwritten", [])]
    well_formed = (
        all(isinstance(link.get(name), str) for name in ("name", "id", "previous"))
        and signing.is_id(link["name"])
        and all(type(link.get(name)) is int for name in ("number", "first", "uptime"))
        and 0 < link["first"] <= link["number"] <= _chains.MAX_NUMBER
        and all(isinstance(numbers, list) and all(type(one) is int for one in numbers) for numbers in lists)
        and all(len(numbers) <= 4 * _chains.MAX_UNWRITTEN for numbers in lists)
        and (restart is None or isinstance(restart, Mapping))
        and _chains.is_restart(restart)
    )
    return link if well_formed else None


def _are_twins(one: _Part, other: _Part) -> bool:
    """Whether both continue the same line, and `one` did so first."""
    if one is other or one.chain != other.chain or one.restart is None or other.restart is None:
        return False
    return (one.restart.get("id"), one.first) == (other.restart.get("id"), other.first) and one.id < other.id


def _keep_latest(known: dict[int, str], number: int, mac: str) -> None:
    known[number] = mac
    if len(known) > _WINDOW:
        del known[next(iter(known))]


def _numbers_text(first: int, last: int) -> str:
    return f"number {first}" if first == last else f"numbers {first} to {last}"
