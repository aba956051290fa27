from __future__ import annotations

import inspect

import pytest

from codec import errors
from codec.errors import CodecError

TREE = {name: getattr(errors, name) for name in errors.__all__}


def test_every_error_is_listed_and_drawn():
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert classes == set(TREE)
    assert all(f" {name} " in f"{errors.__doc__} " for name in TREE)


def test_the_tree_is_drawn_as_it_is():
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        if not (line.startswith("    ") and line.split()[-1:] != [] and any(f" {name} " in line for name in TREE)):
            continue
        name = next(name for name in TREE if f" {name} " in line)
        depth = (line.index(name) - 4) // 4
        path[depth:] = [name]
        assert [base.__name__ for base in TREE[name].__mro__[: depth + 1]] == path[::-1]
        code = next((int(word) for word in line.split() if word.isdigit()), 1)
        assert TREE[name].exit_code == code, line
    assert path, "no tree found"


@pytest.mark.parametrize("name", TREE)
def test_errors_are_expected_exceptions_with_a_line_of_their_own(name):
    assert issubclass(TREE[name], CodecError)
    assert TREE[name].__doc__
    assert str(TREE[name]("what happened")) == "what happened"
