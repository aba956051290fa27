"""codec/options.py: options that several commands have are one and the same."""

from __future__ import annotations

import pytest

from codec.cli import cli


@pytest.mark.parametrize(
    ("option", "commands"),
    [
        ("--threads", ("compress", "decompress", "test", "pack")),
        ("--force", ("compress", "decompress", "pack", "unpack", "extract")),
        ("--max-pixels", ("compress", "decompress", "test", "unpack")),
    ],
)
def test_an_option_is_the_same_in_all_commands_that_have_it(option, commands):
    having = {name for name, command in cli.commands.items() for each in command.params if option in each.opts}
    assert set(commands) <= having
    found = [each for name in having for each in cli.commands[name].params if option in each.opts]
    assert len({(*each.opts, each.help, each.default, each.type.to_info_dict()["param_type"]) for each in found}) == 1
