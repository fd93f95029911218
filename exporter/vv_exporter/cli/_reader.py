"""Whether anybody reads what a command has just recorded."""

import fcntl
import os

import click

from vv_core import _environment


def warn_without_reader(*, chosen: bool = True) -> None:
    """Say so on standard error where no exporter reads the journal; unless `chosen`, only of a folder by default.

    The exporter holds a lock on the folder (`vv_exporter.journal.files.reading`). Where that cannot be found out
    nothing is said.
    """
    if not chosen and os.environ.get("VV_STATE_DIR"):
        return
    folder = _environment.journal_dir()
    if _is_unread(folder):
        click.echo(
            f"vv: warning: no exporter reads {folder} now; start it (vv exporter), or name its folder by VV_STATE_DIR",
            err=True,
        )


def _is_unread(folder: str) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
