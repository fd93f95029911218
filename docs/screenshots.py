"""Takes the pictures of docs/images from a demo that really runs: `make screenshots`.

The demo goes through its faults; then the pages are photographed by Chromium, and so are the words of the terminal,
with their colours. The pictures get a palette, so that each is small.
"""

import io
import re
import sys
import tempfile
from pathlib import Path

import requests
from PIL import Image
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.browser import Browser, launched
from tests.support.demo import TOUR, Demo, running
from tests.support.terminal import on_terminal
from tests.support.waiting import wait_until

from tools.browser import browser as find_browser
from tools.browser import browser_environment

IMAGES = Path(__file__).parent / "images"
DEVICE = "edge-7"
PORTS = (19461, 9090, 9093)  # a newcomer's
COLUMNS, LINES = 116, 40
COLOURS = 255  # of a picture's palette
MAX_BYTES = 150_000
THEME = TerminalTheme(
    (22, 27, 34),
    (230, 234, 240),
    [
        (72, 79, 88),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (88, 166, 255),
        (188, 140, 255),
        (57, 197, 207),
        (177, 186, 196),
    ],
)


def main() -> None:
    """Take them all."""
    program = find_browser()
    if program is None:
        sys.exit("there is no Chromium: `make tools` fetches one")
    IMAGES.mkdir(exist_ok=True)
    # A short name, because it is seen in the pictures.
    with (
        tempfile.TemporaryDirectory(prefix="vv-") as folder,
        running(Path(folder) / DEVICE, "--demo", PORTS, VV_DEVICE_ID=DEVICE) as demo,
        launched(program, browser_environment()) as browser,
    ):
        wait_until(lambda: demo.says("the tour is over"), TOUR, what="the end of the tour")
        wait_until(lambda: crashed(demo) is not None, 30, what="the crash among the alerts")
        take(browser, demo)


def take(browser: Browser, demo: Demo) -> None:
    """The pages, and the terminal."""
    moment = f"/timeline?at={crashed(demo)}&component=scan_video#entry"
    photograph(browser, demo.url, "status", width=1100, height=1000)
    photograph(browser, demo.url, "phone", width=390, height=844, color_scheme="dark")
    photograph(browser, demo.url + moment, "timeline", width=1100, height=760)
    terminal(browser, "make demo", tour(demo.output()), "demo")
    terminal(browser, "vv status", status(demo), "vv-status", lines=LINES)


def crashed(demo: Demo) -> str | None:
    """When the alert on the crash began, as its link says it."""
    alerts = requests.get(f"{demo.url}/api/v1/status", timeout=10).json()["alerts"] or ()
    began = next((one["since"] for one in alerts if one["name"] == "StageCrashed"), None)
    return None if began is None else str(began)


def tour(output: str) -> str:
    """What the demo says at first, of its first two faults, and its table."""
    where = re.search(r"^Device .*?(?=\n\n)", output, re.MULTILINE | re.DOTALL)
    events = re.split(r"^(?=\S+Z  )", output, flags=re.MULTILINE)
    first = next(at for at, event in enumerate(events) if "send_alert" in event)
    second = next(at for at, event in enumerate(events) if "StageFailing took" in event)
    table = next(event for event in events if "the tour is over" in event)
    return "\n".join([where[0] if where else "", "", "".join(events[first : second + 1]) + "…", table])


def status(demo: Demo) -> str:
    """What `vv status` prints on a terminal that has room for all of it."""
    command = [sys.executable, "-m", "vv_exporter", "status"]
    return on_terminal(command, demo.environ, columns=COLUMNS, lines=10_000)


def terminal(browser: Browser, command: str, printed: str, name: str, lines: int | None = None) -> None:
    """A picture of a terminal in which the command was run: its first lines."""
    shown = printed.rstrip().splitlines()
    cut = [*shown[:lines], "…"] if lines is not None and len(shown) > lines else shown
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold"), (command, "bold")))
    console.print(Text.from_ansi("\n".join(cut)), soft_wrap=True)
    body = console.export_html(inline_styles=True, theme=THEME, code_format=_PAGE)
    with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as file:
        file.write(body)
        file.flush()
        photograph(browser, f"file://{file.name}", name, width=1100, height=100, full_page=True)


_PAGE = """<!DOCTYPE html><meta charset="utf-8"><style>
body {{ margin: 0; background: {background}; color: {foreground}; }}
pre {{ font: 15px/1.35 'DejaVu Sans Mono', ui-monospace, monospace; margin: 0; padding: 14px 18px; }}
</style><pre>{code}</pre>"""


def photograph(
    browser: Browser, url: str, name: str, *, width: int, height: int, full_page: bool = False, **context: str
) -> None:
    """The page as a small PNG. Exits when it is not small."""
    with browser.new_context(viewport={"width": width, "height": height}, **context) as place:  # type: ignore[arg-type]
        page = place.new_page()
        page.goto(url)
        picture = Image.open(io.BytesIO(page.screenshot(full_page=full_page)))
    path = IMAGES / f"{name}.png"
    picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    size = path.stat().st_size
    print(f"{path.relative_to(Path.cwd())}: {size / 1000:.0f} kB")
    if size > MAX_BYTES:
        sys.exit(f"{path} is larger than {MAX_BYTES / 1000:.0f} kB")


if __name__ == "__main__":
    main()
