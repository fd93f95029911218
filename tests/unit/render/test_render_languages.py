"""Rules and templates in each language: what they judge and call is the same, what they say is not."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.receivers import Opsgenie, Slack, Telegram
from tests.support.servers import Programs, check
from tests.unit.render.conftest import EVERY_CHANNEL
from vv_exporter.language import gettext, languages, speaking
from vv_exporter.render import base, render
from vv_exporter.render.annotations import ACTION, TRANSLATED_ANNOTATIONS
from vv_exporter.render.prometheus import here
from vv_exporter.settings import Settings, load

OTHERS = languages()[1:]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder with what is rendered in a language, for one device."""
    folder = tmp_path_factory.mktemp("rendered")

    @cache
    def rendered(name: str) -> Path:
        render(settings_in(name), folder / name)
        return folder / name

    return rendered


def settings_in(name: str) -> Settings:
    return load({"VV_STATE_DIR": "/var/lib/vv", "VV_DEVICE_ID": "edge-7", "VV_LANGUAGE": name} | EVERY_CHANNEL)


def rules(folder: Path) -> list[dict[str, Any]]:
    return [
        rule
        for path in sorted((folder / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def without_words(rule: dict[str, Any]) -> dict[str, Any]:
    of_the_language = {*TRANSLATED_ANNOTATIONS, "runbook_url"}
    kept = {name: text for name, text in rule.get("annotations", {}).items() if name not in of_the_language}
    return rule | {"annotations": kept}


def calls(text: str) -> Counter[str]:
    return Counter(re.sub(r"\s+", " ", call) for call in ACTION.findall(text))


def commands(text: str) -> Counter[str]:
    return Counter(re.findall(r"`([^`]+)`", text))


def test_english_is_as_committed_byte_for_byte_but_for_the_device(rendered: Callable[[str], Path]) -> None:
    out, settings = rendered("en"), settings_in("en")
    committed = (base.folder() / "prometheus" / "rules").glob("*.yml")

    assert {path.name: here(path.read_text(), settings) for path in committed} == {
        path.name: path.read_text() for path in (out / "rules").glob("*.yml")
    }
    templates = base.folder() / "alertmanager" / "templates"
    assert (out / "templates" / "words.tmpl").read_text() == (templates / "words.tmpl").read_text()


@pytest.mark.parametrize("name", OTHERS)
def test_only_words_differ(rendered: Callable[[str], Path], name: str) -> None:
    english = rules(rendered("en"))
    other = rules(rendered(name))

    assert [without_words(rule) for rule in other] == [without_words(rule) for rule in english]
    for rule in other:
        if "alert" in rule:
            assert rule["annotations"]["runbook_url"] == settings_in(name).runbook(rule["alert"])
    for one, same in zip(other, english, strict=True):
        for key in TRANSLATED_ANNOTATIONS:
            text, source = (rule.get("annotations", {}).get(key, "") for rule in (one, same))
            assert (calls(text), commands(text)) == (calls(source), commands(source)), same["alert"]
            assert text.count("\n") == source.count("\n"), same["alert"]


def test_every_alert_says_in_portuguese_what_it_says(rendered: Callable[[str], Path]) -> None:
    english = rules(rendered("en"))
    portuguese = rules(rendered("pt-BR"))

    same = [
        (one["alert"], key)
        for one, other in zip(english, portuguese, strict=True)
        for key in TRANSLATED_ANNOTATIONS
        if "annotations" in one and one["annotations"].get(key, "") == other["annotations"].get(key)
    ]
    assert same == []


@pytest.mark.prometheus
@pytest.mark.parametrize("name", OTHERS)
def test_the_servers_take_them(rendered: Callable[[str], Path], programs: Programs, name: str) -> None:
    out = rendered(name)

    check(programs.promtool, "check", "rules", "--lint=all", "--lint-fatal", *sorted((out / "rules").glob("*.yml")))
    check(programs.amtool, "check-config", out / "alertmanager.yml")


def group(count: int, status: str, words: str) -> dict[str, Any]:
    """A group of alerts as Alertmanager gives it to a template, with long texts."""
    alerts = [
        {
            "status": status,
            "labels": {"alertname": "StageFailing", "severity": "critical", "device": "edge-7", "component": "scan"},
            "annotations": {"summary": words * 40, "description": words * 900, "suggested_actions": words * 900},
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "2026-03-01T01:02:03Z",
            "fingerprint": "0123456789abcdef",
        }
        for _ in range(count)
    ]
    return {"receiver": "x", "status": status, "alerts": alerts, "commonLabels": alerts[0]["labels"],
            "commonAnnotations": {}, "groupLabels": {}, "externalURL": "http://127.0.0.1"}  # fmt: skip


@pytest.mark.prometheus
@pytest.mark.parametrize("name", languages())
@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_messages_stay_within_the_limits_of_their_channels(
    rendered: Callable[[str], Path], tmp_path: Path, programs: Programs, name: str, count: int, status: str
) -> None:
    out = rendered(name)
    (tmp_path / "data.json").write_text(json.dumps(group(count, status, "ação & <b> ")))
    texts = ("vv.telegram.message", "vv.opsgenie.message", "vv.pagerduty.summary", "vv.slack.text")

    said = check(
        programs.amtool, "template", "render", "--template.glob", out / "templates" / "*.tmpl",
        "--template.data", tmp_path / "data.json",
        "--template.text", "\x1f".join(f'{{{{ template "{text}" . }}}}' for text in texts),
    )  # fmt: skip
    telegram, opsgenie, pagerduty, slack = said.split("\x1f")

    assert len(telegram.encode("utf-16-le")) // 2 <= Telegram.MAX_TEXT
    assert len(opsgenie) <= Opsgenie.LIMITS["message"]
    assert len(pagerduty) <= 1024  # https://developer.pagerduty.com/docs/send-alert-event
    assert len(slack) <= Slack.MAX_TEXT
    with speaking(name):
        assert gettext("RESOLVED" if status == "resolved" else "What to do") in telegram
