"""docs/field.md: what was proven on the emulated device, written by a run of all its tests that passed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "field.md"
BEGIN = "<!-- From here on written by `make field`. -->\n"
VERSIONS = """
. /etc/os-release; echo "system: $PRETTY_NAME"
echo "kernel: $(uname -r), $(uname -m)"
echo "control groups: version 2, $(cat /sys/fs/cgroup/cgroup.controllers)"
echo "systemd: $(systemctl --version | sed -n '1s/.*(\\(.*\\)).*/\\1/p')"
echo "Docker Engine: $(docker version --format '{{.Server.Version}}')"
echo "Python: $(/opt/vv/bin/python -c 'import platform; print(platform.python_version())')"
"""
"""A command of the device's shell that says what it is, a line each."""


def sentences(tests: Iterable[str]) -> dict[str, int]:
    """What tests say by their names (`file::test_a_thing[case]`), and how many cases of it there were."""
    names = (test.rpartition("::")[2].partition("[")[0].removeprefix("test_") for test in tests)
    return dict(Counter(name.replace("_", " ").capitalize() for name in names))


def render(versions: str, tests: Iterable[str], described: Mapping[str, str]) -> str:
    """The part of the page that a run writes."""
    lines = ["", "## The device", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, _, value in (line.partition(": ") for line in versions.splitlines())]
    for file, title in described.items():
        lines += ["", f"## {title}", "", "| | cases |", "|---|---|"]
        found = sentences(test for test in tests if f"{file}::" in test)
        lines += [f"| {sentence} | {count} |" for sentence, count in found.items()]
    return "\n".join(lines) + "\n"


def write(versions: str, tests: Iterable[str], described: Mapping[str, str]) -> None:
    """Write that part anew."""
    prose = PAGE.read_text().partition(BEGIN)[0]
    PAGE.write_text(prose + BEGIN + render(versions, list(tests), described))
