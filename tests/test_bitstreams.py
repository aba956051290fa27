"""bitstreams/v1: every frozen stream decodes to the same pixels, or is refused for the same reason, for ever."""

from __future__ import annotations

import functools
import hashlib
import tomllib

import pytest

from codec import errors
from codec.model import Model, unpack_model
from tests.checks import ROOT
from tools import conformance
from tools.conformance import decode, fingerprint
from tools.uneven_lossless import uneven_alike, uneven_lossless

V1 = ROOT / "bitstreams" / "v1"
MANIFEST = tomllib.loads((V1 / "MANIFEST.toml").read_text(encoding="utf-8"))
CREEP = 0.01  # of the bytes at default effort


def named(entry: dict[str, object]) -> str:
    return str(entry["file"]).split("/")[-1].removesuffix(".egm")


def frozen(entry: dict[str, str]) -> bytes:
    data = (V1 / entry["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry["sha256"], f"{entry['file']} is frozen, and has changed"
    return data


models = functools.cache(conformance.load)


def test_the_manifest_names_every_file_once():
    listed = [entry["file"] for kind in ("model", "valid", "invalid") for entry in MANIFEST[kind]]
    assert sorted(listed) == sorted(path.relative_to(V1).as_posix() for path in V1.rglob("*.egm*"))
    assert len(MANIFEST["valid"]) >= 158
    assert len(MANIFEST["invalid"]) >= 103


def test_the_models_are_frozen():
    assert len([frozen(entry) for entry in MANIFEST["model"]]) == 4


def test_the_lossless_models_can_be_made_anew():
    def numbers(model: Model) -> dict[str, object]:
        return {name: tensor.tolist() for name, tensor in model.tensors.items()}

    for name, make in ((conformance.LOSSLESS, uneven_lossless), (conformance.ALIKE, uneven_alike)):
        assert numbers(unpack_model(make())) == numbers(models()[name])


@pytest.mark.parametrize("entry", MANIFEST["valid"], ids=named)
def test_a_valid_stream_decodes_to_the_same_pixels(entry):
    image = decode(entry, frozen(entry), models())
    assert list(image.colour.shape) == entry["shape"]
    assert image.bit_depth == entry.get("bits", 8)
    assert fingerprint(image) == entry["pixels"]


@pytest.mark.parametrize("entry", MANIFEST["invalid"], ids=named)
def test_an_invalid_stream_is_refused(entry):
    with pytest.raises(getattr(errors, entry["error"]), match=r".{10}") as caught:
        decode(entry, frozen(entry), models())
    assert type(caught.value).__name__ == entry["error"], entry["what"]


def test_sizes_do_not_creep():
    """After a change that is meant to move them: `python -m tools.conformance --sizes`, and look at the difference."""
    expected = tomllib.loads((V1 / "sizes.toml").read_text(encoding="utf-8"))
    found = conformance.sizes(models())
    assert found.keys() == expected.keys()
    assert {name: size for name, size in found.items() if abs(size / expected[name] - 1) > CREEP} == {}
