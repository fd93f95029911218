"""Where the links of messages lead."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from vv_exporter.common.matchers import Matcher, parse_filter
from vv_exporter.settings import load

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("environ", "runbook", "silence"),
    [
        ({}, "https://github.com/", "http://127.0.0.1:19461/silence?filter="),
        ({"VV_PUBLIC_URL": "https://e/vv/"}, "https://e/vv/runbooks/X", "https://e/vv/silence?filter="),
        (
            {"VV_PUBLIC_URL": "https://e", "VV_RUNBOOK_BASE_URL": "https://w"},
            "https://w/X.md",
            "https://e/silence?filter=",
        ),
        (
            {"VV_ALERTMANAGER_PUBLIC_URL": "https://a"},
            "https://github.com/",
            "https://a/#/silences/new?filter=",
        ),
        (
            {"VV_ALERTMANAGER_PUBLIC_URL": "https://a", "VV_PUBLIC_URL": "https://e"},
            "https://e/runbooks/X",
            "https://e/silence?filter=",
        ),
    ],
)
def test_links_lead_to_the_device_where_it_can_be_reached(environ: dict[str, str], runbook: str, silence: str) -> None:
    settings = load({"VV_CONFIG": "", **environ})

    assert settings.runbook("X").startswith(runbook)
    assert settings.silence_form == silence


def test_without_a_page_of_their_own_runbooks_are_the_projects_in_the_language_of_the_messages() -> None:
    project = "https://github.com/VV-Video-AI-System/vv-exporter/blob/main"

    def runbook(**environ: str) -> str:
        return load({"VV_CONFIG": "", "VV_LANGUAGE": "pt-BR", **environ}).runbook("JobFailed")

    assert runbook() == f"{project}/docs/pt-BR/runbooks/JobFailed.md"
    assert (ROOT / runbook().removeprefix(f"{project}/")).is_file()
    assert runbook(VV_PUBLIC_URL="https://e") == "https://e/runbooks/JobFailed"
    assert runbook(VV_RUNBOOK_BASE_URL="https://w") == "https://w/JobFailed.md"


@pytest.mark.parametrize(
    ("labels", "matched"),
    [
        ({"title": 'a "b" \\ \u202e'}, {"alertname", "device", "title"}),
        ({"severity": "error", "occurrence": "1", "repeats": "2", "told": "direct"}, {"alertname", "device"}),
        ({"title": "x" * 121, "path": "/v"}, {"alertname", "device", "path"}),
        ({f"l{number}": "ä" * 60 for number in range(5)}, {"alertname", "device"}),
    ],
)
def test_a_link_to_a_silence_is_for_the_alert_as_it_will_come_up_again(
    labels: dict[str, str], matched: set[str]
) -> None:
    labels = {"alertname": "VVEvent", "device": "edge-1", **labels}
    url = load({"VV_CONFIG": ""}).silence_url(labels)

    (query,) = parse_qs(urlsplit(url).query)["filter"]
    assert parse_filter(query) == [Matcher(name, "=", labels[name]) for name in sorted(matched)]


def test_what_fits_into_no_link_is_left_to_the_form() -> None:
    assert load({"VV_CONFIG": ""}).silence_url({"alertname": "ä" * 100, "device": "b"}).endswith("?filter=")
