"""codec/__init__.py: the public face."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import codec
from codec import Image, compress, decompress
from codec.image import measure_psnr
from codec.limits import Limits
from tests.checks import ROOT, conformance_model
from tools.synthetic import picture

MODEL = conformance_model()
X = picture(40, 50)


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 1), (40, 50, 2), (40, 50, 3), (40, 50, 4)])
def test_arrays_go_in_and_come_out_in_their_kind(shape):
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = decompress(compress(x, model=MODEL), model=MODEL)
    assert isinstance(found, Image)
    assert (found.alpha is not None) == (shape[2:] in ((2,), (4,)))
    assert found.colour.shape == (40, 50, 3 if shape[2:] in ((3,), (4,)) else 1)


def test_quality_and_targets_are_passed_on():
    assert (
        len(compress(X, quality=10, model=MODEL))
        < len(compress(X, model=MODEL))
        < len(compress(X, quality=100, model=MODEL))
    )
    assert 8 * len(compress(X, target_bpp=0.5, model=MODEL)) <= 0.5 * X[..., 0].size
    found = decompress(compress(Image(X), target_psnr=27.0, model=MODEL, effort=1, threads=1), model=MODEL)
    assert measure_psnr(X, found.colour) >= 27
    with pytest.raises(ValueError, match="one of the two"):
        compress(X, target_bpp=1.0, target_psnr=30.0, model=MODEL)


def test_models_are_found_by_name_path_and_in_the_package():
    path = ROOT / "bitstreams" / "v1" / "conformance.egmm"
    assert codec.load_model(path).id == MODEL.id
    assert compress(X, model=path) == compress(X, model=str(path)) == compress(X, model=MODEL)
    assert "photo" in codec.models()
    with pytest.raises(codec.ModelNotFound):
        compress(X, model="none")


def test_the_shipped_model_decodes_what_it_encodes():
    x = picture(64, 80)
    found = decompress(compress(x, quality=60))  # model `photo`, looked up by its id
    assert measure_psnr(x, found.colour) > 25


def test_errors_and_limits_are_public():
    data = compress(X, model=MODEL)
    with pytest.raises(codec.LimitExceeded):
        decompress(data, model=MODEL, limits=Limits(max_pixels=10))
    with pytest.raises(codec.ModelNotFound):
        decompress(data)
    with pytest.raises(codec.CodecError):
        decompress(data[:-1], model=MODEL)
    with pytest.raises(codec.UnsupportedInput):
        compress(X.astype(float), model=MODEL)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        codec.nothing  # noqa: B018


def test_importing_it_brings_neither_numpy_nor_pillow():
    program = "import sys, codec; print(*sys.modules)"
    modules = set(subprocess.check_output([sys.executable, "-c", program], text=True, cwd=ROOT).split())
    assert not {"numpy", "constriction", "PIL", "torch", "imageio"} & modules
