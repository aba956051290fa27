"""The command `engram measure`: the group of all commands, each in its file of `tools/commands/`."""

from __future__ import annotations

from importlib import import_module

import click

__all__ = ["measure"]

COMMANDS = {  # name: the module that has the command under that name, imported when it is asked for
    "rd": "tools.commands.rd",
    "lossless": "tools.commands.lossless",
    "control": "tools.commands.control",
    "plane": "tools.commands.plane",
    "rank": "tools.commands.rank",
    "vq-plane": "tools.commands.vq_plane",
    "quantizers": "tools.commands.quantizers",
    "bits": "tools.commands.bits",
    "motion": "tools.commands.motion",
    "video": "tools.commands.video",
}


class Lazy(click.Group):
    """A group that finds its commands in `COMMANDS`; they import what is heavy when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name.replace("-", "_"))
        return command


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def measure() -> None:
    """Measure codecs, ours and others', and look inside of networks."""
