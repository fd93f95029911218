"""The pages in a real browser: at a phone's, a tablet's and a desk's width, light and dark, in every state of a device;
and that page, terminal and metrics of a real device agree."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from msgspec.structs import replace

from tests.support.browser import WIDTHS, Browser, Page, follow, opened, problems, sticking_out
from tests.support.device import Device
from tests.support.exporter import QUIET, Exporter
from tests.support.servers import Alertmanager, Programs
from tests.support.states import HOSTILE, LONG, device, empty
from tests.support.terminal import on_terminal
from tests.support.waiting import wait_until
from vv_exporter.context import Context
from vv_exporter.language import languages, title_of
from vv_exporter.settings import load
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import Entry, add_to_timeline
from vv_exporter.status import Past
from vv_exporter.web import Server, create_app
from vv_exporter.web.guard import Guarded

pytestmark = [pytest.mark.browser, pytest.mark.prometheus]

RULES = Path(__file__).parents[2] / "prometheus" / "rules"
ALERTMANAGER = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


def every_alert() -> list[dict[str, Any]]:
    """Each alert of the rules, with the names and texts that an attacker would choose."""
    groups = [group for file in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(file.read_text())["groups"]]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return [
        {
            "labels": {
                "alertname": rule["alert"],
                "severity": rule["labels"].get("severity", "error").partition("{")[0] or "error",
                "component": HOSTILE,
                "device": "edge-7",
                "name": str(number),
            },
            "annotations": {
                "summary": f"{rule['alert']} of {HOSTILE}",
                "description": f"{rule['annotations']['description']}\n{HOSTILE}\n{LONG}",
                "suggested_actions": rule["annotations"]["suggested_actions"],
                "runbook_url": f"https://example.org/{rule['alert']}",
                "video": f"/srv/video/input/{HOSTILE}.mp4",
                "video_sha256": "ab" * 32,
            },
        }
        for number, rule in enumerate(rules)
    ]


HOSTILE_ENTRY = Entry(
    "stage.failed", f"Stage {HOSTILE} failed", "error", LONG, f"{HOSTILE}\n" * 9, f"/v/{HOSTILE}", "ab" * 32
)


class Site:
    """A web server of the exporter's pages for a device in a state, with a real Alertmanager or none."""

    def __init__(self, folder: Path, collectors: list[Guarded], alertmanager_port: int) -> None:
        environ = {"VV_STATE_DIR": str(folder), "VV_CONFIG": "", "VV_DEVICE_ID": "edge-7"}
        settings = load({**environ, "VV_ALERTMANAGER_PORT": str(alertmanager_port)})
        self.store = Store(folder / "state.db", time.time)
        context = Context(settings=settings, store=self.store, clock=time.time, monotonic=time.monotonic)
        past = Past()
        for minute in range(20):
            past.record_sample([], time.time() - 60 * (20 - minute))
        self._server = Server("127.0.0.1:0", create_app(context, collectors, past=past))
        self._server.start()
        self.url = self._server.url

    def close(self) -> None:
        self._server.stop()
        self.store.close()

    def happened(self, *entries: Entry) -> None:
        with self.store.transaction() as tx:
            for number, entry in enumerate(entries):
                add_to_timeline(tx, tx.now - 70 * number, entry)


STATES = ("healthy", "alerts", "without Docker", "nothing configured", "Alertmanager absent")


@pytest.fixture(scope="module", params=STATES)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, programs: Programs
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    config = folder / "alertmanager.yml"
    config.write_text(ALERTMANAGER)
    now, state = time.time(), request.param
    stages = (HOSTILE, LONG, "scan_video")
    collectors = {
        "alerts": lambda: device(now, broken=True, stages=stages, containers_=50),
        "nothing configured": lambda: empty(now),
        "without Docker": lambda: device(now, docker=False),
    }.get(state, lambda: device(now))()
    with Alertmanager(config, folder / "alertmanager", programs) as alertmanager:
        site = Site(folder, collectors, alertmanager.port)
        if state == "alerts":
            alertmanager.post("/api/v2/alerts", every_alert())
            levels = ("critical", "error", "warning", "info")
            site.happened(*(replace(HOSTILE_ENTRY, severity=level) for level in levels))
        if state == "Alertmanager absent":
            alertmanager.kill()
        yield site
        site.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", ["/", "/timeline"])
def test_everybody_can_read_it_everywhere(site: Site, chromium: Browser, path: str, width: int, scheme: str) -> None:
    with opened(chromium, site.url + path, width=width, color_scheme=scheme) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")

        assert problems(page) == []


@pytest.mark.parametrize("path", ["/", "/timeline"])
def test_there_is_no_width_between_that_is_too_narrow(site: Site, chromium: Browser, path: str) -> None:
    with opened(chromium, site.url + path) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        for width in range(320, 1500, 60):
            page.set_viewport_size({"width": width, "height": 900})
            assert (width, sticking_out(page)) == (width, [])


