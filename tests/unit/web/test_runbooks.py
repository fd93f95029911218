"""The runbooks that the device serves itself."""

import re
from dataclasses import replace
from pathlib import Path

import html5lib
import pytest
import requests

from tests.rules.catalogue import NAMES, ROOT, RUNBOOKS
from tests.unit.web.conftest import Serve
from vv_exporter.context import Context
from vv_exporter.language import languages
from vv_exporter.render import base
from vv_exporter.settings import RUNBOOK_BASE_URL, load
from vv_exporter.web import create_app, runbooks

NO_ONE_SEVERITY = {"Drill", "VVEvent"}


@pytest.fixture
def url(context: Context, serve: Serve) -> str:
    return serve(create_app(context, [])).url


def test_every_alert_has_its_page_and_every_page_is_html(url: str) -> None:
    for name in sorted(NAMES):
        answer = requests.get(f"{url}/runbooks/{name}", timeout=10)
        assert answer.status_code == 200
        html5lib.HTMLParser(strict=True).parse(answer.text)
        assert f"<h1>{name}</h1>" in answer.text


def test_the_index_has_every_runbook(url: str) -> None:
    listed = re.findall(r'href="/runbooks/(\w+)"', requests.get(f"{url}/runbooks/", timeout=10).text)

    assert listed == [path.stem for path in RUNBOOKS]


@pytest.mark.parametrize("name", ["Nothing", "..%2f..%2fpyproject", "JobFailed.md", "%00", "ä", "x" * 300])
def test_there_are_no_others(url: str, name: str) -> None:
    assert requests.get(f"{url}/runbooks/{name}", timeout=10).status_code == 404


def test_links_stay_on_the_device_or_lead_to_the_projects_documents() -> None:
    links = {
        link
        for path in RUNBOOKS
        for link in re.findall(r'href="([^"]*)"', runbooks.body(path.stem, load({"VV_CONFIG": ""})).html)
    }
    pages = {f"/runbooks/{path.stem}" for path in RUNBOOKS}

    assert {link for link in links if link.startswith("/")} <= pages
    assert len(pages & links) > 10
    docs = RUNBOOK_BASE_URL.rpartition("/")[0]
    assert f"{docs}/delivery.md" in links
    assert {link for link in links if not re.match(r"/|https?://|#", link)} == set()


def test_nothing_in_a_runbook_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Hostile.md").write_text(
        "# Hostile\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) <img src=x onerror=y>\n\n`<b>`\n"
    )
    monkeypatch.setattr(runbooks, "_runbooks_folder", lambda _: tmp_path)

    body = runbooks.body("Hostile", load({"VV_CONFIG": ""})).html

    assert "<script" not in body
    assert "<img" not in body
    assert "href=" not in body
    assert "<code>&lt;b&gt;</code>" in body


def test_its_commands_are_this_devices(tmp_path: Path) -> None:
    settings = load(
        {"VV_CONFIG": "", "VV_DEPLOYMENT": "systemd", "VV_STATE_DIR": str(tmp_path), "VV_PROMETHEUS_PORT": "29090"}
    )

    body = runbooks.body("ExporterDown", settings).html

    assert f"{tmp_path}/logs/app.log" in body
    assert "http://127.0.0.1:29090/api/v1/targets" in body
    assert "systemctl status --no-pager vv-exporter" in body
    assert "docker compose" not in body


@pytest.mark.parametrize(
    ("accept", "query", "language"),
    [
        ("", "", "en"),
        ("pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7", "", "pt-BR"),
        ("pt", "", "pt-BR"),
        ("pt-PT,en;q=0.5", "", "pt-BR"),
        ("PT_br", "", "pt-BR"),
        ("en-GB,pt;q=0.9", "", "en"),
        ("fr,pt;q=0.9,en;q=0.5", "", "pt-BR"),
        ("pt;q=0,en;q=0.5", "", "en"),
        ("fr", "", "en"),
        ("*", "", "en"),
        ("p" * 9000 + ';q=x,"', "", "en"),
        ("pt-BR", "?lang=en", "en"),
        ("en", "?lang=pt-BR", "pt-BR"),
        ("en", "?lang=pt", "pt-BR"),
        ("pt", "?lang=../../runbooks", "pt-BR"),
        ("", "?lang=", "en"),
        (",".join(["xx"] * 500), "", "en"),
    ],
)
def test_a_runbook_is_read_in_the_language_of_its_reader(url: str, accept: str, query: str, language: str) -> None:
    answer = requests.get(f"{url}/runbooks/DiskSpaceLow{query}", headers={"Accept-Language": accept}, timeout=10)
    index = requests.get(f"{url}/runbooks/{query}", headers={"Accept-Language": accept}, timeout=10)

    html5lib.HTMLParser(strict=True).parse(answer.text)
    html5lib.HTMLParser(strict=True).parse(index.text)
    assert f'<article class="runbook" lang="{language}">' in answer.text
    assert ("<h2>Diagnóstico</h2>" in answer.text) == (language == "pt-BR")
    assert ("espaço livre" in index.text) == (language == "pt-BR")
    assert set(re.findall(r'class="meta" lang="([\w-]+)"', index.text)) == {language}
    assert "Accept-Language" in answer.headers["Vary"]
    assert "Accept-Encoding" in answer.headers["Vary"]


