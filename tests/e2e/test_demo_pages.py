"""The pages of devices that really run, in a real browser: the demo with its alerts firing, a full disk, no DVR and no
Docker Engine; the demo without faults; and a first start with nothing configured."""

import contextlib
import json
import re
from collections.abc import Iterator

import html5lib
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.browser import WIDTHS, Browser, Page, follow, opened, problems
from tests.support.demo import TOUR, Demo, running
from tests.support.servers import Programs
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.prometheus, pytest.mark.timeout(600)]

HOSTILE = "<img src=x onerror=alert(1)>\"'&.mp4"
ROOMY = {"DISK_WARNING_FREE": "2MB", "DISK_CRITICAL_FREE": "1MB"}
BROKEN = {
    "DISK_WARNING_FREE": "100%",
    "DISK_CRITICAL_FREE": "100%",
    "DVR_IP": "127.0.0.1:9",
    "DOCKER_HOST": "unix:///nonexistent/docker.sock",
}
# One of each class that can fire without containers; the others are in test_pages.py.
EXPECTED = {
    "DiskSpaceCritical",
    "DockerUnreachable",
    "DvrUnreachable",
    "HmacVerificationFailed",
    "JobFailed",
    "SchemaValidationFailed",
    "StageCrashed",
    "StageFailing",
    "StageOverdue",
    "VVEvent",
}
Demos = dict[str, Demo]


@pytest.fixture(scope="module")
def demos(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demos]:
    """Three devices, when each is in the state that it is named after."""
    folder = tmp_path_factory.mktemp("demos")
    with contextlib.ExitStack() as stack:
        demos = {
            "alerts": stack.enter_context(running(folder / "alerts", "--demo", **BROKEN)),
            "healthy": stack.enter_context(running(folder / "healthy", "--demo=healthy", **ROOMY)),
            "first start": stack.enter_context(running(folder / "first", **ROOMY, VV_CONFIG="")),
        }
        videos = demos["alerts"].state / "demo" / "videos" / "input"
        wait_until(lambda: fired(demos["alerts"]) >= EXPECTED, TOUR, what=f"all of {sorted(EXPECTED)}")
        (videos / HOSTILE).write_bytes(b"no video")
        wait_until(lambda: escaped(HOSTILE) in metrics(demos["alerts"]), TOUR, what="the failure of the hostile video")
        for name in ("healthy", "first start"):
            wait_until(lambda name=name: status(demos[name])["ok"], 60, what=f"{name}: all is well")
        yield demos


def metrics(demo: Demo) -> str:
    """What Prometheus scrapes."""
    return requests.get(f"{demo.url}/metrics", timeout=10).text


def escaped(name: str) -> str:
    """A name as it stands in a label."""
    return name.replace('"', '\\"')


def status(demo: Demo) -> dict[str, object]:
    answer = requests.get(f"{demo.url}/api/v1/status", timeout=10)
    found: dict[str, object] = answer.json()
    return found


def fired(demo: Demo) -> set[str]:
    """Every alert that was notified."""
    return set(re.findall(r"ALERT FIRING \w+ (\w+):", demo.log()))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", ["/", "/timeline"])
@pytest.mark.parametrize("state", ["alerts", "healthy", "first start"])
def test_everybody_can_read_it_everywhere(
    demos: Demos, chromium: Browser, state: str, path: str, width: int, scheme: str
) -> None:
    with opened(chromium, demos[state].url + path, width=width, color_scheme=scheme) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")

        assert problems(page) == []


@pytest.mark.parametrize("path", ["/", "/timeline", "/timeline?at=1m&component=scan_video"])
@pytest.mark.parametrize("state", ["alerts", "healthy", "first start"])
def test_it_is_valid_html(demos: Demos, state: str, path: str) -> None:
    answer = requests.get(demos[state].url + path, timeout=10)

    html5lib.HTMLParser(strict=True).parse(answer.text)


def test_one_look_says_what_is_wrong_and_what_first(demos: Demos, chromium: Browser) -> None:
    with opened(chromium, demos["alerts"].url, width=360) as page:
        verdict = page.locator("#verdict")
        assert verdict.bounding_box()["y"] + verdict.bounding_box()["height"] < 400  # type: ignore[index]
        assert verdict.locator("a").inner_text() == page.locator("#alerts h3").first.inner_text().split(" ", 1)[1]
        marks = {one.get_attribute("class") for one in page.locator("#overview li").all()}
        assert "bad" in marks
        for card in page.locator("#alerts article").all():
            assert card.get_by_text("What to do").count() == 2
            assert card.get_by_role("link", name="Runbook", include_hidden=True).count() == 1


