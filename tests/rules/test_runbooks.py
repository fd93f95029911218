"""The commands that runbooks and alerts tell people to type: valid for the shell, for `vv`, for Docker, and known."""

import itertools
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import click
import pytest
from tests.rules.catalogue import ALERTS, NAMES, ROOT, RUNBOOKS

from vv_exporter.cli import vv

FENCED = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`\n]+)`")
# What begins a quoted text that is a command; other quoted texts are names, settings and expressions.
PROGRAMS = frozenset(
    re.findall(
        r"\S+",
        """
    amtool apt awk bash cat chmod chown chronyc crontab curl cut date df dig dmesg docker du echo export
    ffprobe find findmnt free fsck fuser getent getfacl grep head id ip journalctl kill last ls lsblk lsof make
    mkfs.ext4 mount mountpoint mv namei nc nproc openssl pgrep ping printenv promtool ps python3 rm sed
    sh sha256sum smartctl sort ss stat sudo systemctl tail test timedatectl timeout top touch tr true umount uname
    uniq uptime vmstat vv wc which xargs
    """,
    )
)
DOCKER = {
    "compose down": {"-v"},
    "compose exec": set[str](),
    "compose kill": {"-s"},
    "compose logs": {"--tail"},
    "compose ps": {"--all"},
    "compose restart": set[str](),
    "compose run": {"--rm"},
    "compose up": {"-d", "--build", "--detach", "--force-recreate"},
    "events": {"--since", "--until", "--filter"},
    "image": set[str](),
    "images": set[str](),
    "inspect": {"--format"},
    "kill": set[str](),
    "logs": {"--tail", "--timestamps", "--since"},
    "pause": set[str](),
    "ps": {"--all", "--filter", "--format", "--quiet", "--no-trunc"},
    "restart": set[str](),
    "rm": {"--force"},
    "service logs": {"--tail"},
    "service ps": {"--no-trunc"},
    "start": set[str](),
    "stats": {"--no-stream"},
    "stop": set[str](),
    "system": set[str](),
    "top": set[str](),
    "unpause": set[str](),
    "update": {"--restart"},
    "version": set[str](),
    "info": {"--format"},
    "exec": set[str](),
}
FOR_OTHERS = {"compose exec", "compose run", "exec", "top"}
WITH_HELP = ("df", "du", "grep", "head", "ls", "sort", "tail")
SEPARATORS = frozenset("();|&\n")
PREFIXES = {"sudo", "timeout", "if", "then", "while", "do", "!", "exec"}


class Command(NamedTuple):
    """A command and where it stands."""

    place: str
    words: tuple[str, ...]


def scripts() -> Iterator[tuple[str, str]]:
    """Where each script stands, and its text; a template of an alert is filled with an ordinary name."""
    for file in sorted([*RUNBOOKS, *(ROOT / "docs").glob("*.md")]):
        text = file.read_text()
        for block in FENCED.findall(text):
            yield file.name, block
        if file in RUNBOOKS:
            for quoted in QUOTED.findall(FENCED.sub("", text)):
                if re.match(r"[a-z0-9.]+ ", quoted) and quoted.split()[0] in PROGRAMS:
                    yield file.name, quoted
    for rule in ALERTS:
        filled = re.sub(r"\{\{\s*\"\{\{(.*?)\}\}\"\s*\}\}", r"{{\1}}", rule["annotations"]["suggested_actions"])
        filled = re.sub(r"\{\{ with .*?\}\}.*?\{\{ else \}\}(.*?)\{\{ end \}\}", r"\1", filled)
        filled = re.sub(r"\{\{[^}]*\$labels[^}]*\}\}", "name", filled)
        for quoted in QUOTED.findall(filled):
            if " " in quoted:
                yield rule["alert"], quoted


SCRIPTS = sorted(set(scripts()))