def test_a_choice_is_kept(url: str) -> None:
    reader = requests.Session()
    reader.headers["Accept-Language"] = "en"

    def language() -> str:
        found = re.search(
            r'<article class="runbook" lang="([\w-]+)">', reader.get(f"{url}/runbooks/Drill", timeout=10).text
        )
        assert found is not None
        return found[1]

    assert language() == "en"
    assert not reader.cookies
    reader.get(f"{url}/runbooks/?lang=pt", timeout=10)
    assert language() == "pt-BR"
    reader.get(f"{url}/runbooks/?lang=klingon", timeout=10)
    assert language() == "pt-BR"
    reader.get(f"{url}/runbooks/Drill?lang=en", timeout=10)
    reader.headers["Accept-Language"] = "pt-BR"
    assert language() == "en"


def test_who_asks_for_no_language_reads_that_of_the_device(context: Context, serve: Serve) -> None:
    settings = replace(context.settings, language="pt-BR")
    url = serve(create_app(replace(context, settings=settings), [])).url

    for accept, language in (("", "pt-BR"), ("fr", "pt-BR"), ("en", "en")):
        text = requests.get(f"{url}/runbooks/Drill", headers={"Accept-Language": accept}, timeout=10).text
        assert f'<article class="runbook" lang="{language}">' in text


def test_each_language_can_be_chosen(url: str) -> None:
    for page in ("", "DiskSpaceLow"):
        text = requests.get(f"{url}/runbooks/{page}", timeout=10).text
        assert re.findall(r'href="\?lang=([\w-]+)"', text) == list(languages())


def test_what_a_language_lacks_is_read_in_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, name, text in (
        ("runbooks", "Both", "**error** — in English\n\n## Meaning"),
        ("runbooks", "New", "**error** — new\n\n## Meaning"),
        ("pt-BR/runbooks", "Both", "**error** — em português\n\n## Significado"),
    ):
        path = tmp_path / "docs" / folder / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n\n{text}\n", encoding="utf-8")
    monkeypatch.setattr(base, "folder", lambda: tmp_path)
    settings = load({"VV_CONFIG": ""})

    assert runbooks.index("pt-BR") == [
        runbooks.Runbook("Both", "error", "em português", "pt-BR"),
        runbooks.Runbook("New", "error", "new", "en"),
    ]
    assert runbooks.body("Both", settings, "pt-BR").language == "pt-BR"
    assert runbooks.body("New", settings, "pt-BR").language == "en"
    with pytest.raises(LookupError):
        runbooks.body("Nothing", settings, "pt-BR")


@pytest.mark.parametrize("language", languages())
def test_every_runbook_has_a_line_in_the_index_in_every_language(language: str) -> None:
    listed = runbooks.index(language)

    assert [one.name for one in listed] == [path.stem for path in RUNBOOKS]
    assert {one.language for one in listed} == {language}
    assert [one.name for one in listed if not one.summary and one.name not in NO_ONE_SEVERITY] == []
    assert [one.severity for one in listed] == [one.severity for one in runbooks.index()]


@pytest.mark.parametrize("language", languages())
def test_links_lead_to_documents_that_there_are(language: str) -> None:
    settings = load({"VV_CONFIG": ""})
    bodies = [runbooks.body(path.stem, settings, language).html for path in RUNBOOKS]
    links = {link for body in bodies for link in re.findall(r'href="([^"]*)"', body)}
    project = RUNBOOK_BASE_URL.removesuffix("/docs/runbooks")

    assert {link for link in links if link.startswith("/")} <= {f"/runbooks/{path.stem}" for path in RUNBOOKS}
    documents = [link.removeprefix(f"{project}/") for link in links if link.startswith(project)]
    assert len(documents) > 3
    assert [path for path in documents if not (ROOT / path.partition("#")[0]).is_file()] == []
