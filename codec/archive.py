"""Many pictures, or clips, in one file, each to be had on its own: the two-part code of a set.

    file   = header, [M: the model], I: index, B: block, B: block, ...           L(H) + L(D|H)
    block  = pictures of one kind side by side, as a tile (tile.py); or one as a file of its own; or clips (clips.py)
    index  = what the blocks hold, and names (catalogue.py)

Pictures that are small and plain share a block, and with it the state of the coder: a digit costs its bits, no header.
`packing.py` writes what is read here.
"""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from codec import lossless
from codec.catalogue import Look, read_catalogue
from codec.clip import Clip
from codec.clips import Reel, reel_of
from codec.codes import Codes, codes_of
from codec.container import Kind, check_kind, is_kind, unpack
from codec.errors import CorruptStream, Desync, ModelMismatch, UnsupportedInput
from codec.files import read_bytes
from codec.jobs import Progress, in_forks
from codec.limits import DEFAULT, Limits
from codec.model import Model, find_model, model_id, unpack_model
from codec.picture import Image
from codec.still import decode
from codec.tile import Mode, Networks, decode_tile, networks
from codec.video import decode_video

__all__ = ["Archive", "Entry", "digest_of", "open_archive"]

KEPT = 512  # blocks that stay decoded, of at most 2^14 pixels each

Samples = NDArray[Any]


class Entry(NamedTuple):
    """What an archive says of a picture, or a clip, without decoding it.

    look : of a clip, that of its frames
    alone : it is a file of its own in the archive
    extras : types of the chunks of that file that hold more than samples: palette, ICC profile, EXIF
    frames, rate : of a clip; 0 for a picture
    """

    name: str
    look: Look
    alone: bool = False
    extras: str = ""
    frames: int = 0
    rate: Fraction = Fraction(0)

    @property
    def film(self) -> tuple[int, ...]:
        """Shape of a clip as an array: (T, H, W) or (T, H, W, 3)."""
        return (self.frames, self.look.height, self.look.width, *((3,) if self.look.channels == 3 else ()))


