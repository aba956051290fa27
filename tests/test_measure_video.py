"""tools/video_codecs.py and `engram measure video`: clips go through codecs as pictures do."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner

from tests.checks import ROOT
from tests.clips import moving, psnr
from tools import video_codecs
from tools.commands import video as command
from tools.commands.video import video

MODEL = ROOT / "bitstreams" / "v1" / "conformance.egmm"
FRAMES = moving(4, 48, 64)


@pytest.mark.parametrize("name", video_codecs.RIVALS)
def test_rivals_give_the_frames_back(name):
    pytest.importorskip("av")
    codec = video_codecs.rival(name, 48, Fraction(25))
    sizes = []
    for crf in (40, 20):
        data = codec.encode(video_codecs.stacked(FRAMES), crf)
        found = codec.decode(data)
        assert found.shape == (4 * 48, 64, 3)
        sizes.append(len(data))
    assert sizes[0] < sizes[1]
    assert psnr(FRAMES, list(found.reshape(4, 48, 64, 3))) > 30


def test_ours_codes_frames_alone_or_after_each_other():
    ours = [
        video_codecs.engram(48, Fraction(25), str(MODEL), intra=intra, effort=5, threads=1) for intra in (False, True)
    ]
    still = video_codecs.stacked([FRAMES[0]] * 4)
    sizes = [len(codec.encode(still, 50)) for codec in ours]
    assert 2 * sizes[0] < sizes[1]
    assert ours[0].fingerprint != ours[1].fingerprint
    assert ours[1].decode(ours[1].encode(still, 50)).shape == still.shape


def test_the_command_writes_what_it_found_and_takes_it_over(tmp_path, monkeypatch):
    pytest.importorskip("av")
    monkeypatch.setattr(video_codecs, "LADDER", (0.0, 20.0, 40.0, 60.0, 80.0, 100.0))
    np.save(tmp_path / "waves.npy", np.stack(FRAMES[:2]))
    arguments = [str(tmp_path / "waves.npy"), "-o", str(tmp_path / "out"), "-m", str(MODEL), "--rivals", "x264"]
    first = CliRunner().invoke(video, arguments, catch_exceptions=False)
    assert first.exit_code == 0, first.output
    assert "waves (2 frames)" in first.stdout
    points = json.loads((tmp_path / "out" / "results.json").read_text())["points"]
    assert len(points) == 6 + 7 + 6
    assert (tmp_path / "out" / "video.png").stat().st_size > 1000
    monkeypatch.setattr(command, "engram", lambda *_, **others: _unused(video_codecs.engram(*_, **others)))
    assert CliRunner().invoke(video, arguments, catch_exceptions=False).stdout == first.stdout


def _unused(codec: object) -> object:
    """A codec of the same name and version that must not be called."""
    from dataclasses import replace

    def never(*_: object) -> bytes:
        raise AssertionError("measured again")

    return replace(codec, encode=never)
