"""`vv completion`."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

VARIABLE = "_VV_COMPLETE"  # click's name for it
SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete vv's commands and options.

    \b
    bash:  eval "$(vv completion bash)"      in ~/.bashrc
    zsh:   eval "$(vv completion zsh)"       in ~/.zshrc, after compinit
    fish:  vv completion fish > ~/.config/fish/completions/vv.fish
    """
    click.echo(SHELLS[shell](ctx.find_root().command, {}, "vv", VARIABLE).source())
