"""The pages in the reader's language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import html5lib
import pytest
import requests

from tests.support.pseudo import PSEUDO, forgotten, speaking_pseudo
from tests.support.states import HOSTILE, device, empty
from tests.unit.web.conftest import Serve
from vv_exporter.context import Context
from vv_exporter.state.timeline import Entry, add_to_timeline
from vv_exporter.web import create_app

PAGES = (
    "/",
    "/timeline",
    "/timeline?at=1&component=c",
    "/timeline?component=none",
    "/silence?filter=%7Balertname%3D%22N7%22%7D",
)
ESCAPED = HOSTILE.replace("\u202e", r"\u202e")
# Names, states of Docker and causes as they come; what a catalogue has no word for.
DATA = {
    "edge-1", "English", "português (Brasil)", "SHA-256", "GB", "MB", "kB", "TB", "UTC", "min", "PID", "p50", "p95",
    "alertname=N7", "critical", "error", "warning", "info", "running", "unhealthy", "healthy", "exited", "starting",
    "policy", "manual", "vv-", "front", "/srv/video", "scan_video", "scan_video.py", "summarize_scene",
    "summarize_scene.py", "cleanup_old_files", "logline_generator.py", "analytic",
    "no frames in", ESCAPED, ESCAPED.rpartition("/")[2], ".mp4", "abababababab",
}  # fmt: skip
Get = Callable[..., requests.Response]


@pytest.fixture(autouse=True)
def without_alertmanager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vv_exporter.web.routes.silence.Silences.list", lambda _: [])
    monkeypatch.setattr("vv_exporter.web.routes.silence.preview", lambda *_: ["T7"])


@pytest.fixture
def get(context: Context, serve: Serve) -> Get:
    """Asks a device whose people are told in English."""
    url = serve(create_app(context, device(context.clock(), broken=True))).url

    def get(path: str = "/", accept: str = "", **cookies: str) -> requests.Response:
        headers = {"Accept-Language": accept} if accept else {}
        return requests.get(url + path, headers=headers, cookies=cookies, timeout=10)

    return get


def language_of(answer: requests.Response) -> Any:
    return html5lib.parse(answer.text, namespaceHTMLElements=False).get("lang")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("accept", "spoken"),
    [("", "en"), ("pt-BR,pt;q=0.9,en;q=0.5", "pt-BR"), ("pt", "pt-BR"), ("en,pt-BR;q=0.5", "en"),
     ("ja,pt;q=0.1", "pt-BR"),
     ("ja", "en"), ("*", "en"), ("pt;q=0, en", "en"), (";;q=x", "en")],
)  # fmt: skip
def test_a_page_is_in_the_language_that_the_browser_asks_for(get: Get, path: str, accept: str, spoken: str) -> None:
    answer = get(path, accept)

    assert language_of(answer) == spoken
    assert "Accept-Language" in answer.headers["Vary"]
    assert ("Linha do tempo" in answer.text) == (spoken == "pt-BR")


def test_what_the_reader_chose_is_kept(get: Get) -> None:
    chosen = get("/?lang=pt-BR", "en")

    assert language_of(chosen) == "pt-BR"
    cookie = chosen.headers["Set-Cookie"]
    assert "vv_language=pt-BR" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert language_of(get("/", "en", vv_language="pt-BR")) == "pt-BR"
    assert language_of(get("/?lang=en", "pt", vv_language="pt-BR")) == "en"


@pytest.mark.parametrize("other", ["xx", "", "../../etc", "<script>", "x" * 5000])
def test_a_language_that_there_is_not_is_no_choice(get: Get, other: str) -> None:
    answer = requests.get(get().url, params={"lang": other}, timeout=10)

    assert language_of(answer) == "en"
    assert "Set-Cookie" not in answer.headers
    assert language_of(get("/", "pt", vv_language=other[:100])) == "pt-BR"


def test_each_page_leads_to_itself_in_the_other_languages(get: Get) -> None:
    document = html5lib.parse(get("/timeline?component=c%22&lang=en").text, namespaceHTMLElements=False)

    links = {one.get("hreflang"): one.get("href") for one in document.iter("a") if one.get("hreflang")}
    assert links == {"en": "?component=c%22&lang=en", "pt-BR": "?component=c%22&lang=pt-BR"}


def test_who_asks_for_none_gets_the_one_that_people_are_told_in(context: Context, serve: Serve) -> None:
    portuguese = replace(context, settings=replace(context.settings, language="pt-BR"))
    url = serve(create_app(portuguese, device(context.clock(), broken=True))).url

    assert language_of(requests.get(url, timeout=10)) == "pt-BR"
    program = requests.get(f"{url}/api/v1/status", timeout=10).json()
    reader = requests.get(f"{url}/api/v1/status", headers={"Accept-Language": "pt"}, timeout=10).json()
    assert "job cleanup_old_files did not run on time" in program["troubles"]
    assert "o job cleanup_old_files não foi executado no horário" in reader["troubles"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("state", ["broken", "well", "empty"])
def test_every_sentence_of_a_page_is_in_the_catalogue(context: Context, serve: Serve, path: str, state: str) -> None:
    told = Entry("K7", "T7", "error", "c", "D7", video="/v7.mp4", alert_id="A7", runbook_url="https://example.org/r")
    with context.store.transaction() as tx:
        add_to_timeline(tx, tx.now, told)
    parts = empty(context.clock()) if state == "empty" else device(context.clock(), broken=state == "broken")
    spoken = replace(context, settings=replace(context.settings, language=PSEUDO))
    url = serve(create_app(spoken, parts)).url

    with speaking_pseudo():
        document = html5lib.parse(requests.get(url + path, timeout=10).text, namespaceHTMLElements=False)

    said = [shown(document), *(text for element in document.iter() for text in said_by(element))]
    assert [word for text in said for word in forgotten(text, DATA)] == []


def shown(element: Any) -> str:
    """What is read, but for code."""
    if element.tag in ("script", "style", "code"):
        return ""
    return (element.text or "") + "".join(shown(child) + (child.tail or "") for child in element)


def said_by(element: Any) -> list[str]:
    """What a screen reader says of an element."""
    return [element.get(name, "") for name in ("aria-label", "alt", "placeholder")]