@pytest.mark.parametrize("path", ["/", "/timeline"])
def test_it_needs_no_script(site: Site, chromium: Browser, path: str) -> None:
    with opened(chromium, site.url + path, width=360, java_script_enabled=False) as page:
        assert page.locator("h1").inner_text() != ""
        assert page.locator("#refresh").is_hidden()
        assert page.locator("footer").is_visible()


def refreshed(page: Page) -> str:
    """Of when the page is, after it was asked to refresh, as when the reader comes back to the tab."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    return page.locator(".as-of").inner_text()


class Slowly:
    """The exporter as a process, and a page that refreshes when it is told to."""

    def __init__(self, exporter: Exporter, page: Page) -> None:
        self.exporter = exporter
        self.page = page
        wait_until(lambda: page.locator("#refresh").is_visible(), what="the script")

    def refresh(self) -> None:
        """As when the reader comes back to the tab."""
        self.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    def script(self, code: str) -> None:
        environ = {**self.exporter.environ}
        subprocess.run([sys.executable, "-c", code], env=environ, check=True)


FAIL = """
from vv_core.stages import stage
try:
    with stage("scan_video", video="/v/{name}.mp4", component="scan_video.py"):
        raise ValueError("no frames in {name}")
except ValueError:
    pass
"""


@pytest.fixture
def slowly(tmp_path: Path, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Slowly]:
    with (
        Exporter(tmp_path / "state", VV_ALERTMANAGER_PORT="1", **QUIET) as exporter,
        opened(chromium, exporter.url + getattr(request, "param", "/timeline"), width=360) as page,
    ):
        yield Slowly(exporter, page)


def test_what_happens_comes_to_the_page_and_the_reader_keeps_the_place(slowly: Slowly) -> None:
    page = slowly.page
    for number in range(12):
        slowly.script(FAIL.format(name=f"first-{number}"))
    page.reload()
    wait_until(lambda: (page.reload(), page.locator("li.moment").count())[1] >= 13, what="the failures")
    page.locator("#f-component").fill("half-typed")
    page.locator("#f-component").focus()
    page.evaluate("window.scrollTo(0, 700)")
    marked = page.evaluate("document.querySelector('li.moment:nth-child(5)').id")
    page.evaluate("id => { document.getElementById(id).kept = true }", marked)
    top = page.evaluate("id => document.getElementById(id).getBoundingClientRect().top", marked)
    slowly.script(FAIL.format(name="later"))

    wait_until(lambda: (slowly.refresh(), page.get_by_text("/v/later.mp4").count())[1] == 1, what="the new failure")
    assert page.evaluate("id => document.getElementById(id).kept", marked)
    assert page.locator("#f-component").input_value() == "half-typed"
    assert page.evaluate("document.activeElement.id") == "f-component"
    after = page.evaluate("id => document.getElementById(id).getBoundingClientRect().top", marked)
    assert abs(after - top) < 3


@pytest.mark.parametrize("slowly", ["/"], indirect=True)
def test_the_reader_can_have_it_stand_still(slowly: Slowly) -> None:
    page = slowly.page
    button = page.locator("#refresh button")
    button.click()
    shown = page.locator(".as-of").inner_text()

    assert button.inner_text() == "Resume"
    assert "Paused: this is as of" in page.locator("#refresh").inner_text()
    assert page.locator(".as-of").inner_text() == shown
    button.click()
    wait_until(lambda: page.locator(".as-of").inner_text() != shown, what="a refresh")
    assert button.inner_text() == "Pause"


def test_a_page_that_is_old_says_so(tmp_path: Path, chromium: Browser) -> None:
    with Exporter(tmp_path / "state", **QUIET) as exporter:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(exporter.url)
        slowly = Slowly(exporter, page)
        exporter.stop()
        slowly.refresh()
        wait_until(lambda: page.evaluate("document.body.classList.contains('stale')"), what="the warning")

        assert "No answer: this is as of" in page.locator("#refresh").inner_text()
        exporter.start()
        slowly.refresh()
        wait_until(lambda: page.evaluate("!document.body.classList.contains('stale')"), what="the end of it")
        context.close()


CRASH = f"""
from vv_core.stages import stage
with stage("scan_video", video={HOSTILE!r}):
    print(flush=True)
    input()
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, programs: Programs) -> Iterator[Device]:
    """A device on which a script crashed and one raised an alert, and of which both have been told."""
    environ = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    with Device(tmp_path_factory.mktemp("real"), environ) as device:
        child = device.script(CRASH)
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.wait()
        device.script("from vv_core.alerter import send_alert; send_alert('CRITICAL', 'Key <b>gone</b>', 'k7', 's.py')")
        wait_until(lambda: device.alerts(alertname="VVEvent") and device.alerts(alertname="StageCrashed"), 60)
        wait_until(lambda: "ALERT FIRING CRITICAL VVEvent" in device.app_log(), 60, what="the notification")
        yield device


def vv(device: Device, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "vv_exporter", *arguments]
    return subprocess.run(command, env=device.env, capture_output=True, text=True, timeout=60)


