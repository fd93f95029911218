"""What an operator asks of the self-monitor while it does not run, and what it shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.powercut.scenarios import named, say
from vv_exporter.supervisor.mailbox import Mailbox, Request, View

NAMES = ("web", "recorder", "uploader")


def prepare(root: Path) -> None:
    """The self-monitor has been there before."""
    (root / "self-monitor").mkdir()


def run(root: Path) -> None:
    """Requests are left, while the view is shown anew; they are done in turn."""
    mailbox = Mailbox(root / "self-monitor")
    for number, name in enumerate(NAMES):
        mailbox.show(View(float(number), ()))
        mailbox.ask(Request("resume", name))
        say(f"asked {name}")
    for path, request in mailbox.requests():
        say(f"done {request.name}")
        mailbox.done(path)


def check(root: Path, said: Sequence[str]) -> Iterator[str]:
    """What was asked is there until it is done, and the view is a whole one or none."""
    mailbox = Mailbox(root / "self-monitor")
    view = mailbox.view()
    if view is not None and view.checked not in range(len(NAMES)):
        yield f"the view is none that was shown: {view}"
    waiting = {request.name for _, request in mailbox.requests()} | set(named(said, "done"))
    yield from (f"{name!r} was asked for, and is forgotten" for name in named(said, "asked") if name not in waiting)
    if not waiting <= set(NAMES):
        yield f"nobody asked for {waiting - set(NAMES)}"
