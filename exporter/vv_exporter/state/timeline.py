"""What happened on the device, in order: what the timeline keeps of it, and how it is found again.

Whoever changes the state adds it in the same transaction, in one line::

    add_to_timeline(tx, event.ts, Entry("stage.failed", title, "error", component, error))

A title is the product's own sentence, or what somebody else wrote. Of a sentence the English text is kept and, beside
it, what is needed to say it in the language of whoever reads (`said`). What an older version kept has the text alone,
and an older version reads the text.

A storm is kept as far as it is of use: of each kind and component a burst (and another of what is critical), then a
few a minute, and how many were left out. With `MAX_ROWS` and `MAX_BYTES` that bounds the disk that the timeline uses,
whatever happens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from vv_core.common.texts import UNSAFE
from vv_core.common.units import parse_duration
from vv_exporter.common.clock import isoformat, moment
from vv_exporter.common.times import UnixTime, admitted
from vv_exporter.language import ENGLISH, current
from vv_exporter.language import gettext as _
from vv_exporter.language.sentences import Sentence, sentence
from vv_exporter.state.openalerts import SEVERITIES
from vv_exporter.state.searching import Search
from vv_exporter.state.store import Kind, Store, Transaction

HISTORY = "timeline"
BURST = 300  # entries of one kind and component that are kept at once
PER_MINUTE = 6  # entries of it that are kept when they go on
MAX_RATES = 200  # kinds and components that are limited apart; others share with their kind
MAX_ROWS = 50_000
MAX_BYTES = 64 * 1024 * 1024
MAX_TITLE = 200  # characters
MAX_DETAILS = 1500
MAX_NAME = 300
AROUND = 900.0  # seconds before and after a moment that are shown around it
CRITICAL = SEVERITIES[-1]
_CHUNK = 500
_END = 4_102_444_800.0  # 2100-01-01: what lies beyond it was meant in milliseconds, or not at all
_LAST = 2**62  # beyond all ids of one time

# Lines stay lines.
_UNPRINTABLE = dict.fromkeys({*UNSAFE} - {0x09, 0x0A}, "\N{REPLACEMENT CHARACTER}")


class Entry(msgspec.Struct, frozen=True):
    """Something that happened. `kind` is what, e.g. `stage.failed`; `details` may have several lines."""

    kind: str
    title: Sentence | str
    severity: str = "info"
    component: str = ""
    details: Sentence | str = ""
    video: str = ""
    video_sha256: str = ""
    alert_id: str = ""
    runbook_url: str = ""


class _InWords(msgspec.Struct, frozen=True, omit_defaults=True):
    """The same in words."""

    kind: str
    title: str
    severity: str = "info"
    component: str = ""
    details: str = ""
    video: str = ""
    video_sha256: str = ""
    alert_id: str = ""
    runbook_url: str = ""


class _Row(_InWords, frozen=True, omit_defaults=True):
    """An entry as it is kept: in English, and `said` has what title and details are in every language."""

    said: dict[str, Sentence] = {}


class Moment(_InWords, frozen=True, omit_defaults=True, kw_only=True):
    """An entry in the reader's language, with its time (Unix seconds) and its place among those of the same time."""

    time: float
    id: int = 0


