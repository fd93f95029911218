"""The runbooks that the device serves itself."""

import re
from pathlib import Path

import html5lib
import pytest
import requests

from tests.rules.catalogue import NAMES, RUNBOOKS
from tests.unit.web.conftest import Serve
from vv_exporter.context import Context
from vv_exporter.settings import RUNBOOK_BASE_URL, load
from vv_exporter.web import create_app, runbooks


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
        for link in re.findall(r'href="([^"]*)"', runbooks.html(path.stem, load({"VV_CONFIG": ""})))
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
    monkeypatch.setattr(runbooks, "_folder", lambda: tmp_path)

    body = runbooks.html("Hostile", load({"VV_CONFIG": ""}))

    assert "<script" not in body
    assert "<img" not in body
    assert "href=" not in body
    assert "<code>&lt;b&gt;</code>" in body


def test_its_commands_are_this_devices(tmp_path: Path) -> None:
    settings = load(
        {"VV_CONFIG": "", "VV_DEPLOYMENT": "systemd", "VV_STATE_DIR": str(tmp_path), "VV_PROMETHEUS_PORT": "29090"}
    )

    body = runbooks.html("ExporterDown", settings)

    assert f"{tmp_path}/logs/app.log" in body
    assert "http://127.0.0.1:29090/api/v1/targets" in body
    assert "systemctl status --no-pager vv-exporter" in body
    assert "docker compose" not in body
