"""Video codecs as `Codec`s, so that clips are measured exactly as pictures are.

A clip is measured as its frames one below the other, (T H, W, C): a codec is made for frames of one height, and cuts
there. Sizes of the rivals are those of bare streams, without a container.
"""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import numpy as np

from tools.engram import source_version
from tools.rivals import Codec, Pixels

__all__ = ["RIVALS", "engram", "rival", "stacked"]

LADDER = (15.0, 30.0, 45.0, 60.0, 75.0, 90.0)
CRFS = (45.0, 40.0, 35.0, 30.0, 25.0, 20.0, 15.0)
RIVALS = {  # name: label, encoder of FFmpeg, kind of pixels, options
    f"{name}{suffix}": (f"{label}{words}", encoder, kind, options)
    for name, label, encoder, options in (
        ("x264-zerolatency", "x264 zerolatency", "libx264", {"preset": "medium", "tune": "zerolatency"}),
        ("x264", "x264", "libx264", {"preset": "medium"}),
        ("x265", "x265", "libx265", {"preset": "medium"}),
    )
    for suffix, words, kind in (("", "", "yuv420p"), ("-444", " 4:4:4", "yuv444p"))
}


def stacked(frames: list[Pixels]) -> Pixels:
    """Frames (H, W) or (H, W, 3) one below the other: (T H, W, C)."""
    return np.concatenate([frame.reshape(*frame.shape[:2], -1) for frame in frames])


def engram(height: int, rate: Fraction, model: str, *, intra: bool, effort: int, threads: int) -> Codec:
    """The video codec with a model of video, or of photos; with `intra`, each frame on its own, by the photo model."""
    from codec.footage import INTRA
    from codec.model import load_model
    from codec.video import INTERVAL, decode_video, encode_video

    loaded = load_model(model)
    if intra:
        loaded = load_model(loaded.card.get(INTRA, model))
    interval = float(1 / rate) if intra else INTERVAL

    def code(pixels: Pixels, quality: float) -> bytes:
        options: dict[str, Any] = {"model": loaded, "interval": interval, "effort": effort, "threads": threads}
        return encode_video(_frames(pixels, height), rate=rate, quality=quality, **options)

    return Codec(
        name="engram-intra" if intra else "engram",
        label="Engram, all intra" if intra else "Engram",
        settings=f"model {loaded.name} ({loaded.id.hex()}), effort {effort}, threads {threads}, intra {intra}",
        version=source_version(),
        knob="quality",
        ladder=LADDER,
        suffix=".egm",
        encode=code,
        decode=lambda data: stacked(list(decode_video(data, model=loaded, threads=threads))),
        whole=False,
    )


def rival(name: str, height: int, rate: Fraction) -> Codec:
    """An encoder of FFmpeg through PyAV: one thread, constant rate factor."""
    import av

    label, encoder, kind, options = RIVALS[name]
    quiet = {"x265-params": "pools=none:frame-threads=1:log-level=none:info=0"} if encoder == "libx265" else {}
    fixed = options | quiet

    def code(pixels: Pixels, crf: float) -> bytes:
        frames, file = _frames(pixels, height), io.BytesIO()
        with av.open(file, "w", format="h264" if encoder == "libx264" else "hevc") as container:
            stream: Any = container.add_stream(encoder, rate=rate, options=fixed | {"crf": f"{crf:g}"})
            stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], height, kind
            stream.codec_context.thread_count = 1
            for frame in frames:
                made = av.VideoFrame.from_ndarray(_rgb(frame), "rgb24")
                container.mux(stream.encode(made.reformat(format=kind, **_exactly(av))))
            container.mux(stream.encode(None))
        return _bare(file.getvalue()) if encoder == "libx264" else file.getvalue()

    def decode(data: bytes) -> Pixels:
        with av.open(io.BytesIO(data), "r", format="h264" if encoder == "libx264" else "hevc") as container:
            container.streams.video[0].codec_context.thread_count = 1
            shown = (frame.reformat(format="rgb24", **_exactly(av)) for frame in container.decode(video=0))
            return stacked([np.asarray(frame.to_ndarray(), np.uint8) for frame in shown])

    return Codec(
        name=name,
        label=label,
        settings=f"{encoder} through PyAV, {kind}, {options}, one thread",
        version=f"PyAV {av.__version__}",
        knob="crf",
        ladder=CRFS,
        suffix=".264" if encoder == "libx264" else ".265",
        encode=code,
        decode=decode,
    )


def _frames(pixels: Pixels, height: int) -> list[Pixels]:
    """The frames of a clip; what is not as high (to warm up) is one frame."""
    parts = pixels.reshape(-1, height, *pixels.shape[1:]) if len(pixels) % height == 0 else pixels[None]
    return [part[..., 0] if part.shape[2] == 1 else part for part in parts]


def _bare(data: bytes) -> bytes:
    """An H.264 stream without the unit in which x264 spells out its settings, which is long beside a short clip."""
    start, supplement = b"\0\0\1", 6
    first, *units = data.split(start)
    return first + b"".join(start + unit for unit in units if unit[0] & 31 != supplement)


def _rgb(frame: Pixels) -> Pixels:
    return np.ascontiguousarray(np.broadcast_to(frame[..., None], (*frame.shape, 3)) if frame.ndim == 2 else frame)


def _exactly(av: Any) -> dict[str, Any]:
    """How colours are converted: chroma interpolated, and rounded."""
    how = av.video.reformatter.Interpolation
    return {"interpolation": how.BICUBIC | how.FULL_CHR_H_INT | how.FULL_CHR_H_INP | how.ACCURATE_RND | how.BITEXACT}
