"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("engram", deadline=None)  # timings belong to benchmarks; a busy machine is no bug
settings.load_profile("engram")
