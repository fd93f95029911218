"""A terminal: what a command shows on one."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence


def on_terminal(command: Sequence[str], environ: Mapping[str, str], *, columns: int, lines: int) -> str:
    """What a command prints on a terminal of that size, with its colours."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    with subprocess.Popen(command, stdout=slave, stderr=slave, env=_sized(environ)) as child:
        os.close(slave)
        printed = b"".join(_read(master))
        child.wait()
    os.close(master)
    return printed.decode().replace("\r\n", "\n")


def _sized(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would tell another size, or that nobody wants colours."""
    return {name: value for name, value in environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}


def _read(master: int) -> Iterator[bytes]:
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # nobody has the other end any more
            return
        if not part:
            return
        yield part
