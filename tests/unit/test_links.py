"""Where the links of messages lead."""

from urllib.parse import parse_qs, urlsplit

import pytest

from vv_exporter.direct.message import silence_url
from vv_exporter.settings import load
from vv_exporter.silences.matchers import Matcher, parse_filter


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


def test_the_link_of_a_direct_message_is_one() -> None:
    url = silence_url("http://d/silence?filter=", "AlertPathBroken", "edge-1")

    (query,) = parse_qs(urlsplit(url).query)["filter"]
    assert parse_filter(query) == [Matcher("alertname", "=", "AlertPathBroken"), Matcher("device", "=", "edge-1")]
