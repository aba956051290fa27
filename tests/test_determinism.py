"""The same pixels from every kernel and number of threads that this machine has."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from codec.digest import digest
from codec.lossless import encode
from codec.picture import Image
from tests.checks import ROOT, lossless_model
from tests.pictures import samples
from tools.tiny_lossless import tiny_lossless

V1 = ROOT / "bitstreams" / "v1"
NEEDS = {"Nehalem": "sse4_2", "Sandybridge": "avx", "Haswell": "avx2", "SkylakeX": "avx512vl"}
STREAMS = ("noise", "rgb-130x70", "forced-all", "two-tiles-beside", "video-rgb-130x70", "video-forced-1")
PROGRAM = """
import sys
from pathlib import Path
import numpy
from codec.model import unpack_model
from tools.conformance import PHOTO, decode, fingerprint
folder = Path(sys.argv[1])
models = {PHOTO: unpack_model((folder / PHOTO).read_bytes())}
for name in sys.argv[2:]:
    print(fingerprint(decode({}, (folder / "valid" / f"{name}.egm").read_bytes(), models)))
"""

LOSSLESS = """
import sys
from pathlib import Path
from codec.digest import digest
from codec.lossless import decode, encode
from codec.model import unpack_model
folder = Path(sys.argv[1])
model, data = unpack_model((folder / "tiny.egmm").read_bytes()), (folder / "picture.egm").read_bytes()
image = decode(data, model=model)
print(digest(image).hex(), encode(image, model) == data)
"""


def flags() -> set[str]:
    """What the processor can do; empty where that cannot be read."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    return set(next((line.split(":")[1] for line in lines if line.startswith("flags")), "").split())


@pytest.mark.parametrize(("core", "threads"), [*itertools.product(NEEDS, (1, 2)), ("", 4)])
def test_decoded_pixels_do_not_depend_on_kernels_or_threads(core, threads):
    if core and NEEDS[core] not in flags():
        pytest.skip(f"this processor has no {NEEDS[core]}")
    manifest = tomllib.loads((V1 / "MANIFEST.toml").read_text(encoding="utf-8"))
    expected = {entry["file"]: entry["pixels"] for entry in manifest["valid"]}
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": str(threads)}
    if core:
        environment |= {"OPENBLAS_CORETYPE": core}
    command = [sys.executable, "-c", PROGRAM, str(V1), *STREAMS]
    found = subprocess.check_output(command, env=environment, text=True).split()
    assert found == [expected[f"valid/{name}.egm"] for name in STREAMS]


@pytest.mark.parametrize("core", NEEDS)
def test_lossless_files_and_pixels_do_not_depend_on_kernels(core, tmp_path):
    if NEEDS[core] not in flags():
        pytest.skip(f"this processor has no {NEEDS[core]}")
    source = Image.of(samples("photo", (60, 70, 4)))
    (tmp_path / "tiny.egmm").write_bytes(tiny_lossless())
    (tmp_path / "picture.egm").write_bytes(encode(source, lossless_model()))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_CORETYPE": core}
    command = [sys.executable, "-c", LOSSLESS, str(tmp_path)]
    found = subprocess.check_output(command, env=environment, text=True).split()
    assert found == [digest(source).hex(), "True"]
