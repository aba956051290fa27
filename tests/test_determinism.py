"""The same pixels from every kernel and number of threads that this machine has."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.checks import ROOT

V1 = ROOT / "bitstreams" / "v1"
NEEDS = {"Nehalem": "sse4_2", "Sandybridge": "avx", "Haswell": "avx2", "SkylakeX": "avx512vl"}
STREAMS = ("noise", "rgb-130x70", "forced-all", "two-tiles-beside")
PROGRAM = """
import sys
from pathlib import Path
import numpy
from codec.image import decode
from codec.model import unpack_model
from tools.conformance import fingerprint
folder = Path(sys.argv[1])
model = unpack_model((folder / "conformance.egmm").read_bytes())
for name in sys.argv[2:]:
    print(fingerprint(decode((folder / "valid" / f"{name}.egm").read_bytes(), model=model)))
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
