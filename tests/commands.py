"""Every command of the command line."""

import typer

from seqdiff.cli import app

GROUP = typer.main.get_command(app)


def commands(group=GROUP, prefix=()):
    """The words that call each command, and the command."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name), command
