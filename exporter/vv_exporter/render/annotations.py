"""What rules say, as messages of the catalogue, and in another language.

A line of an annotation is a message, without the number in front of a step. Commands and long template calls in it are
`@1`, `@2` …, so that nobody who translates can break one::

    Read its last output: `@1`
    … has been down {{- with @1 }}; its state is {{ . | first | label "state" }}{{ end }}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vv_exporter.language import gettext

TRANSLATED_ANNOTATIONS = ("summary", "description", "suggested_actions")
"""The annotations that people read. The others are names, links and what somebody else wrote."""
LONG = 70  # characters of a template call that stays in the message

ACTION = re.compile(r"""\{\{(?:"(?:[^"\\]|\\.)*"|`[^`]*`|\}(?!\})|[^"`}])*\}\}""")
_CODE = re.compile(r"`([^`]+)`")
_INNER = re.compile(r"(\{\{-?\s*(?:(?:else )?(?:with|if|range)\s+)?)(.*?)(\s*-?\}\})", re.DOTALL)
_STEP = re.compile(r"(\s*(?:\d{1,2}\. )?)(.*)")


def messages(text: str) -> Iterator[str]:
    """The messages of an annotation."""
    for line in text.splitlines():
        _, message = _split_step(line)
        if re.search(r"\w", ACTION.sub("", message)):
            yield _shorten_calls(message)[0]


def translated(text: str) -> str:
    """An annotation in the current language; English where it lacks a line."""
    return "\n".join(map(_translated_line, text.split("\n")))


def translated_rules(document: dict[str, Any]) -> dict[str, Any]:
    """A rule file with what its alerts say in the current language; all else is as it was."""
    groups = [group | {"rules": [translated_rule(rule) for rule in group["rules"]]} for group in document["groups"]]
    return document | {"groups": groups}


def translated_rule(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """A rule, likewise."""
    if "annotations" not in rule:
        return rule
    said = {
        name: translated(text) if name in TRANSLATED_ANNOTATIONS else text for name, text in rule["annotations"].items()
    }
    return {**rule, "annotations": said}


def _translated_line(line: str) -> str:
    number, message = _split_step(line)
    if not message.strip():
        return line
    short, kept = _shorten_calls(message)
    return number + _restore_calls(gettext(short), kept)


def _split_step(line: str) -> tuple[str, str]:
    found = _STEP.fullmatch(line)
    return (found[1], found[2]) if found else ("", line)


def _shorten_calls(message: str) -> tuple[str, list[str]]:
    """The message, and what its `@1`, `@2` … stand for."""
    kept: list[str] = []

    def keep(text: str) -> str:
        if text not in kept:
            kept.append(text)
        return f"@{kept.index(text) + 1}"

    def call(action: re.Match[str]) -> str:
        inner = _INNER.fullmatch(action[0])
        if len(action[0]) <= LONG or inner is None:
            return action[0]
        return f"{inner[1]}{keep(inner[2])}{inner[3]}"

    def code(found: re.Match[str]) -> str:
        return f"`{keep(found[1])}`" if " " in found[1] else found[0]  # a command; a name alone stays

    message = _CODE.sub(code, message)
    return ACTION.sub(call, message), kept


def _restore_calls(message: str, kept: list[str]) -> str:
    def put_back(text: str) -> str:
        number = re.fullmatch(r"@(\d{1,2})", text)
        return kept[int(number[1]) - 1] if number and 0 < int(number[1]) <= len(kept) else text

    def call(action: re.Match[str]) -> str:
        inner = _INNER.fullmatch(action[0])
        return f"{inner[1]}{put_back(inner[2])}{inner[3]}" if inner else action[0]

    message = ACTION.sub(call, message)
    return re.sub(r"`(@\d{1,2})`", lambda command: f"`{put_back(command[1])}`", message)
