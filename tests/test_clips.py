"""codec/clips.py: clips of a set come back from an archive, each without the others; hostile bytes are refused."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from functools import partial
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest

from codec import clips
from codec.archive import Archive, Entry, digest_of, open_archive
from codec.catalogue import Block, Catalogue, Look, read_catalogue, write_catalogue
from codec.clip import Clip
from codec.clips import Film, encode_clip, reel_of, together
from codec.container import Chunk, Header, Kind, pack, unpack
from codec.errors import CodecError, CorruptStream, Desync, LimitExceeded, UnsupportedInput, UnsupportedVersion
from codec.limits import Limits
from codec.model import Model, unpack_model
from codec.packing import Item, pack_archive
from codec.picture import Image
from codec.still import encode
from tests.checks import check_only_codec_errors, check_refused, frozen_lossless_model, sprites_model, style_model
from tests.pictures import samples

EXACT = frozen_lossless_model()
STYLE = unpack_model(style_model())
NOISE = np.random.default_rng(0).choice(np.array([0, 99, 7], np.uint8), (7, 5, 9, 8), p=(0.6, 0.35, 0.05))


def film(frames: np.ndarray, name: str = "", rate: int = 10) -> Film:
    channels = 1 if frames.ndim == 3 else 3
    clip = Clip(frames.shape[2], frames.shape[1], channels, Fraction(rate), len(frames), partial(iter, frames))
    return Film(name, clip)


def packed(films: list[Film], items: tuple[Item, ...] = (), model: Model = EXACT, **options) -> bytes:
    return pack_archive(items, model, films=films, moving=model, **{"threads": 1} | options)


MIXED = [
    film(NOISE[0], "a.npy"), film(NOISE[1, :3], "short"), film(np.repeat(NOISE[2, :2, :6, :, None], 3, axis=3), "rgb"),
    film(NOISE[3], "fast", 25), film(NOISE[4, :, :4], "low"), film(NOISE[5], "deep/a.npy"),
]  # fmt: skip
PICTURE = Item("picture.png", Image(NOISE[0, 0, ..., None]))


@pytest.fixture(scope="module")
def mixed() -> bytes:
    """An archive of a picture and six clips, of which three share a block."""
    return packed(MIXED, (PICTURE,))


def sealed(data: bytes, *, index: Catalogue | None = None, blocks: list[bytes] | None = None, **fields) -> bytes:
    """An archive with parts of it exchanged, and right checksums and digests."""
    header, chunks = unpack(data)
    text = next(chunk.data for chunk in chunks if chunk.type == "I") if index is None else write_catalogue(index)
    blocks = [chunk.data for chunk in chunks if chunk.type == "B"] if blocks is None else blocks
    facts = {name: getattr(header, name) for name in ("width", "height", "channels", "bit_depth", "frames", "model_id")}
    new = Header(Kind.ARCHIVE, **facts | {"digest": digest_of(text, blocks)} | fields)
    return pack(new, [Chunk("I", text), *(Chunk("B", block) for block in blocks)])


def everything(data: bytes) -> None:
    opened = Archive(data, model=EXACT, limits=Limits(max_pixels=1 << 20))
    list(opened.entries())
    opened.verify(1)
    for number in range(min(len(opened), 20)):
        opened[number]


def test_clips_that_are_alike_share_a_block_and_all_come_back(mixed):
    opened = Archive(mixed, model=EXACT)
    assert len(opened) == 7
    np.testing.assert_array_equal(opened[0], NOISE[0, 0])
    for number, (name, clip) in enumerate(MIXED, 1):
        expected = np.stack(list(clip))
        np.testing.assert_array_equal(opened[number], expected)
        look = Look(clip.height, clip.width, clip.channels, False, 8)
        alone = name not in ("a.npy", "short", "deep/a.npy")
        assert opened.entry(number) == Entry(name, look, alone, "", len(expected), clip.rate)
        found = opened.clip(number)
        assert (found.rate, found.frames, found.shape) == (clip.rate, clip.frames, clip.shape)
    assert sorted(block.count for block in opened.catalogue.layout) == [1, 1, 1, 1, 3]
    assert (opened[-1] == NOISE[5]).all()


def test_one_clip_is_decoded_without_the_others_of_its_block(mixed, tmp_path, monkeypatch):
    (tmp_path / "set.ega").write_bytes(mixed)
    opened, decoded = open_archive(tmp_path / "set.ega", model=EXACT), []
    monkeypatch.setattr("codec.video.decode_group", _spied("codec.video.decode_group", decoded))
    np.testing.assert_array_equal(opened[2], NOISE[1, :3])
    assert [count for _, _, count in decoded] == [3]
    np.testing.assert_array_equal(ForkingPickler.loads(ForkingPickler.dumps(opened))[6], NOISE[5])


def _spied(name: str, calls: list):
    from codec import video

    original = getattr(video, name.rsplit(".", 1)[1])
    return lambda *args: calls.append(args[:3]) or original(*args)


def test_pictures_and_clips_are_not_taken_for_each_other(mixed):
    opened = Archive(mixed, model=EXACT)
    with pytest.raises(UnsupportedInput, match=r"'a.npy' is a clip; archive.clip\(1\)"):
        opened.image(1)
    with pytest.raises(UnsupportedInput, match=r"'picture.png' is a picture; archive.image\(0\)"):
        opened.clip(0)
    with pytest.raises(UnsupportedInput, match=r"'a\.npy' is a clip"):
        opened.codes(1)


def test_a_clip_costs_its_data_and_no_header():
    frames = [film(np.roll(NOISE[0], n, axis=1)) for n in range(7)]
    alone = [encode_clip(EXACT, clip, quality=None, verify=True) for _, clip in frames]
    data = packed(frames, dimensions=4)
    groups = [next(chunk.data for chunk in unpack(file)[1] if chunk.type == "G") for file in alone]
    assert len(data) < sum(map(len, groups)) + 9 * 7 + 100
    assert len(data) < sum(map(len, alone)) - 6 * 25


def test_bytes_do_not_depend_on_threads_and_are_verified(mixed, monkeypatch):
    assert packed(MIXED, (PICTURE,), threads=3, verify=True) == mixed
    monkeypatch.setattr(clips, "decode_video", lambda *_, **__: (_ for _ in ()).throw(Desync("other frames")))
    with pytest.raises(Desync):
        packed(MIXED[:1], verify=True)


def test_what_is_added_leaves_the_blocks_before_it_as_they_are(mixed):
    longer = packed([film(NOISE[6], "new")], after=Archive(mixed, model=EXACT))
    opened = Archive(longer, model=EXACT)
    np.testing.assert_array_equal(opened[7], NOISE[6])
    np.testing.assert_array_equal(opened[6], NOISE[5])
    assert opened.blocks[:-1] == Archive(mixed, model=EXACT).blocks
    with pytest.raises(UnsupportedInput, match=r"two pictures are called 'a\.npy'"):
        packed(MIXED[:1], after=opened)


def test_clips_of_an_array_have_one_shape_and_no_names():
    data = packed([film(x) for x in NOISE[:3]], dimensions=4, frames_first=True)
    array = Archive(data, model=EXACT)
    np.testing.assert_array_equal(np.stack(list(array)), NOISE[:3])
    assert (array.name(2), array.catalogue.dimensions, array.catalogue.frames_first) == ("2", 4, True)
    options = {"dimensions": 4, "frames_first": True, "after": array}
    np.testing.assert_array_equal(Archive(packed([film(NOISE[3])], **options), model=EXACT)[3], NOISE[3])
    with pytest.raises(UnsupportedInput, match="one shape"):
        packed([film(NOISE[3, :4])], **options)
    with pytest.raises(UnsupportedInput, match="one shape"):
        packed([], (Item("", PICTURE.image),), **options)
    with pytest.raises(UnsupportedInput, match="frames, then clips; this one clips, then frames"):
        packed([film(NOISE[3])], **options | {"frames_first": False})


def test_blocks_are_bounded_and_long_clips_are_files_of_their_own(monkeypatch):
    monkeypatch.setattr(clips, "TOGETHER", 2)
    monkeypatch.setattr(clips, "FRAMES", 9)
    slow = film(NOISE[5], rate=1)  # two groups
    files = [encode_clip(EXACT, each.clip, quality=None, verify=False) for each in (*MIXED[:2], MIXED[5], slow)]
    blocks = [
        numbers for numbers, _ in together(enumerate([files[0], files[1], files[2], files[0], files[0], files[3]]))
    ]
    assert sorted(blocks) == [(0, 1), (2,), (3,), (4,), (5,)]
    reel = reel_of(dict(together([(0, files[3])]))[(0,)], 1)
    assert (reel.starts, reel.rate) == ((0, 5), 1)


def test_models_are_chosen_for_each_clip_and_named_by_its_block():
    light = np.zeros((6, 20, 20), np.uint8)
    for t in range(6):
        light[t, 4 + t : 9 + t, 3 + t : 11 + t] = 200
    moving = unpack_model(sprites_model())
    data = packed([film(light, "light"), film(NOISE[0], "noise")], model=moving)
    opened = Archive(data, model=moving)
    np.testing.assert_array_equal(opened[0], light)
    np.testing.assert_array_equal(opened[1], NOISE[0])
    chosen = Archive(pack_archive([], EXACT, films=[film(light, "light"), film(NOISE[0, :2], "noise")], threads=1))
    ids = {reel_of(block, 1).model_id for block in chosen.blocks}
    assert len(ids) == 2
    assert EXACT.id not in ids
    np.testing.assert_array_equal(chosen[0], light)


def test_every_cut_and_many_flipped_bits_are_refused():
    data = packed([film(NOISE[0, :2], "a"), film(NOISE[1, :2], "b")])
    everything(data)
    for length in range(0, len(data), 3):
        check_refused(everything, data[:length], f"cut to {length} bytes")
    for bit in range(0, 8 * len(data), 61):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        check_refused(everything, bytes(damaged), f"bit {bit} flipped")


def files(*counts: int, dimensions: int = 0, frames_first: bool = False) -> Catalogue:
    total = sum(counts)
    names = () if dimensions else tuple(map(str, range(total)))
    return Catalogue(tuple(Block(n, None) for n in counts), 0, dimensions, names, np.arange(total), frames_first)


def test_a_block_holds_as_many_clips_as_the_index_says():
    three = packed([film(x, str(n)) for n, x in enumerate(NOISE[:3])])
    (block,) = Archive(three, model=EXACT).blocks
    for count in (2, 4, 1 << 19):
        opened = Archive(sealed(three, index=files(count), frames=count), model=EXACT)
        for use in (lambda opened=opened: opened[0], opened.verify, lambda opened=opened: opened.entry(1)):
            with pytest.raises(CorruptStream, match="clips with 3 groups"):
                use()
    one = Archive(sealed(three, index=files(1), frames=1), model=EXACT)
    np.testing.assert_array_equal(one[0], NOISE[:3].reshape(-1, 9, 8))  # a clip of three groups
    still = encode(samples("photo", (5, 4, 1)), quality=0, max_error=0, model=EXACT)
    for inner, error in ((still, UnsupportedVersion), (three, UnsupportedVersion), (block[:-4], CodecError)):
        with pytest.raises(error):
            Archive(sealed(three, index=files(2), blocks=[inner], frames=2), model=EXACT)[0]


def test_an_index_that_makes_no_sense_is_refused():
    for wrong in (files(0, 1), files(3, dimensions=3, frames_first=True), files(3, dimensions=6)):
        with pytest.raises(CorruptStream):
            read_catalogue(write_catalogue(wrong), len(wrong.layout), len(wrong.order))
    side = (Block(3, Look(9, 8, 1, False, 8)),)
    for dimensions, first in ((5, False), (4, True)):
        wrong = Catalogue(side, 0, dimensions, (), np.arange(3), first)
        with pytest.raises(CorruptStream, match="clips that holds pictures"):
            read_catalogue(write_catalogue(wrong), 1, 3)


def test_sizes_are_checked_before_anything_is_allocated():
    frames = np.zeros((2, 9, 8), np.uint8)
    data = packed([film(frames, "a")])
    tracemalloc.start()
    with pytest.raises(LimitExceeded):
        Archive(data, model=EXACT, limits=Limits(max_pixels=143))[0]
    (block,) = Archive(data, model=EXACT).blocks
    header, (plan, group) = unpack(block)
    for fields in ({"frames": 1 << 40}, {"width": 1 << 14, "height": 1 << 14}):
        wide = {"width": 8, "height": 9, "frames": 2} | fields
        claimed = Header(Kind.VIDEO, wide["width"], wide["height"], 1, 8, wide["frames"], EXACT.id, header.digest)
        hostile = sealed(data, blocks=[pack(claimed, [plan, group])])
        tracemalloc.reset_peak()
        with pytest.raises(CodecError):
            Archive(hostile, model=EXACT)[0]
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("seed", range(3))
def test_damage_with_right_checksums_raises_codec_errors_only(mixed, seed):
    rng, blocks = np.random.default_rng(seed), Archive(mixed, model=EXACT).blocks
    for _ in range(4):
        damaged = list(blocks)
        number = int(rng.integers(len(blocks)))
        header, chunks = unpack(blocks[number]) if blocks[number][:1] == b"\xce" else (None, ())
        if header is None:
            continue
        at = int(rng.integers(len(chunks)))
        data = bytearray(chunks[at].data)
        data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
        new = [*chunks[:at], Chunk(chunks[at].type, bytes(data)), *chunks[at + 1 :]]
        damaged[number] = pack(header, new)
        check_only_codec_errors(everything, sealed(mixed, blocks=damaged), f"seed {seed}")
