"""bitstreams/v1: every frozen stream decodes to the same pixels, or is refused for the same reason, for ever."""

from __future__ import annotations

import hashlib
import tomllib

import pytest

from codec import errors
from codec.image import decode
from tests.checks import ROOT, conformance_model
from tools import conformance
from tools.conformance import fingerprint

V1 = ROOT / "bitstreams" / "v1"
MANIFEST = tomllib.loads((V1 / "MANIFEST.toml").read_text(encoding="utf-8"))
CREEP = 0.01  # of the bytes at default effort


def named(entry: dict[str, object]) -> str:
    return str(entry["file"]).split("/")[-1].removesuffix(".egm")


def frozen(entry: dict[str, str]) -> bytes:
    data = (V1 / entry["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry["sha256"], f"{entry['file']} is frozen, and has changed"
    return data


def test_the_manifest_names_every_file_once():
    listed = [entry["file"] for kind in ("model", "valid", "invalid") for entry in MANIFEST[kind]]
    assert sorted(listed) == sorted(path.relative_to(V1).as_posix() for path in V1.rglob("*.egm*"))
    assert len(MANIFEST["valid"]) >= 42
    assert len(MANIFEST["invalid"]) >= 57


def test_the_model_is_frozen():
    frozen(MANIFEST["model"][0])


@pytest.mark.parametrize("entry", MANIFEST["valid"], ids=named)
def test_a_valid_stream_decodes_to_the_same_pixels(entry):
    image = decode(frozen(entry), model=conformance_model())
    assert list(image.colour.shape) == entry["shape"]
    assert fingerprint(image) == entry["pixels"]


@pytest.mark.parametrize("entry", MANIFEST["invalid"], ids=named)
def test_an_invalid_stream_is_refused(entry):
    with pytest.raises(getattr(errors, entry["error"]), match=r".{10}") as caught:
        decode(frozen(entry), model=conformance_model())
    assert type(caught.value).__name__ == entry["error"], entry["what"]


def test_sizes_do_not_creep():
    """After a change that is meant to move them: `python -m tools.conformance --sizes`, and look at the difference."""
    expected = tomllib.loads((V1 / "sizes.toml").read_text(encoding="utf-8"))
    found = conformance.sizes(conformance_model())
    assert found.keys() == expected.keys()
    assert {name: size for name, size in found.items() if abs(size / expected[name] - 1) > CREEP} == {}
