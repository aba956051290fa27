"""training/live.py: one line that says where a training is, on terminals only."""

from __future__ import annotations

import io
import math
import os
import shutil

import pytest

from training.live import Live, duration, number


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal_of(monkeypatch, columns: int = 200) -> Terminal:
    """Standard error as a terminal, from here to the end of the test."""
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((columns, 24)))
    return terminal


FIGURES = {"loss": 1.23456, "bpp": 0.61251, "psnr": 31.2, "perplexity": [41.32, 8.0], "dead": [3, 0], "bpsp": None}


def test_the_line_has_the_figures_that_there_are(monkeypatch):
    terminal = terminal_of(monkeypatch)
    live = Live("prior")
    live.show(17, 0.25, FIGURES)
    expected = "prior  step 17  25.0%, ? left  loss 1.235  0.6125 bpp  31.2 dB  perplexity 41.32/8  3/0 dead"
    assert terminal.getvalue() == f"\r\x1b[K{expected}"
    live.close()
    assert terminal.getvalue().endswith("dead\n")


def test_a_line_is_never_longer_than_the_terminal_is_wide(monkeypatch):
    terminal = terminal_of(monkeypatch, 30)
    Live("prior").show(17, 0.25, FIGURES)
    assert len(terminal.getvalue()) == len("\r\x1b[K") + 29


def test_what_is_left_follows_from_what_is_done(monkeypatch):
    terminal_of(monkeypatch)
    live = Live("prior")
    assert live.left(0.2, 1000.0) == math.inf  # nothing is known yet
    assert live.left(0.4, 1600.0) == pytest.approx(30)  # 10 minutes for a fifth
    assert live.left(1.0, 4000.0) == 0


def test_a_new_state_is_due_once_in_a_while(monkeypatch):
    terminal_of(monkeypatch)
    live = Live("prior")
    assert live.due
    live.show(1, 0.1, {})
    assert not live.due


def test_there_is_silence_without_a_terminal_or_on_request(monkeypatch):
    terminal = terminal_of(monkeypatch)
    silent = Live("prior", on=False)
    assert not silent.due
    silent.close()
    assert terminal.getvalue() == ""


def test_numbers_and_durations_are_short():
    assert [number(value) for value in (0.000123456, 12345, 31.25678, [1.0, 22.25])] == [
        "0.0001235",
        "12345",
        "31.26",
        "1/22.25",
    ]
    assert [duration(minutes) for minutes in (0.5, 2.0, 89.0, 150.0, math.inf)] == [
        "30 s",
        "2 min",
        "89 min",
        "2.5 h",
        "?",
    ]
