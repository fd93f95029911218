"""Help and mistakes of `vv` in the language of the shell: what commands say of themselves, and click's own words.

A paragraph of a help text is a message, and so is what an option says; `make messages` gathers them from the commands
themselves. Click asks Python's `gettext` for its own words (click.palletsprojects.com: it has no catalogue of its own,
and leaves the domain to the program); here it asks the catalogue of this program.
"""

from __future__ import annotations

import copy
import gettext as standard
import inspect
import re
import sys
from collections.abc import Iterator
from typing import TypeVar

import click

from vv_exporter.language import ENGLISH, current, gettext, ngettext, translatable

CLICKS_WORDS = (
    translatable("Aborted!"),
    translatable("Options"),
    translatable("Commands"),
    translatable("Usage:"),
    translatable("Missing command."),
    translatable("Missing argument"),
    translatable("Missing option"),
    translatable("Show this message and exit."),
    translatable("default: {default}"),
    translatable("Error: {message}"),
    translatable("Try '{command} {option}' for help."),
    translatable("Invalid value: {message}"),
    translatable("Invalid value for {param_hint}: {message}"),
    translatable("No such option {name!r}."),
    translatable("No such command {name!r}."),
    translatable("Option {name!r} does not take a value."),
    translatable("{value!r} is not a valid {number_type}."),
    translatable("{value} is not in the range {range}."),
    translatable("{name} {filename!r} does not exist."),
    translatable("{name} {filename!r} is a file."),
    translatable("{name} {filename!r} is a directory."),
    translatable("{name} {filename!r} is not readable."),
    translatable("Choose from:\n\t{choices}"),
    translatable("file"),
    translatable("directory"),
    translatable("path"),
)
"""Those of its words that these commands can show; `ngettext` below has the ones that count."""

_VERBATIM = "\b\n"  # click shows such a paragraph as it is
T = TypeVar("T", bound=click.Command)


def let_click_speak() -> None:
    """Have click say its own words in the current language of whoever is spoken to."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "click":
            for word, found in list(vars(module).items()):
                if found is standard.gettext:
                    setattr(module, word, gettext)
                elif found is standard.ngettext:
                    setattr(module, word, ngettext)


def translated(command: T) -> T:
    """The command with what it says of itself in the current language."""
    if current() == ENGLISH:
        return command
    made = copy.copy(command)
    made.help = _text(command.help)
    made.params = [_parameter(one) for one in command.params]
    if isinstance(made, click.Group):
        made.commands = {name: translated(one) for name, one in made.commands.items()}
    return made


def messages(command: click.Command) -> Iterator[str]:
    """What a command, and those below it, say of themselves."""
    for text in (command.help, *(getattr(one, "help", None) for one in command.params)):
        yield from (message for _, message in _paragraphs(text or ""))
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from messages(below)


def _parameter(one: click.Parameter) -> click.Parameter:
    if not isinstance(one, click.Option):
        return one
    made = copy.copy(one)
    made.help = _text(one.help)
    return made


def _text(text: str | None) -> str | None:
    if text is None:
        return None
    return "\n\n".join(f"{_VERBATIM if kept else ''}{gettext(message)}" for kept, message in _paragraphs(text))


def _paragraphs(text: str) -> Iterator[tuple[bool, str]]:
    """Each paragraph as a message, and whether its lines are kept."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith(_VERBATIM):
            yield True, paragraph.removeprefix(_VERBATIM)
        elif paragraph:
            yield False, " ".join(paragraph.split())


def _counted(count: int) -> None:
    """Never called: click's words that count, for the catalogue."""
    ngettext("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})", count)
    ngettext("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments.", count)
    ngettext("{value!r} is not {choice}.", "{value!r} is not one of {choices}.", count)
    ngettext("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)", count)
