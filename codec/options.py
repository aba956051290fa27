"""Options that several commands have."""

from __future__ import annotations

import click

from codec.limits import DEFAULT

__all__ = ["HELP", "force", "max_pixels", "threads"]

HELP = {"help_option_names": ["-h", "--help"]}  # context settings

force = click.option("-f", "--force", is_flag=True, help="Overwrite existing files.")
max_pixels = click.option(
    "--max-pixels", type=click.IntRange(min=1), default=DEFAULT.max_pixels, show_default=True, help="Refuse more."
)
threads = click.option("-T", "--threads", type=click.IntRange(min=0), default=0, help="Threads; 0 takes all cores.")
