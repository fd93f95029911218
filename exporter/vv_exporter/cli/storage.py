"""`vv storage`."""

from __future__ import annotations

import click

from vv_core.common.journals import LASTING
from vv_exporter.language import gettext as _
from vv_exporter.settings import load
from vv_exporter.supervisor.run import recording

COMPONENT = "vv storage"


@click.group("storage")
def command() -> None:
    """What an operator may say of the video storage."""


@command.command("accept")
def accept() -> None:
    """Take the file system that is there now for the one that should be (StorageMissing)."""
    with recording(load()) as journal:
        journal.emit("storage.accepted", COMPONENT, {}, LASTING)
        if not journal.flush() or journal.lost:
            raise click.ClickException(_("that could not be recorded"))
    click.echo(_("what is mounted now at VIDEO_STORAGE_ROOT is what should be there"))
