"""A real browser: what a page looks like to people, with and without scripts, and to axe-core.

with opened(chromium, url, width=360) as page:
    assert problems(page) == []
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

__all__ = ["WIDTHS", "Browser", "Page", "launched", "opened", "problems", "sticking_out"]

WIDTHS = (360, 768, 1440)


@contextmanager
def launched(program: Path, environment: dict[str, str]) -> Iterator[Browser]:
    """The browser, for as long as it is needed."""
    # Chromium's sandbox does not run as root, which containers usually are.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    variables: dict[str, str | float | bool] = dict(environment)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, env=variables, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """The page at `url`. Afterwards fails if the page had anything to complain of."""
    width = context.pop("width", 1440)
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    with browser.new_context(viewport={"width": width, "height": 900}, **context) as place:
        page = place.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        page.goto(url)
        yield page
    assert complaints == [], complaints


def follow(page: Page, link: Locator) -> None:
    """Click a link and wait until the page that it leads to is there whole (a click alone does not)."""
    with page.expect_navigation(wait_until="load"):
        link.click()


_SIDEWAYS = """() => [...document.querySelectorAll("body *")]
    .filter(one => !one.closest(".skip, thead") && one.getBoundingClientRect().right > innerWidth + 0.5)
    .map(one => one.outerHTML.slice(0, 120))"""


def sticking_out(page: Page) -> list[str]:
    """What sticks out sideways."""
    found = [f"sticks out: {element}" for element in page.evaluate(_SIDEWAYS)]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("the page scrolls sideways")
    return found


def problems(page: Page) -> list[str]:
    """What sticks out sideways, and what axe-core finds wrong (all its rules, WCAG's and its best practices)."""
    found = sticking_out(page)
    for violation in Axe().run(page).response["violations"]:
        nodes = [node["html"][:160] for node in violation["nodes"][:3]]
        found.append(f"{violation['id']}: {violation['help']}: {nodes}")
    return found