@pytest.mark.parametrize("state", ["healthy", "first start"])
def test_all_is_well_is_said_when_it_is(demos: Demos, chromium: Browser, state: str) -> None:
    with opened(chromium, demos[state].url) as page:
        assert "All is well" in page.locator("#verdict").inner_text()
        assert page.locator("#alerts").count() == 0
        nothing = not any(status(demos[state])[known] for known in ("containers", "stages", "jobs"))
        assert page.locator("#nothing").count() == nothing


def test_page_terminal_metrics_and_alertmanager_agree(demos: Demos, chromium: Browser) -> None:
    demo = demos["alerts"]
    held = requests.get(f"http://127.0.0.1:{demo.ports[2]}/api/v2/alerts", timeout=10).json()
    summaries = sorted(one["annotations"]["summary"] for one in held if one["labels"]["severity"] != "none")
    document = json.loads(demo.vv("status", "--json").stdout)
    printed = demo.vv("status")
    exposed = {
        sample.labels["job"]: sample.value
        for family in text_string_to_metric_families(metrics(demo))
        for sample in family.samples
        if sample.name == "vv_job_last_exit_code"
    }

    assert sorted(alert["summary"] for alert in document["alerts"]) == summaries
    assert (printed.returncode, demos["healthy"].vv("status").returncode) == (1, 0)
    assert all(f": {summary}" in printed.stdout for summary in summaries)
    assert "\x1b" not in printed.stdout
    codes = {job["name"]: job["last_exit_code"] for job in document["jobs"] if job["last_exit_code"] is not None}
    assert codes == exposed
    assert codes["nightly_backup"] == 1
    with opened(chromium, demo.url) as page:
        titles = [text.split(" ", 1)[1] for text in page.locator("#alerts h3").all_inner_texts()]
        assert sorted(titles) == summaries
        assert "exit code 1" in page.locator("#jobs tr", has_text="nightly_backup").inner_text()
    assert "exit code 1" in next(line for line in printed.stdout.splitlines() if line.startswith("  nightly_backup"))


def meant(page: Page) -> str:
    """The entry that a link led to, which must be on the screen."""
    entry = page.locator("#entry")
    box = entry.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900
    return entry.inner_text()


def test_an_alert_links_to_its_moment(demos: Demos, chromium: Browser) -> None:
    with opened(chromium, demos["alerts"].url, width=360) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        cards = page.locator("#alerts article")
        backup = cards.filter(has_text="Job nightly_backup failed")
        follow(page, backup.get_by_role("link", name="What happened then"))

        assert "nightly_backup" in meant(page)
        assert page.locator("li.moment").count() > 10
        assert problems(page) == []


def test_a_failure_links_to_its_moment_and_a_video_to_its_history(demos: Demos, chromium: Browser) -> None:
    with opened(chromium, demos["alerts"].url) as page:
        follow(page, page.locator("#failures tr", has_text="garage").locator("a").first)
        assert "Stage scan_video crashed" in meant(page)
        follow(page, page.locator("#entry a", has_text="garage"))

        titles = page.locator("li.moment strong").all_inner_texts()
        assert "Stage scan_video crashed" in titles
        assert "Alert: Stage scan_video crashed" in titles
        assert all("garage" in text for text in page.locator("li.moment").all_inner_texts())


def test_hostile_names_are_shown_as_they_are(demos: Demos, chromium: Browser) -> None:
    with opened(chromium, demos["alerts"].url) as page:
        assert HOSTILE in page.locator("main").inner_text()
        assert page.locator("img").count() == 0
        page.goto(f"{demos['alerts'].url}/timeline")
        assert page.get_by_text(HOSTILE).count() >= 1
        assert page.locator("img").count() == 0


@pytest.mark.parametrize("path", ["/", "/timeline"])
def test_it_is_small(demos: Demos, path: str) -> None:
    answer = requests.get(demos["alerts"].url + path, headers={"Accept-Encoding": "identity"}, timeout=10)

    assert len(answer.content) < 100_000
