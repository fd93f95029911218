"""What a rule says, said without Prometheus: its templates, filled from the exporter's own series.

The rule files are the only source of the words. This is as much of Go's templates, of Prometheus' functions
(https://prometheus.io/docs/prometheus/latest/configuration/template_reference/) and of PromQL as the rules of the last
line use; `tests/unit/alert_path/test_words.py` compares with what promtool proves of them. Raises `WordsError` for what
is not understood.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from vv_exporter.common.clock import utc


class WordsError(Exception):
    """A template or a query that is not understood; the message quotes it."""


class Sample(NamedTuple):
    """An element of an instant vector."""

    labels: Mapping[str, str]
    value: float


Select = Callable[[str], Iterable[Sample]]
"""Gives the samples of a series, recorded ones included, by its name."""

_ACTION = re.compile(r"\{\{(-\s)?\s*((?:\"(?:[^\"\\]|\\.)*\"|[^\"{}])*?)\s*(\s-)?\}\}")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\$labels\.\w+|\$value|\.Format|\.|\||\(|\)|[A-Za-z_]\w*|\d+')
_SELECTOR = re.compile(r"([A-Za-z_][\w:]*)\{((?:\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\"'}])*)\}")
_MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*(\"(?:[^\"\\]|\\.)*\"|'[^']*')")
_AGGREGATION = re.compile(r"(max|min|sum|topk)\((?:1,\s*)?(.*)\)", re.DOTALL)
_COMPARISON = re.compile(r"(.*)\s(==|>)\s(\d+)", re.DOTALL)
_LAYOUTS = {"2006-01-02 15:04:05 UTC": "%Y-%m-%d %H:%M:%S UTC"}
_LARGE, _SMALL = "kMGTPEZY", "munpfazy"


class Words:
    """Fills templates for one alert. `now` is in Unix seconds."""

    def __init__(self, select: Select, labels: Mapping[str, str], value: float, now: float) -> None:
        self._select = select
        self._labels = labels
        self._value = value
        self._now = now

    def fill(self, template: str) -> str:
        """The text."""
        parts = list(_split_template(template))
        text, end = self._fill_block(parts, 0, None)
        if end != len(parts):
            raise WordsError(f"an end or else too many: {template!r}")
        return text

    def _fill_block(self, parts: Sequence[tuple[str, str]], at: int, dot: Any) -> tuple[str, int]:
        """The text up to the end of the block, and where that is."""
        text = ""
        while at < len(parts):
            kind, content = parts[at]
            word = content.split(" ", 1)[0]
            if kind == "text":
                text += content
            elif word in ("end", "else"):
                return text, at
            elif word == "with":
                inner, at = self._fill_with_block(parts, at, dot)
                text += inner
            else:
                text += _shown_value(self._evaluate_pipeline(content, dot))
            at += 1
        return text, at

    def _fill_with_block(self, parts: Sequence[tuple[str, str]], at: int, dot: Any) -> tuple[str, int]:
        value = self._evaluate_pipeline(parts[at][1].removeprefix("with "), dot)
        filled, at = self._fill_block(parts, at + 1, value) if value else ("", _end_of_block(parts, at + 1))
        if at < len(parts) and parts[at][1] == "else":
            other, at = self._fill_block(parts, at + 1, dot) if not value else ("", _end_of_block(parts, at + 1))
            filled += other
        return filled, at

    def _evaluate_pipeline(self, text: str, dot: Any) -> Any:
        if re.sub(_TOKEN, "", text).strip():
            raise WordsError(f"not understood: {text!r}")
        words = _TOKEN.findall(text)
        value, end = self._evaluate_commands(words, 0, dot)
        if end != len(words):
            raise WordsError(f"not understood: {text!r}")
        return value

    def _evaluate_commands(self, words: Sequence[str], at: int, dot: Any) -> tuple[Any, int]:
        """Commands up to the end or a parenthesis; each gets the value of the one before as its last argument."""
        value: Any = None
        first = True
        while True:
            terms: list[Any] = []
            while at < len(words) and words[at] not in ("|", ")"):
                term, at = self._evaluate_term(words, at, dot)
                terms.append(term)
            value = self._call_command(terms if first else [*terms, value])
            first = False
            if at >= len(words) or words[at] == ")":
                return value, at
            at += 1

    def _evaluate_term(self, words: Sequence[str], at: int, dot: Any) -> tuple[Any, int]:
        word = words[at]
        if word == "(":
            value, at = self._evaluate_commands(words, at + 1, dot)
            if words[at + 1 : at + 2] == [".Format"]:
                return utc(value).strftime(_LAYOUTS[json.loads(words[at + 2])]), at + 3
            return value, at + 1
        if word.startswith('"'):
            return json.loads(word), at + 1
        if word.startswith("$labels."):
            return self._labels.get(word.removeprefix("$labels."), ""), at + 1
        if word in ("$value", "."):
            return self._value if word == "$value" else dot, at + 1
        if word in self._template_functions:
            return self._template_functions[word], at + 1
        raise WordsError(f"unknown: {word!r}")

    def _call_command(self, terms: Sequence[Any]) -> Any:
        if not terms:
            raise WordsError("an empty command")
        return terms[0](*terms[1:]) if callable(terms[0]) else terms[0]

    @property
    def _template_functions(self) -> Mapping[str, Callable[..., Any]]:
        return {**_FUNCTIONS, "query": self.query}

    def query(self, text: str) -> list[Sample]:
        """The instant vector that an expression gives."""
        text = text.strip()
        if text.startswith("time() - "):
            return [Sample({}, self._now - one.value) for one in self.query(text.removeprefix("time() - "))]
        if match := _COMPARISON.fullmatch(text):
            limit = float(match[3])
            return [
                one for one in self.query(match[1]) if (one.value == limit if match[2] == "==" else one.value > limit)
            ]
        if match := _AGGREGATION.fullmatch(text):
            return _aggregate_samples(match[1], self.query(match[2]))
        if match := _SELECTOR.fullmatch(text):
            matchers = _MATCHER.findall(match[2])
            return [
                one
                for one in self._select(match[1])
                if all(_label_matches(one.labels, *matcher) for matcher in matchers)
            ]
        raise WordsError(f"not understood: {text!r}")


def _split_template(template: str) -> Iterator[tuple[str, str]]:
    """Texts and actions; `{{- ` and ` -}}` take the white space beside them away."""
    at, trims = 0, False
    for match in _ACTION.finditer(template):
        text = template[at : match.start()]
        text = text.lstrip() if trims else text
        yield "text", text.rstrip() if match[1] else text
        yield "action", match[2].strip()
        at, trims = match.end(), bool(match[3])
    rest = template[at:]
    if "{{" in rest:
        raise WordsError(f"not understood: {rest!r}")
    yield "text", rest.lstrip() if trims else rest


def _end_of_block(parts: Sequence[tuple[str, str]], at: int) -> int:
    """Where the block that begins here ends."""
    depth = 0
    while at < len(parts):
        kind, content = parts[at]
        if kind == "action":
            if content.startswith("with "):
                depth += 1
            elif content == "end" or (content == "else" and not depth):
                if not depth:
                    return at
                depth -= 1
        at += 1
    raise WordsError("a block without an end")


def _label_matches(labels: Mapping[str, str], name: str, sign: str, quoted: str) -> bool:
    text, given = json.loads(quoted) if quoted[0] == '"' else quoted[1:-1], labels.get(name, "")
    equal = re.fullmatch(text, given) is not None if "~" in sign else given == text
    return equal != sign.startswith("!")


def _aggregate_samples(function: str, samples: Sequence[Sample]) -> list[Sample]:
    if not samples:
        return []
    if function == "topk":
        return [max(samples, key=lambda one: one.value)]
    values = [one.value for one in samples]
    value = max(values) if function == "max" else min(values) if function == "min" else sum(values)
    return [Sample({}, value)]


def _format_printf(form: str, *values: Any) -> str:
    quoted = iter(values)
    filled = [
        json.dumps(next(quoted), ensure_ascii=False) if kind == "q" else f"%{kind}" % next(quoted)
        for kind in re.findall(r"%(q|s|\.\df)", form)
    ]
    pieces = re.split(r"%(?:q|s|\.\df)", form)
    return "".join(piece + value for piece, value in zip(pieces, [*filled, ""], strict=True))


def humanize(value: float) -> str:
    """With a prefix of the SI, four digits."""
    if not value or not math.isfinite(value):
        return f"{value:.4g}"
    prefix = ""
    if abs(value) >= 1:
        for larger in _LARGE:
            if abs(value) < 1000:
                break
            prefix, value = larger, value / 1000
    else:
        for smaller in _SMALL:
            if abs(value) >= 1:
                break
            prefix, value = smaller, value * 1000
    return f"{value:.4g}{prefix}"


def humanize_duration(value: float) -> str:
    """`1d 2h 3m 4s`, without what is 0 in front."""
    if not math.isfinite(value):
        return f"{value:.4g}"
    if abs(value) < 1:
        return f"{humanize(value)}s"
    minutes, seconds = divmod(int(abs(value)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    sign = "-" if value < 0 else ""
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{value:.4g}s"


def _shown_value(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "printf": _format_printf,
    "print": lambda *parts: "".join(parts),
    "first": lambda vector: vector[0],
    "value": lambda sample: sample.value,
    "label": lambda name, sample: sample.labels.get(name, ""),
    "toTime": lambda seconds: seconds,
    "humanize": humanize,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": lambda share: f"{100 * share:.4g}%",
    "reReplaceAll": lambda pattern, by, text: re.sub(pattern, by, text),
}