def commands() -> Iterator[Command]:
    for place, script in SCRIPTS:
        text = re.sub(r"(^|\s)#.*", r"\1", script.replace("\\\n", " "), flags=re.MULTILINE)
        for inner in (text, *re.findall(r"\$\(([^()]*)\)", text)):
            for words in _split(re.sub(r"\$\([^()]*\)", "X", inner)):
                yield Command(place, words)


def _split(script: str) -> Iterator[tuple[str, ...]]:
    """The simple commands of a script, without what redirects their input and output, and what only sets variables."""
    lexer = shlex.shlex(script, posix=True, punctuation_chars="();|&\n")
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not SEPARATORS.issuperset(word):
            words.append(word)
            continue
        while words and (words[0] in PREFIXES or re.match(r"[A-Za-z_]+=|\d|-|[A-Z]+$", words[0])):
            words.pop(0)
        if words:
            yield tuple(shlex.split(re.sub(r"(?:^| )'?\d?(?:>>?|<)'?(?:&\d| *\S+)", " ", shlex.join(words))))
        words = []


COMMANDS = sorted(set(commands()))


def of(program: str) -> list[Command]:
    return [command for command in COMMANDS if command.words[0] == program]


def test_commands_are_found() -> None:
    assert {command.words[:2] for command in of("vv")} >= {("vv", "status"), ("vv", "quarantine"), ("vv", "config")}
    assert {command.words[1] for command in of("docker")} >= {"ps", "logs", "inspect", "restart"}


@pytest.mark.parametrize(("place", "script"), SCRIPTS)
def test_the_shell_understands_it(place: str, script: str) -> None:
    done = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)

    assert done.stderr == "", script


@pytest.mark.parametrize("command", of("vv"), ids=lambda command: f"{command.place}: {' '.join(command.words)}")
def test_vv_understands_its_commands(command: Command) -> None:
    """Read by the command line's own parser, up to the point where it would do something."""
    reached, words = vv, list(command.words[3 if command.words[1] == "--env-file" else 1 :])
    context = click.Context(vv, info_name="vv")
    while isinstance(reached, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        following = reached.get_command(context, name)
        assert following is not None, f"there is no command {name}"
        reached, context = following, click.Context(following, info_name=name, parent=context)

    parser = reached.make_parser(context)
    _, left, _ = parser.parse_args(words)  # raises for options that there are not

    assert left == []
    opens = isinstance(reached, click.Group) and (reached is vv or not reached.invoke_without_command)
    assert not opens or "--version" in command.words


@pytest.mark.parametrize("command", of("docker"), ids=lambda command: f"{command.place}: {' '.join(command.words)}")
def test_docker_has_its_commands_and_options(command: Command) -> None:
    length = 2 if command.words[1] in ("compose", "service") else 1
    name, options = " ".join(command.words[1 : length + 1]), command.words[length + 1 :]
    if name in FOR_OTHERS:  # what follows a container's name is for the program in it
        options = tuple(itertools.takewhile(lambda word: word.startswith("-"), options))
    given = {word.partition("=")[0] for word in options if word.startswith("-")}

    assert given <= DOCKER[name]


def test_programs_are_known() -> None:
    for_people = {file.name for file in RUNBOOKS} | NAMES
    used = {(one.place, one.words[0]) for one in COMMANDS if one.place in for_people}

    assert sorted(one for one in used if one[1] not in PROGRAMS) == []


@pytest.mark.parametrize("program", WITH_HELP)
def test_programs_have_the_options_that_are_used(program: str) -> None:
    known = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    used = {word.partition("=")[0] for one in of(program) for word in one.words[1:] if word.startswith("--")}

    assert sorted(option for option in used if option not in known) == []


def test_links_of_runbooks_lead_somewhere() -> None:
    broken = [
        (file.name, target)
        for file in RUNBOOKS
        for target in re.findall(r"\]\(([^)#:]+)\)", file.read_text())
        if not (file.parent / target).exists()
    ]
    assert broken == []