def test_page_terminal_and_metrics_agree(real: Device, chromium: Browser) -> None:
    query = 'vv_stage_duration_seconds_count{stage="scan_video",outcome="crashed"} > 0'
    crashed = wait_until(lambda: real.query(query), what="the scrape of what people were told of before it")
    document = json.loads(vv(real, "status", "--json").stdout)
    printed = vv(real, "status")

    assert printed.returncode == 1
    assert [stage["crashed"] for stage in document["stages"]] == [int(crashed[0]["value"][1])] == [1]
    assert "0 succeeded, 0 failed, 1 crashed" in printed.stdout
    with opened(chromium, real.url("exporter")) as page:
        assert "0 succeeded, 0 failed, 1 crashed" in page.locator("#stages").inner_text()
        assert page.locator("#verdict").inner_text().startswith("! Needs attention")
        shown = page.locator("#alerts h3").all_inner_texts()
        expected = [alert["summary"] for alert in document["alerts"]]
        assert [re.sub(r"^\w+ ", "", title) for title in shown] == [" ".join(text.split()) for text in expected]
        assert problems(page) == []


def test_details_stay_as_the_reader_left_them(real: Device, chromium: Browser) -> None:
    with opened(chromium, real.url("exporter")) as page:
        first = page.locator("#alerts summary").first
        first.click()
        shown = page.locator(".as-of").inner_text()
        wait_until(lambda: refreshed(page) != shown, what="a refresh")

        assert page.locator("#alerts details").first.get_attribute("open") is None
        assert page.locator("#alerts details").nth(1).get_attribute("open") is not None
        assert page.evaluate("document.activeElement === document.querySelector('#alerts summary')")


def test_the_way_of_a_fault_can_be_followed(real: Device, chromium: Browser) -> None:
    moments = json.loads(vv(real, "timeline", "--json").stdout)["moments"]
    kinds = [one["kind"] for one in reversed(moments)]

    assert kinds.index("exporter.started") < kinds.index("stage.crashed")
    assert kinds.index("alert.raised") < len(kinds) - 1 - kinds[::-1].index("alert.firing")
    (crash,) = (one for one in moments if one["kind"] == "stage.crashed")
    assert crash["component"] != ""
    printed = vv(real, "timeline").stdout
    assert "Stage scan_video crashed" in printed
    assert "Alert: Key <b>gone</b>" in printed
    assert "Stage scan_video crashed" in vv(real, "timeline", "--around", str(crash["time"])).stdout
    assert vv(real, "timeline", "--around", str(crash["time"] - 7200)).stdout == "no entries\n"
    with opened(chromium, real.url("exporter"), width=360) as page:
        follow(page, page.get_by_role("link", name="What happened then").first)
        assert page.get_by_text("Key <b>gone</b>").count() >= 1
        assert page.locator(".marked").count() == 1
        assert problems(page) == []


@pytest.mark.parametrize("language", languages())
def test_runbooks_are_read_in_the_language_of_the_browser(real: Device, chromium: Browser, language: str) -> None:
    with opened(chromium, f"{real.url('exporter')}/runbooks/", width=360, locale=language) as page:
        assert problems(page) == []
        follow(page, page.get_by_role("link", name="AlertPathBroken", exact=True))
        assert page.locator("article").get_attribute("lang") == language
        assert problems(page) == []
        other = next(one for one in languages() if one != language)
        follow(page, page.get_by_role("link", name=title_of(other), exact=True))
        assert page.locator("article").get_attribute("lang") == other
        follow(page, page.get_by_role("link", name="DiskSpaceCritical", exact=True).first)
        assert page.locator("article").get_attribute("lang") == other  # what was chosen is kept


def test_on_a_terminal_it_has_colours_and_the_verdict_at_the_end(real: Device) -> None:
    printed = on_terminal([sys.executable, "-m", "vv_exporter", "status"], real.env, columns=100, lines=20)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines()

    assert "\x1b[31mneeds attention\x1b[0m" in printed
    assert "\x1b" not in vv(real, "status").stdout
    assert shown[0] == "edge-7: needs attention"
    assert shown[-1].startswith("edge-7: needs attention; first: critical: ")


def test_status_is_watched_until_it_is_interrupted(real: Device) -> None:
    command = [sys.executable, "-m", "vv_exporter", "status", "--watch", "--interval", "0.5"]
    with subprocess.Popen(command, env=real.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        seen = 0
        while seen < 3:
            seen += child.stdout.readline().startswith("edge-7: needs attention")
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)

    assert (child.returncode, errors) == (1, "")


def test_the_api_answers_without_alertmanager_too(tmp_path: Path) -> None:
    with Exporter(tmp_path / "state", VV_ALERTMANAGER_PORT="1", **QUIET) as exporter:
        found = requests.get(f"{exporter.url}/api/v1/status", timeout=10).json()

    assert found["alerts"] is None
    assert found["troubles"][1] == "Alertmanager does not answer: what fires is not known"
