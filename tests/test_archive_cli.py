"""codec/archive_cli.py: unpack, list and extract; and what other commands say of archives."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from codec.catalogue import Block, Catalogue, write_catalogue
from codec.container import Chunk, Header, Kind, pack
from codec.pixels import Image, read_image
from codec.still import encode
from tests.checks import ROOT, check_same_picture, engram, frozen_lossless_model
from tests.pictures import files_in, folder_of_kinds, samples

MODEL = str(ROOT / "bitstreams" / "v1" / "conformance-lossless.egmm")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with a folder `in` of pictures of many kinds; models are found in the conformance pack."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENGRAM_MODELS", str(ROOT / "bitstreams" / "v1"))
    folder_of_kinds(tmp_path / "in")
    return tmp_path


@pytest.fixture
def packed(folder) -> Path:
    engram("pack", "in", "-o", "set.ega", "-m", MODEL)
    return folder / "set.ega"


def test_a_folder_comes_back_with_names_and_modes(folder, packed):
    result = engram("unpack", packed, "-o", "out")
    assert "7 pictures" in result.output
    assert files_in(folder / "out") == files_in(folder / "in")
    for name in files_in(folder / "in"):
        check_same_picture(read_image(folder / "out" / name, exact=True), read_image(folder / "in" / name, exact=True))


def test_what_is_there_is_not_overwritten_and_nothing_is_written_before_that_is_known(folder, packed):
    (folder / "out").mkdir()
    (folder / "out" / "z.ppm").write_text("mine")
    assert "the output exists" in engram("unpack", packed, "-o", "out", code=1).stderr
    assert files_in(folder / "out") == ["z.ppm"]
    engram("unpack", packed, "-o", "out", "-f")
    assert len(files_in(folder / "out")) == 7
    assert "the output exists" in engram("pack", "in", "-o", packed, code=1).stderr


@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 6, 5, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_an_array_comes_back_identical(folder, shape, kind):
    x = np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape).astype(kind)
    np.save("x.npy", x)
    engram("pack", "x.npy", "-o", "x.ega", "-m", MODEL)
    engram("unpack", "x.ega", "-o", "y.npy")
    found = np.load("y.npy")
    np.testing.assert_array_equal(found, x)
    assert found.dtype == x.dtype
    engram("extract", "x.ega", "2", "3")
    np.testing.assert_array_equal(read_image("3.png", exact=True).pixels.reshape(shape[1:]), x[3])
    assert "max-pixels" in engram("unpack", "x.ega", "-o", "z.npy", "--max-pixels", 100, code=4).stderr
    assert "ends in .npy" in engram("unpack", "x.ega", "-o", "folder", code=2).stderr


def test_an_array_may_not_hold_pictures_that_differ(folder):
    kept = [encode(samples("photo", (h, 4, 1)), quality=0, max_error=0, model=frozen_lossless_model()) for h in (4, 5)]
    hostile(folder / "x.ega", ["", ""], files=kept, dimensions=3)
    assert "another shape" in engram("unpack", "x.ega", "-o", "y.npy", code=3).stderr
    assert not (folder / "y.npy").exists()


def test_list_says_what_there_is_without_decoding(folder, packed):
    lines = engram("list", packed).output.splitlines()
    assert [line.split()[0] for line in lines] == files_in(folder / "in")
    assert "rgb.png  8 x 9 x 3, 8 bits" in lines
    assert "sub/alpha.webp  7 x 7 x 3 + alpha, 8 bits" in lines
    records = [json.loads(line) for line in engram("list", packed, "--json").output.splitlines()]
    assert [record["alone"] for record in records if record["name"] == "pal.png"] == [True]


def test_extract_takes_single_pictures_by_name(folder, packed):
    engram("extract", packed, "sub/grey.bmp", "rgb.png")
    check_same_picture(read_image("grey.bmp"), read_image("in/sub/grey.bmp"))
    engram("extract", packed, "rgb.png", "-o", "other.webp")
    check_same_picture(read_image("other.webp"), read_image("in/rgb.png"))
    os.mkdir("there")
    engram("extract", packed, "rgb.png", "-o", "there")
    assert files_in(folder / "there") == ["rgb.png"]
    assert "holds no picture 'grey.bmp'" in engram("extract", packed, "grey.bmp", code=1).stderr
    assert "the output exists" in engram("extract", packed, "rgb.png", code=1).stderr


def test_info_and_test_know_archives(folder, packed):
    record = json.loads(engram("info", packed, "--json").output)
    assert (record["kind"], record["items"], record["alone"]) == ("archive", 7, 1)
    samples_in = sum(read_image(folder / "in" / name, exact=True).pixels.size for name in files_in(folder / "in"))
    assert record["samples"] == samples_in
    assert record["bits_per_sample"] == pytest.approx(8 * packed.stat().st_size / samples_in)
    assert record["model_bytes"] == 0
    assert "ok" in engram("test", packed).output
    data = bytearray(packed.read_bytes())
    data[-10] ^= 1
    packed.write_bytes(bytes(data))
    assert "checksum" in engram("test", packed, code=3).stderr


def hostile(path: Path, names: list[str], files: list[bytes] | None = None, dimensions: int = 0) -> Path:
    """An archive with any names, and right checksums; its pictures are files of 2 x 2 pixels."""
    one = encode(np.zeros((2, 2, 3), np.uint8), quality=0, max_error=0, model=frozen_lossless_model())
    blocks = files or [one] * len(names)
    shown = () if dimensions else tuple(names)
    index = write_catalogue(Catalogue((Block(1, None),) * len(names), 0, dimensions, shown, np.arange(len(names))))
    digest = hashlib.blake2b(b"".join([index, *blocks])).digest()[:4]
    header = Header(Kind.ARCHIVE, 2, 2, 3, 8, len(names), bytes(8), digest)
    path.write_bytes(pack(header, [Chunk("I", index), *(Chunk("B", block) for block in blocks)]))
    return path


@pytest.mark.parametrize(
    "name", ["/tmp/x.png", "../x.png", "a/../../x.png", "a\\x.png", "C:x.png", "a\0.png", "a\x1b.png"]
)
@pytest.mark.parametrize("command", [["unpack"], ["list"], ["extract", "x.png"], ["test"], ["info"]])
def test_archives_with_hostile_names_are_refused_by_every_command(folder, name, command):
    os.mkdir("deep")
    path = hostile(folder / "deep" / "bad.ega", [name])
    before = files_in(folder)
    said = engram(command[0], path, *command[1:], code=3).stderr
    assert "the index of the archive" in said
    assert "\x1b" not in said
    assert files_in(folder) == before


def test_links_out_of_the_folder_are_not_followed(folder):
    for place in ("outside", "out", "out/real"):
        os.mkdir(place)
    os.symlink(folder / "outside", "out/link")
    os.symlink("../outside/new.png", "out/dangling.png")
    os.symlink("real", "out/inner")
    for name in ("link/x.png", "dangling.png", "link/deeper/x.png"):
        path = hostile(folder / "bad.ega", ["fine.png", name])
        for force in ([], ["-f"]):
            assert "leads out of the folder" in engram("unpack", path, "-o", "out", *force, code=1).stderr
    os.chdir("out")
    hostile(folder / "bad.ega", ["sub/dangling.png"])
    assert "leads out" in engram("extract", "../bad.ega", "sub/dangling.png", "-f", code=1).stderr
    os.chdir(folder)
    assert files_in(folder / "outside") == []
    assert "fine.png" not in files_in(folder / "out")
    engram("unpack", hostile(folder / "good.ega", ["inner/x.png"]), "-o", "out")
    assert (folder / "out" / "real" / "x.png").exists()


def test_two_pictures_are_never_written_to_one_file(folder):
    for names in (["a", "a.png"], ["x/a.jpg", "x/a.jpg.png"]):
        path = hostile(folder / "two.ega", names)
        assert "would be one file" in engram("unpack", path, "-o", "out", "-f", code=1).stderr
    assert not (folder / "out").exists()
    path = hostile(folder / "two.ega", ["x/a.png", "y/a.png"])
    assert "would be one file" in engram("extract", path, "x/a.png", "y/a.png", "-f", code=1).stderr
    engram("unpack", path, "-o", "out")
    assert files_in(folder / "out") == ["x/a.png", "y/a.png"]


def test_a_format_that_would_lose_something_becomes_png(folder):
    grey, alpha = samples("photo", (3, 3, 1)), samples("photo", (3, 3, 4))
    pictures = {"a.jpg": Image(grey), "b.bmp": Image.of(alpha), "c.webp": Image(grey), "d.tif": Image.of(alpha)}
    kept = [encode(image, quality=0, max_error=0, model=frozen_lossless_model()) for image in pictures.values()]
    engram("unpack", hostile(folder / "x.ega", list(pictures), files=kept), "-o", "out")
    names = ["a.jpg.png", "b.bmp.png", "c.webp.png", "d.tif"]
    assert files_in(folder / "out") == names
    for name, image in zip(names, pictures.values(), strict=True):
        check_same_picture(read_image(folder / "out" / name, exact=True), image)


def test_a_file_of_another_kind_is_told_what_reads_it(folder, packed):
    engram("compress", "in/rgb.png", "-o", "exact.egm", "--lossless", "-m", MODEL)
    engram("compress", "in/rgb.png", "-o", "photo.egm", "-m", "conformance")
    for command in (["decompress", packed, "-o", "x.png"], ["decompress", packed, "--preview", "-o", "x.png"]):
        assert "set.ega: this is an archive of pictures; `engram unpack`" in engram(*command, code=3).stderr
    for name in ("exact.egm", "photo.egm"):
        for command in (["unpack", name], ["list", name], ["extract", name, "x"]):
            assert "this is a picture; `engram decompress`" in engram(*command, code=3).stderr
    assert "this is a model" in engram("unpack", MODEL, code=3).stderr
    assert "this is a model" in engram("decompress", MODEL, "-o", "x.png", code=3).stderr
    assert not (folder / "x.png").exists()