class Rate(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many more entries of a kind may be kept, as of `at`; how many were left out since `since`, how severe."""

    left: float
    at: UnixTime
    skipped: int = 0
    since: UnixTime = 0.0
    severity: str = "info"


RATES: Kind[Rate] = Kind("timeline_rate", Rate)


class Filter(NamedTuple):
    """Which moments are asked for; empty or 0: all. `severity` is the least; `component` and `video` are parts.

    `alert` is an alert's id, or the beginning of it.
    """

    since: float = 0.0
    until: float = 0.0
    component: str = ""
    severity: str = ""
    video: str = ""
    alert: str = ""

    def admits(self, entry: _InWords) -> bool:
        """Whether the entry is asked for (its time is not looked at)."""
        return (
            (not self.severity or _severity_rank(entry.severity) >= _severity_rank(self.severity))
            and (not self.component or self.component.lower() in entry.component.lower())
            and (not self.video or self.video in entry.video or entry.video_sha256.startswith(self.video))
            and (not self.alert or entry.alert_id.startswith(self.alert))
        )

    @property
    def search(self) -> Search:
        """What the store is asked for: all that `admits` lets pass, and as little else as it can tell apart."""
        severities = SEVERITIES[_severity_rank(self.severity) :] if _severity_rank(self.severity) else ()
        return Search(self.component, tuple(severities), tuple(filter(None, (self.video, self.alert))))


class Page(NamedTuple):
    """Moments, newest first, and where those before them begin (None: there are none).

    `meant` is the moment that was asked for, `newer` whether some after these were left out.
    """

    moments: list[Moment]
    older: tuple[float, int] | None
    meant: Moment | None = None
    newer: bool = False


def add_to_timeline(tx: Transaction, time: float, entry: Entry) -> None:
    """Keep an entry with whatever else the transaction changes; a time that cannot be true is taken for now."""
    time = admitted(time, tx.now)
    key = _rate_key(tx, entry)
    rate = tx.get(RATES, key) or Rate(BURST, tx.now)
    left = min(rate.left + max(tx.now - rate.at, 0.0) * PER_MINUTE / 60, BURST)
    if left < 1:
        since = min(rate.since, time) if rate.skipped else time
        tx.put(RATES, key, Rate(left, tx.now, rate.skipped + 1, since, entry.severity))
        return
    if rate.skipped:
        tx.append(HISTORY, time, msgspec.to_builtins(_row(_remainder_entry(key, rate))))
    tx.put(RATES, key, Rate(left - 1, tx.now))
    tx.append(HISTORY, time, msgspec.to_builtins(_row(entry)))


def read(store: Store, wanted: Filter, limit: int = 100, before: tuple[float, int] | None = None) -> Page:
    """The newest moments (those before `before`). Reads the disk in short steps, so that no writer waits for long."""
    found: list[Moment] = []
    if before is None:
        found += [one for one in _left_out(store) if _is_within(one.time, wanted) and wanted.admits(one)]
    cursor = before or (wanted.until or float("inf"), _LAST)
    decoder = msgspec.json.Decoder(_Row)
    while True:
        rows, further = store.search_history(HISTORY, wanted.since, cursor, wanted.search, _CHUNK)
        for id_, time, row in store.decoded(rows, decoder.decode):
            if wanted.admits(row):
                found.append(_moment_of_entry(row, time, id_))
        if further is None or len(found) > limit:
            break
        cursor = further
    found.sort(key=lambda one: (one.time, one.id), reverse=True)
    return page_of(found, limit)


def around(store: Store, time: float, component: str, wanted: Filter, limit: int = 50) -> Page:
    """What happened around a time, at most `limit` moments. What is meant is the nearest moment of the component, or
    of one that is named like it (an alert's `scan_video`, a script's `scan_video.py`), or the nearest of all."""
    within = wanted._replace(since=time - AROUND, until=time + AROUND)
    moments = read(store, within, MAX_ROWS).moments
    name = component.lower()
    own = [one for one in moments if name and one.component.lower() == name]
    like = [one for one in moments if name and name in one.component.lower()]
    meant = min(own or like or moments, key=lambda one: abs(one.time - time), default=None)
    if meant is None:
        return Page([], None)
    at = moments.index(meant)
    begin = max(min(at - limit // 2, len(moments) - limit), 0)
    shown = page_of(moments[begin:], limit)
    return shown._replace(meant=meant, newer=begin > 0)


def page_of(moments: list[Moment], limit: int) -> Page:
    """The first of these."""
    if len(moments) <= limit:
        return Page(moments, None)
    last = moments[limit - 1]
    return Page(moments[:limit], (last.time, last.id))


def moment_of(text: str, now: float) -> float:
    """A time as people give it: `1h` (ago), Unix seconds, or RFC 3339. Raises `ValueError`, which names the forms."""
    text = text.strip()
    try:
        if re.fullmatch(r"\d{9,300}(\.\d+)?", text):
            found: float | None = float(text)
        elif "-" not in text:
            found = max(now - parse_duration(text), 0.0)
        else:
            found = moment(text)
    except ValueError:
        found = None
    if found is None or not 0 <= found < _END:
        raise ValueError(
            _("{text} is no time; give e.g. 1h, 2026-01-31T23:59:00Z or Unix seconds").format(text=repr(text[:50]))
        )
    return found


def clean(text: str) -> str:
    """The text without what a terminal obeys, and neither it nor HTML shows: `vv_core.common.texts.UNSAFE`."""
    return text if text.isprintable() else text.translate(_UNPRINTABLE)


def shortened(text: str, limit: int, *, end: bool = False) -> str:
    """At most `limit` characters of a text of any number of lines: its beginning, or its end."""
    text = clean(text).strip()
    if len(text) <= limit:
        return text
    return "…" + text[1 - limit :] if end else text[: limit - 1] + "…"


def _row(entry: Entry) -> _Row:
    return _Row(
        kind=entry.kind,
        title=_title(entry.title),
        severity=entry.severity if entry.severity in SEVERITIES else "error",
        component=shortened(entry.component, MAX_NAME),
        details=_details(entry.details),
        video=shortened(entry.video, MAX_NAME),
        video_sha256=shortened(entry.video_sha256, 64),
        alert_id=shortened(entry.alert_id, 64),
        runbook_url=shortened(entry.runbook_url, MAX_NAME),
        said={
            name: text.with_texts(cut)
            for name, text, cut in (("title", entry.title, _title), ("details", entry.details, _details))
            if isinstance(text, Sentence)
        },
    )


def _title(text: object) -> str:
    return " ".join(shortened(str(text), MAX_TITLE).split())


def _details(text: object) -> str:
    return shortened(str(text), MAX_DETAILS)


def _rate_key(tx: Transaction, entry: Entry) -> str:
    """What shares a limit: a kind and component, and by itself what is critical, which no storm of others hides."""
    shared = f"{entry.kind}\n{CRITICAL if entry.severity == CRITICAL else ''}\n"
    key = f"{shared}{entry.component[:MAX_NAME]}"
    if tx.get(RATES, key) is None and tx.count(RATES) >= MAX_RATES:
        return shared
    return key


def _remainder_entry(key: str, rate: Rate) -> Entry:
    kind, _, rest = key.partition("\n")
    component = rest.removeprefix(CRITICAL).removeprefix("\n")
    return Entry(
        kind=kind,
        title=sentence("{count} more like this since {since}", count=rate.skipped, since=isoformat(rate.since)),
        severity=rate.severity,
        component=component,
        details=sentence("They came faster than the timeline keeps them; the metrics count all of them."),
    )


def _left_out(store: Store) -> Iterator[Moment]:
    """What was left out and not counted on the timeline yet."""
    for key, rate in store.docs(RATES).items():
        if rate.skipped:
            yield _moment_of_entry(_row(_remainder_entry(key, rate)), rate.at, _LAST)


def _moment_of_entry(row: _Row, time: float, id_: int) -> Moment:
    fields = msgspec.structs.asdict(row)
    known = fields.pop("said")
    if current() != ENGLISH:
        fields["title"] = _title(_spoken(known.get("title"), row.title))
        fields["details"] = _details(_spoken(known.get("details"), row.details))
    return Moment(**fields, time=time, id=id_)


def _spoken(known: Sentence | None, english: str) -> str:
    try:
        return known.spoken() if known is not None else english
    except (LookupError, ValueError, AttributeError):  # a translation, or a row, that is odd
        return english


def _is_within(time: float, wanted: Filter) -> bool:
    return time >= wanted.since and (not wanted.until or time <= wanted.until)


def _severity_rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0
