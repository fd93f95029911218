"""Debian's Alertmanager, made to run from a folder of our own.

Debian's build reads `default.tmpl` and `email.tmpl` from a fixed folder below `/usr`, has no flag for it, and does not
start without them; upstream embeds them. The `templates` of a configuration are read beside these two, not instead.
To put them there would be to install into the system; a mount namespace needs root, or user namespaces that many
machines forbid. So the constant in the program is replaced by a path of the same length (Go's strings carry their
length), which works for everyone, everywhere, whatever the working directory: a wrapper opens our folder as
descriptor 9.

This goes when Debian embeds them or takes a flag: to be looked at with the release of Debian 14, in the summer of
2027. Where upstream's program is on `PATH`, or is fetched, nothing of this is used.
"""

from pathlib import Path

from vv_exporter.stack.workplace import move

ALERTMANAGER_SHARE = b"/usr/share/prometheus/alertmanager"
_SHARE_DESCRIPTOR = 9
_WRAPPER = f"""#!/bin/sh
# The program beside this one looks for its templates in its file descriptor {_SHARE_DESCRIPTOR}.
here=$(dirname "$(readlink -f "$0")")/..
exec {_SHARE_DESCRIPTOR}<"$here/share/alertmanager"
exec "$here/lib/alertmanager" "$@"
"""


def install(program: Path, root: Path, folder: Path) -> None:
    """Move Alertmanager from the unpacked package at `root` into the folder of fetched programs."""
    share = root / ALERTMANAGER_SHARE.decode().lstrip("/")
    for template in share.glob("*.tmpl"):
        move(template, folder / "share" / "alertmanager" / template.name)
    program.write_bytes(relocate_share(program.read_bytes()))
    move(program, folder / "lib" / "alertmanager")
    wrapper = root / "wrapper"
    wrapper.write_text(_WRAPPER)
    wrapper.chmod(0o755)
    move(wrapper, folder / "bin" / "alertmanager")


def relocate_share(program: bytes) -> bytes:
    """The program with its compiled-in folder of templates replaced by a file descriptor's.

    A build that embeds its templates has no such constant and stays as it is.
    """
    prefix, number = b"/proc/self/fd/", b"%d" % _SHARE_DESCRIPTOR
    padding = b"/" * (len(ALERTMANAGER_SHARE) - len(prefix) - len(number))
    return program.replace(ALERTMANAGER_SHARE, prefix + padding + number)
