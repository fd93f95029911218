"""How long the device, the exporter, DVRs and containers were up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from vv_exporter.digest.samples import GAP, Sample
from vv_exporter.language import translatable


class Uptime(msgspec.Struct, frozen=True):
    """`watched` seconds were looked at; of these it was not up for `down`. `restarts` are of the device, else 0."""

    kind: str
    name: str
    watched: float
    down: float
    restarts: int = 0

    @property
    def ratio(self) -> float:
        """Share of the time in which it was up."""
        return 1.0 - self.down / self.watched if self.watched else 1.0


class _Span(NamedTuple):
    """From a sample to the next, as far as it is within the time that is asked for. `gap`: the exporter did not run."""

    before: Sample
    after: Sample
    seconds: float
    gap: bool


def uptimes(samples: Sequence[Sample], since: float, until: float) -> list[Uptime]:
    """All of them; nothing where nothing was sampled."""
    spans = list(_spans_between(samples, since, until))
    watched = sum(span.seconds for span in spans)
    if not watched:
        return []
    reboots = [span for span in spans if _has_rebooted(span)]
    off = sum(min(max(span.after.boot - span.before.time, 0.0), span.seconds) for span in reboots)
    gone = sum(span.seconds for span in spans if span.gap)
    return [
        Uptime(translatable("device"), "", watched, off, len(reboots)),
        Uptime(translatable("exporter"), "", watched, gone),
        *_uptime_of_each(translatable("DVR"), spans, lambda sample: sample.dvrs),
        *_uptime_of_each(translatable("container"), spans, lambda sample: sample.containers),
    ]


def _uptime_of_each(kind: str, spans: list[_Span], states: Callable[[Sample], Mapping[str, int]]) -> Iterator[Uptime]:
    """What was up at a sample is taken to be so until the next one; while the exporter was away nobody knows."""
    watched: dict[str, float] = {}
    down: dict[str, float] = {}
    for span in spans:
        for name, up in states(span.before).items():
            if not span.gap and name in states(span.after):
                watched[name] = watched.get(name, 0.0) + span.seconds
                down[name] = down.get(name, 0.0) + (0.0 if up else span.seconds)
    found = [Uptime(kind, name, watched[name], down[name]) for name in watched]
    yield from sorted(found, key=lambda one: (one.ratio, one.name))


def _spans_between(samples: Sequence[Sample], since: float, until: float) -> Iterator[_Span]:
    samples = list(samples)
    if samples and samples[-1].time < until:
        samples.append(msgspec.structs.replace(samples[-1], time=until))
    for before, after in pairwise(samples):
        seconds = min(after.time, until) - max(before.time, since)
        if seconds > 0:
            yield _Span(before, after, seconds, after.time - before.time > GAP)


def _has_rebooted(span: _Span) -> bool:
    # The time of the boot is reckoned from the clock: when the clock is set it moves, too.
    return span.after.boot > span.before.time
