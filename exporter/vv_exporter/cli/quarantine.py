"""``vv quarantine``: what lies in ``corrupted/``, why, and how it gets out again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from vv_core.common import texts
from vv_core.quarantine import FOLDER, QuarantineError, entries, read
from vv_core.quarantine import release as give_back
from vv_exporter.language import gettext as _
from vv_exporter.reporting.reports import printable

T = TypeVar("T")

_WIDTH = 4096


@click.group("quarantine")
@click.option(
    "--root",
    envvar="VIDEO_STORAGE_ROOT",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The video storage (default: VIDEO_STORAGE_ROOT).",
)
@click.pass_context
def command(context: click.Context, root: Path | None) -> None:
    """Damaged files in corrupted/ of the video storage."""
    context.obj = (root or _configured_root()) / FOLDER


@command.command("list")
@click.pass_obj
def list_(folder: Path) -> None:
    """Show every entry: when, why, by whom, size, name."""
    if not folder.is_dir():
        return
    for name, about in entries(folder):
        when, why, who = (_said_of(about, key) for key in ("timestamp_corruption", "error_type", "source_component"))
        click.echo(f"{when:24}  {why:20}  {who:20}  {_size_text(folder / name):>9}  {texts.path(name, _WIDTH)}")


@command.command()
@click.argument("file")
@click.pass_obj
def show(folder: Path, file: str) -> None:
    """Show FILE's side-car: where it came from, what failed, its attempts."""
    click.echo(json.dumps(_with_readable_errors(lambda: read(folder, _entry_name(file))), indent=2))


@command.command()
@click.argument("file")
@click.option("--to", metavar="PATH", type=click.Path(path_type=Path), help="Where to, if not where it came from.")
@click.pass_obj
def release(folder: Path, file: str, to: Path | None) -> None:
    """Move FILE back to where it came from, never over another file, and give it new attempts."""
    where = _with_readable_errors(lambda: give_back(folder, _entry_name(file), to))
    click.echo(texts.path(where, _WIDTH))


def _configured_root() -> Path:
    from vv_exporter.settings import load

    root = load().video_storage_root
    if root is None:
        raise click.UsageError(_("VIDEO_STORAGE_ROOT is not set; say --root DIR"))
    return root


def _entry_name(file: str) -> str:
    """An entry's name; it may be given with its folder."""
    return Path(file).name


def _with_readable_errors(work: Callable[[], T]) -> T:
    try:
        return work()
    except QuarantineError as error:
        raise click.ClickException(printable(str(error))) from error


def _said_of(about: dict[str, Any], key: str) -> str:
    return texts.line(about.get(key, "?"), 100)


def _size_text(path: Path) -> str:
    try:
        return f"{path.stat(follow_symlinks=False).st_size / 1e6:.1f} MB"
    except OSError:
        return _("(not here)")