class Archive(Sequence[Samples]):
    """An archive that is open: a sequence of arrays, of which any can be had without the others.

    `archive[i]` is a picture as an array of its own, (H, W) or (H, W, C), of indices if it has a palette;
    `archive.image(i)` an Image. A clip is an array of frames, (T, H, W) or (T, H, W, 3), and `archive.clip(i)` a Clip,
    which decodes them as they are asked for. All come in the order in which they were packed.

    Parameters
    ----------
    data : a whole file of kind ARCHIVE
    model : the model it was made with; None to look it up by the id in the header when it is needed. An archive that
        holds its model takes that one.

    Attributes
    ----------
    header, catalogue : what the file says of itself
    blocks : data of the blocks
    embedded : the model file in the archive, or None

    Raises
    ------
    CodecError
        And nothing else, whatever the bytes.
    """

    def __init__(self, data: bytes, *, model: Model | None = None, limits: Limits = DEFAULT) -> None:
        self.header, chunks = unpack(data, limits)
        check_kind(self.header, Kind.ARCHIVE)
        self._limits = limits
        self.blocks = [chunk.data for chunk in chunks if chunk.type == "B"]
        self.embedded = next((chunk.data for chunk in chunks if chunk.type == "M"), None)
        self._lent = model
        if self.embedded is not None and model_id(self.embedded) != self.header.model_id:
            raise CorruptStream("the model in the archive is not the one that its header names")
        index = next((chunk.data for chunk in chunks if chunk.type == "I"), b"")
        if self.header.digest != digest_of(index, self.blocks):
            raise Desync("all checksums fit, but index and blocks do not belong together")
        self.catalogue = read_catalogue(index, len(self.blocks), self.header.frames)
        self._place = np.argsort(self.catalogue.order)  # of each picture in the order of the blocks
        self._starts = np.cumsum([0, *(block.count for block in self.catalogue.layout)])  # places in that order
        self._kept = OrderedDict[int, list[Image]]()  # blocks that were decoded last
        self._reels = dict[int, Reel]()  # of blocks of clips that were looked at

    def __len__(self) -> int:
        return self.header.frames

    @overload
    def __getitem__(self, index: int) -> Samples: ...
    @overload
    def __getitem__(self, index: slice) -> list[Samples]: ...
    def __getitem__(self, index: int | slice) -> Samples | list[Samples]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if self._is_film(self._where(index)[0]):
            return self._frames(index)
        image = self.image(index)
        return np.array(image.colour[..., 0] if image.channels == 1 and image.alpha is None else image.pixels)

    def image(self, index: int) -> Image:
        """The picture number `index`; negative ones count from the end. IndexError if there is none.

        Its arrays may be views into what other pictures share, and are not to be written to.

        Raises
        ------
        UnsupportedInput
            It is a clip.
        """
        block, within = self._where(index)
        if self._is_film(block):
            raise UnsupportedInput(f"{self.name(index)!r} is a clip; archive.clip({index}) has its frames")
        return self._pictures(block)[within]

    def clip(self, index: int, threads: int = 1) -> Clip:
        """The clip number `index`, as `image` counts; its frames are decoded when they are asked for, those before not.

        Raises
        ------
        UnsupportedInput
            It is a picture.
        """
        block, within = self._where(index)
        if not self._is_film(block):
            raise UnsupportedInput(f"{self.name(index)!r} is a picture; archive.image({index}) has it")
        reel = self._reel(block)
        own = self._own(reel.model_id)
        frames = reel.frames(within)
        return decode_video(self.blocks[block], frames, model=own, limits=self._limits, threads=threads)

    def codes(self, index: int) -> Codes:
        """The codes of a picture that was packed with loss: its discrete latent, see codes.py.

        Raises
        ------
        UnsupportedInput
            The picture is kept exactly, and has none.
        """
        block, _ = self._where(index)
        if self.catalogue.layout[block].look is None:
            data = self.blocks[block]
            header, _ = unpack(data, self._limits)
            if header.kind == Kind.PHOTO:
                return codes_of(data, model=self._own(header.model_id), limits=self._limits)
            if header.kind == Kind.VIDEO:
                raise UnsupportedInput(f"{self.name(index)!r} is a clip; only pictures have codes that are read alone")
        kept = f"picture {self.name(index)!r} is kept exactly, and samples have no codes"
        raise UnsupportedInput(f"{kept}; pack with a quality (engram pack -q 50) for a latent of codewords")

    def name(self, index: int) -> str:
        """The name of a picture; its number, if the pictures come from an array."""
        names = self.catalogue.names
        return names[index] if names else f"{range(len(self))[index]:0{len(str(len(self) - 1))}d}"

    def number(self, name: str) -> int:
        """The number of the picture of a name; KeyError if there is none."""
        if not self.catalogue.names:
            if name.isdecimal() and len(name) < 20 and int(name) < len(self):
                return int(name)
            raise KeyError(name)
        return self._numbers[name]

    def entry(self, number: int) -> Entry:
        """What is known of a picture without decoding it."""
        block, within = self._where(number)
        look = self.catalogue.layout[block].look
        if look is not None:
            return Entry(self.name(number), look)
        if self._is_film(block):
            reel = self._reel(block)
            look, span = Look(reel.height, reel.width, reel.channels, False, 8), reel.frames(within)
            alone = self.catalogue.layout[block].count == 1
            return Entry(self.name(number), look, alone, frames=span.stop - span.start, rate=reel.rate)
        header, chunks = unpack(self.blocks[block], self._limits)
        if header.kind == Kind.LOSSLESS:
            alpha = lossless.plan_of(header, chunks)[0].alpha
        else:
            alpha = any(chunk.type == "A" for chunk in chunks)
        look = Look(header.height, header.width, header.channels, alpha, header.bit_depth)
        return Entry(self.name(number), look, True, "".join(chunk.type for chunk in chunks if chunk.type in "Cie"))

    def entries(self) -> Iterator[Entry]:
        """What is known of all pictures, in order."""
        return map(self.entry, range(len(self)))

    @property
    def largest(self) -> Look:
        """Of the picture with the most pixels; its alpha is not told."""
        return Look(self.header.height, self.header.width, self.header.channels, False, self.header.bit_depth)

    def verify(self, threads: int = 0, progress: Progress | None = None) -> None:
        """Decode all blocks, and keep none."""
        _ = self._model  # it may be damaged, and no block need it
        jobs = ((None, partial(self._checked, number)) for number in range(len(self.blocks)))
        for done, _ in enumerate(in_forks(jobs, threads), 1):
            if progress:
                progress(done, len(self.blocks))

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.catalogue.names)}

    @functools.cached_property
    def _model(self) -> Model | None:
        """The model in the archive, or the one that was given. It is read when a picture is asked for, not before."""
        return self._lent if self.embedded is None else unpack_model(self.embedded, self._limits)

    def _where(self, index: int) -> tuple[int, int]:
        """Block of a picture, and its place there."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        place = int(self._place[index % len(self)])
        block = int(self._starts.searchsorted(place, side="right")) - 1
        return block, place - int(self._starts[block])

    def _pictures(self, number: int) -> list[Image]:
        """The pictures of a block; those that stand on their own may be large, and are not kept."""
        found = self._kept.get(number)
        if found is None:
            found = self._decode(number)
            if self.catalogue.layout[number].look is not None:
                self._kept[number] = found
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return found

    def _checked(self, number: int) -> bytes:
        """Nothing, if a block decodes."""
        if self._is_film(number):
            reel = self._reel(number)
            own = self._own(reel.model_id)
            for _ in decode_video(self.blocks[number], model=own, limits=self._limits, threads=1):
                pass
        else:
            self._decode(number)
        return b""

    def _is_film(self, block: int) -> bool:
        """Whether a block holds clips; one that holds several things and no pictures side by side is taken to do so."""
        layout = self.catalogue.layout[block]
        return layout.look is None and (layout.count > 1 or is_kind(self.blocks[block], Kind.VIDEO))

    def _reel(self, block: int) -> Reel:
        found = self._reels.get(block)
        if found is None:
            found = self._reels[block] = reel_of(self.blocks[block], self.catalogue.layout[block].count, self._limits)
        return found

    def _frames(self, index: int) -> Samples:
        """The frames of a clip in one array."""
        clip = self.clip(index)
        self._limits.check_size(clip.width, clip.height, clip.frames or 0)
        frames = np.empty((clip.frames or 0, *clip.shape), np.uint8)
        for number, frame in enumerate(clip):
            frames[number] = frame
        return frames

    def _decode(self, number: int) -> list[Image]:
        block, data = self.catalogue.layout[number], self.blocks[number]
        if block.look is None:
            own = self._own(unpack(data, self._limits)[0].model_id)
            return [decode(data, model=own, limits=self._limits, threads=1)]
        look, plan = block.look, block.look.plan(self.catalogue.error)
        x = decode_tile(self._built(data), plan, data, (block.count, look.height, look.width))
        x.setflags(write=False)
        colour, alpha = x[..., : look.channels], x[..., -1] if look.alpha else [None] * block.count
        return [Image(c, a, bit_depth=look.depth) for c, a in zip(colour, alpha, strict=True)]

    def _own(self, needed: bytes) -> Model | None:
        """The model of the archive, or the one given, if it has that id."""
        return self._model if self._model is not None and self._model.id == needed else None

    def _built(self, data: bytes) -> Networks | None:
        """The networks that a block needs, if it does: of the archive's own model, of the one given, or of that id."""
        if data[:1] != bytes([Mode.RESIDUAL]):
            return None
        model = self._model or find_model(self.header.model_id)
        if model.id != self.header.model_id:
            raise ModelMismatch(f"the archive needs model {self.header.model_id.hex()}, not {model.id.hex()}")
        return networks(model)


class _Lazy(Archive):
    """An archive on disk that is read when it is first used: it can be pickled, and opens itself in every worker."""

    def __init__(self, path: str | Path, *, model: Model | None, limits: Limits) -> None:
        self._path, self._given = Path(path).absolute(), (model, limits)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_path" not in self.__dict__ or "_kept" in self.__dict__:
            raise AttributeError(f"an archive has no attribute {name!r}")
        model, limits = self._given
        self.__dict__ |= vars(Archive(read_bytes(self._path, limits), model=model, limits=limits))
        return getattr(self, name)

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_given": self._given}


def open_archive(path: str | Path, *, model: Model | None = None, limits: Limits = DEFAULT) -> Archive:
    """Open an archive as a sequence of arrays, which torch's DataLoader takes as a map-style data set.

    It is read when it is first used, and again in every process that it is sent to.

    Raises
    ------
    OSError, CodecError
        When it is first used.
    """
    return _Lazy(path, model=model, limits=limits)


def digest_of(index: bytes, blocks: Sequence[bytes]) -> bytes:
    """First 4 bytes of BLAKE2b over the data of chunk I and of all chunks B."""
    digest = hashlib.blake2b(index)
    for block in blocks:
        digest.update(block)
    return digest.digest()[:4]
