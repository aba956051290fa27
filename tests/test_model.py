"""codec/model.py: model files, and how they are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codec.container import Chunk, Header, Kind, pack
from codec.errors import CodecError, LimitExceeded, ModelError, ModelNotFound
from codec.intnet import pattern
from codec.limits import Limits
from codec.model import Model, find_model, load_model, model_id, models, pack_model, pack_tensors, unpack_model
from tests.checks import check_bit_flips, check_truncations

CARD = {"name": "small", "version": 1, "licence": "CC0", "lmbda": [0.5, 3], "note": "größer"}
TENSORS = {"prior.weight": pattern((4, 3, 3, 2), -9, 9), "prior.bias": np.arange(4)}
FILE = pack_model(CARD, TENSORS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models that $ENGRAM_MODELS names, with one in it."""
    monkeypatch.setenv("ENGRAM_MODELS", str(tmp_path))
    (tmp_path / "small.egmm").write_bytes(FILE)
    return tmp_path


def check_model(model: Model) -> None:
    assert model.card == CARD
    assert (model.name, model.size, model.id) == ("small", len(FILE), model_id(FILE))
    assert list(model.tensors) == list(TENSORS)
    assert all(np.array_equal(model.tensor(name), tensor) for name, tensor in TENSORS.items())


def test_a_model_comes_back() -> None:
    check_model(unpack_model(FILE))
    with pytest.raises(ModelError, match=r"'small' has no tensor 'prior\.shift'"):
        unpack_model(FILE).tensor("prior.shift")
    with pytest.raises(ValueError, match="read-only"):
        unpack_model(FILE).tensor("prior.bias")[0] = 1


def test_a_model_is_found_by_name_path_and_id(folder: Path) -> None:
    identity = model_id(FILE)
    for which in ("small", folder / "small.egmm", str(folder / "small.egmm"), identity.hex(), identity.hex().upper()):
        check_model(load_model(which))
    check_model(find_model(identity))
    assert "small" in models()


def test_a_model_is_read_once_and_again_when_it_changes(folder: Path) -> None:
    first = load_model("small")
    assert load_model(folder / "small.egmm") is first
    other = pack_model(CARD | {"version": 22}, TENSORS)
    (folder / "small.egmm").write_bytes(other)
    assert load_model("small").card["version"] == 22
    assert find_model(model_id(other)).id != first.id
    with pytest.raises(ModelNotFound):
        find_model(first.id)


def test_a_missing_model_is_named_with_those_that_are_there(folder: Path) -> None:
    for which in ("large", folder / "none.egmm", "0123456789abcdef", ""):
        with pytest.raises(ModelNotFound, match="small"):
            load_model(which)
    with pytest.raises(ModelNotFound, match=r"0000000000000000 is not here.*small"):
        find_model(bytes(8))


def test_folders_that_are_not_there_are_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENGRAM_MODELS", f":{tmp_path / 'none'}:")
    with pytest.raises(ModelNotFound, match="no model 'large'"):
        load_model("large")


def test_every_truncation_and_bit_flip_of_a_model_is_refused() -> None:
    check_truncations(unpack_model, FILE)
    check_bit_flips(unpack_model, FILE)


def test_files_that_are_no_models_are_refused() -> None:
    good_card, good_tensors = Chunk("J", b"{}"), Chunk("N", pack_tensors({}))
    model = Header(Kind.MODEL)
    assert unpack_model(pack(model, [good_card, Chunk("x", b"?"), good_tensors])).tensors == {}
    for data, message in (
        (pack(Header(Kind.PHOTO, 1, 1, 3, 8, 1), [Chunk("T", b"")]), "not a model: a PHOTO file with chunks 'T'"),
        (pack(model, [good_tensors]), "chunks 'N'"),
        (pack(model, [good_card]), "chunks 'J'"),
        (pack(model, [good_tensors, good_card]), "chunks 'NJ'"),
        (pack(model, [Chunk("J", b"[1]"), good_tensors]), "is a list, expected an object"),
    ):
        with pytest.raises(ModelError, match=message):
            unpack_model(data)
    for card in (b"", b"{", b'{"a": NaN}', b'{"a": Infinity}', b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"):
        with pytest.raises(ModelError, match="no JSON"):
            unpack_model(pack(model, [Chunk("J", card), good_tensors]))


def test_a_card_that_is_no_json_is_not_written() -> None:
    for card in ({"a": float("nan")}, {"a": float("inf")}):
        with pytest.raises(ValueError, match="not JSON compliant"):
            pack_model(card, TENSORS)


def test_limits_hold_for_models(folder: Path) -> None:
    small = Limits(max_model_bytes=len(FILE) - 1)
    for read in (lambda: unpack_model(FILE, small), lambda: load_model("small", small)):
        with pytest.raises(LimitExceeded, match="max_model_bytes"):
            read()
    bomb = pack_model(CARD, {"zeros": np.zeros((100, 100, 100), int)})
    assert len(bomb) < 250
    with pytest.raises(LimitExceeded, match="max_model_bytes"):
        unpack_model(bomb, Limits(max_model_bytes=10**6))


def test_a_damaged_model_in_a_folder_is_an_error_when_it_is_loaded(folder: Path) -> None:
    (folder / "broken.egmm").write_bytes(FILE[:-1])
    with pytest.raises(CodecError, match="chunk 1"):
        load_model("broken")
    check_model(find_model(model_id(FILE)))  # and only then
