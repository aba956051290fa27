"""tools/rivals.py: the codecs that we are measured against."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pictures import picture
from tools.metrics import psnr
from tools.rivals import avif, jpeg, jpeg2000, jpegxl, webp

X = picture(64, 80)
RIVALS = pytest.mark.parametrize("make", [jpeg, webp, avif, jpegxl, jpeg2000])


@RIVALS
def test_a_higher_setting_is_larger_and_better(make):
    codec = make()
    small, large = (codec.encode(X, setting) for setting in (codec.ladder[1], codec.ladder[-1]))
    assert len(small) < len(large)
    assert psnr(X, codec.decode(small)) < psnr(X, codec.decode(large))


@RIVALS
def test_what_comes_back_has_the_shape_that_went_in(make):
    codec = make()
    assert codec.decode(codec.encode(X, codec.ladder[2])).shape == X.shape


@RIVALS
def test_another_version_is_another_measurement(make):
    import dataclasses

    codec = make()
    assert codec.fingerprint == make().fingerprint
    assert codec.fingerprint != dataclasses.replace(codec, version="another").fingerprint


def test_rungs_are_spread_over_the_whole_ladder():
    codec = jpeg()
    rungs = codec.rungs(4)
    assert (rungs[0], rungs[-1], len(rungs)) == (codec.ladder[0], codec.ladder[-1], 4)
    assert np.all(np.diff(rungs) > 0)
