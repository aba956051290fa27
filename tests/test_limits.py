from __future__ import annotations

from dataclasses import fields, replace

import pytest

from codec.errors import LimitExceeded
from codec.limits import DEFAULT, Limits


def test_bounds_are_inclusive():
    limits = Limits(max_pixels=12, max_side=6, max_frames=2)
    limits.check_size(4, 3)
    limits.check_size(6, 1, 2)


@pytest.mark.parametrize("size", [(13, 1), (1, 7), (7, 1), (4, 4), (1, 1, 3), (4, 2, 2), (5, 3, 1)])
def test_beyond_a_bound_is_refused(size):
    with pytest.raises(LimitExceeded):
        Limits(max_pixels=12, max_side=6, max_frames=2).check_size(*size)


def test_products_do_not_wrap():
    huge = replace(DEFAULT, max_side=2**63, max_frames=2**63)
    for size in [(2**32, 2**32, 1), (2**62, 4, 1), (2**63, 2**63, 2**63)]:
        with pytest.raises(LimitExceeded, match="max_pixels"):
            huge.check_size(*size)


def test_the_message_names_limit_and_value():
    with pytest.raises(LimitExceeded, match="268,435,457 is over the limit max_pixels = 268,435,456"):
        DEFAULT.check("max_pixels", 2**28 + 1, "pixels")


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_a_bound_is_a_positive_integer(name, value):
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})


def test_a_photo_of_100_megapixels_is_allowed():
    DEFAULT.check_size(11_584, 8_640)
