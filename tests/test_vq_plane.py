"""`engram measure vq-plane`: exact bits of codes, autoencoders with codes, their runs, and the command."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.pictures import digits
from tools.cli import measure
from tools.code_bits import code_bytes, decoded, group_entropies, ideal_bits, joint_entropy, tables
from tools.image_sets import load
from tools.information_plane import renyi_entropy
from tools.rate_distortion import MeasureError
from tools.vq_autoencoder import LAYERS, METHODS, Settings, Training, critical_beta, flat
from tools.vq_plane import Run, follow, gap, look, table
from training import checkpoint
from training.quantizers import association, energies, retrieve

SMALL = {"steps": 12, "groups": 3, "words": 8, "dim": 4, "hidden": 16}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("vq") / "tiny.npz"
    np.savez(path, **digits(300, 60))
    return path


@pytest.fixture(scope="module")
def images(data):
    return load(data)


def drawn(count: int, seed: int = 0) -> np.ndarray:
    """Codes (count, 3) below 16 that are neither equally likely nor independent."""
    rng = np.random.default_rng(seed)
    first = rng.binomial(15, 0.3, count)
    return np.stack([first, (first + rng.integers(0, 3, count)) % 16, np.zeros(count, int)], axis=1)


# --- bits of codes


def test_entropies_of_codes_counted_by_hand():
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 0], [2, 0], [2, 0]])
    assert joint_entropy(codes) == pytest.approx(4 * 3 / 8 + 1 / 2)  # four rows once, one row four times, of eight
    assert group_entropies(codes, 4) == pytest.approx([1.5, 0.25 * 2 + 0.75 * math.log2(4 / 3)])
    assert joint_entropy(np.zeros((5, 2), int)) == 0
    assert joint_entropy(np.arange(32)[:, None]) == pytest.approx(5)


def test_joint_entropy_has_its_bounds():
    codes = drawn(500)
    each = group_entropies(codes, 16)
    assert each.max() <= joint_entropy(codes) <= min(each.sum(), math.log2(500))
    assert joint_entropy(codes) < each.sum() - 0.5  # the groups have something in common


def test_the_estimator_with_a_narrow_kernel_is_the_exact_entropy():
    codes = drawn(100)
    vectors = np.random.default_rng(1).normal(size=(16, 3))[codes].reshape(100, -1)
    assert renyi_entropy(vectors, sigma=0.02, alpha=1) == pytest.approx(joint_entropy(codes), abs=1e-9)


@pytest.mark.parametrize("count", [1, 50, 2000])
def test_a_file_costs_what_its_tables_say(count):
    codes, freqs = drawn(count), tables(drawn(3000, 1), 16)
    data, ideal = code_bytes(codes, freqs), ideal_bits(codes, freqs)
    assert np.array_equal(decoded(data, freqs, count), codes)
    assert ideal >= count * group_entropies(codes, 16).sum()
    assert 8 * len(data) >= count * group_entropies(codes, 16).sum()
    assert 8 * len(data) <= 1.01 * ideal + 16
    assert 8 * len(data) >= ideal - 16


def test_tables_follow_what_they_learned_from():
    freqs = tables(drawn(3000), 16)
    assert (freqs.sum(1) == 1 << 16).all()
    assert freqs[2, 0] > 0.99 * (1 << 16)
    seen = np.bincount(drawn(3000)[:, 0], minlength=16) / 3000
    assert freqs[0] / (1 << 16) == pytest.approx(seen, abs=0.01)


# --- codebooks and beta


def test_critical_beta_of_a_known_codebook():
    two = np.array([[[3.0, 0], [-3, 0]]])  # along one axis, variance 9
    cross = np.array([[[2.0, 0], [-2, 0], [0, 1], [0, -1]]])  # variances 2 and 1/2
    same = np.ones((1, 4, 2))
    assert critical_beta(np.concatenate([two, two + 7])) == pytest.approx([1 / 9, 1 / 9])
    assert critical_beta(cross) == pytest.approx([0.5])
    assert critical_beta(same)[0] == math.inf


@pytest.mark.parametrize(("factor", "forgets"), [(0.8, True), (1.25, False)])
def test_retrieval_forgets_below_the_critical_beta(factor, forgets):
    corners = torch.tensor([[[a, b] for a in (-2.0, 2.0) for b in (-1.0, 1.0)]], dtype=torch.float64)
    beta, z = factor * critical_beta(corners.numpy())[0], torch.full((1, 1, 2), 0.01, dtype=torch.float64)
    for _ in range(100):
        z = retrieve(association(energies(z, corners), beta), corners)
    assert (float(z.abs().max()) < 1e-6) == forgets


def test_retrieval_becomes_coding_as_beta_grows(images):
    training = Training(Settings("annealed", **SMALL, beta_first=0.1, beta_last=1e5), images)
    gaps, sure = [], []
    for step in range(13):
        training.at(step)
        judged = training.judge(images.test_images)
        gaps.append(abs(judged.hard - judged.soft))
        sure.append(judged.association)
    assert np.all(np.diff(sure) > 0)
    assert sure[0] < 0.3
    assert sure[-1] > 0.99
    assert gaps[0] > 1e-5
    assert gaps[-1] < 0.01 * gaps[0]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns(method, images):
    training = Training(Settings(method, **SMALL | {"steps": 60}), images)
    before = training.judge(images.test_images)
    codebook = training.model.codebook.detach().clone()
    for step in range(60):
        training.learn(step, np.arange(step % 3 * 100, step % 3 * 100 + 100))
    after = training.judge(images.test_images)
    assert after.hard < 0.95 * before.hard
    assert not torch.equal(codebook, training.model.codebook)
    assert (after.soft is None) == (after.association is None) == (method in ("moving-average", "rotation"))


def test_vectors_cannot_grow(images):
    training = Training(Settings("hopfield", **SMALL), images)
    training.model.e2.weight.data *= 100
    z = flat(training.model.encode(torch.rand(5, images.pixels))[1])
    assert z.square().mean(1).tolist() == pytest.approx([1] * 5, rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_dead_codewords_come_back_if_asked(method, images):
    dead = []
    for revive in (0, 1):
        training = Training(Settings(method, **SMALL | {"steps": 50}, revive=revive), images)
        training.model.codebook.data[:, 1:] += 100  # all but one are where no vector is
        for step in range(50):
            training.learn(step, np.arange(100))
        dead.append(int((training.model.codebook.abs().amax(-1) > 50).sum()))
    assert dead[1] == 0 < dead[0]


# --- a look, and a run


def test_a_look_agrees_with_itself(images):
    training = Training(Settings("annealed", **SMALL), images)
    row = look(training, 20)
    assert row["exact_samples"] == joint_entropy(training.codes(images.test_images[:20])) <= math.log2(20)
    assert row["exact"] == joint_entropy(training.judge(images.test_images).codes)
    assert row["exact"] <= row["zero_order"] <= row["ideal"] <= row["file"] * 1.01 + 1
    assert [2**bits for bits in group_entropies(training.codes(images.test_images), 8)] == pytest.approx(
        row["perplexity"]
    )
    assert np.array(row["plane"]).shape == (2, len(LAYERS), 2)
    layers, output = training.layers(images.test_images)
    assert np.square(output - images.test_images / 255).mean() == pytest.approx(row["hard"], rel=1e-5)
    assert len(np.unique(layers["Z"], axis=0)) == len(np.unique(training.codes(images.test_images), axis=0))


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_run_goes_on_bit_for_bit(method, images, tmp_path, monkeypatch):
    monkeypatch.setattr("tools.vq_autoencoder.REVIVE_EVERY", 3)
    settings = Settings(method, **SMALL, revive=0.5)

    def run(name, stop=lambda: False):
        return follow(Training(settings, images), tmp_path / name, samples=20, count=6, stop=stop)

    whole = run("whole.npz")
    assert [row["step"] for row in whole.rows][:: len(whole.rows) - 1] == [0, 12]
    answers = iter([False] * 10 + [True] * 9)
    assert run("cut.npz", lambda: next(answers)) is None
    assert 0 < checkpoint.load(tmp_path / "cut.npz").card["step"] < 12
    assert run("cut.npz") == whole
    states = [checkpoint.load(tmp_path / name) for name in ("cut.npz", "whole.npz")]
    assert all(np.array_equal(states[0].arrays[key], states[1].arrays[key]) for key in states[0].arrays)
    assert not states[0].part("optimizer/")


def test_another_run_is_not_replaced_unasked(images, tmp_path):
    path = tmp_path / "a.npz"
    follow(Training(Settings("hopfield", **SMALL), images), path, samples=20, count=4)
    other = Training(Settings("hopfield", **SMALL, beta=5), images)
    with pytest.raises(MeasureError, match=r"beta 4\.0, not 5"):
        follow(other, path, samples=20, count=4)
    assert follow(other, path, samples=20, count=4, resume=False).rows[-1]["beta"] == 5


def test_the_table_holds_means_and_leaves_out_what_is_not_there():
    row = {"exact": 4.0, "zero_order": 5.0, "file": 5.5, "hard": 0.02, "soft": None, "association": None}
    row |= {"perplexity": [6.0, 8.0], "dead": [1, 2], "beta": None, "critical": [None, None], "exact_samples": 3.0}
    row |= {"plane": [[[0, 0], [0, 0], [2.5, 0], [0, 0]]] * 2}
    runs = [Run(Settings("rotation", seed), 8, 16, [row | {"exact": 3.0 + seed}]) for seed in (0, 1)]
    assert table(runs).splitlines()[1].split() == [
        *("rotation", "2", "3.50", "5.00", "5.50", "0.02000", "-", "-", "7.0", "3", "-", "-", "2.50", "3.00")
    ]
    assert gap(row | {"soft": 0.016}) == pytest.approx(0.25)


# --- the command


def command(data, out, *options):
    fixed = ["vq-plane", str(data), "-o", str(out), "--steps", "8", "--words", "8", "--snapshots", "4"]
    return CliRunner().invoke(measure, [*fixed, "--samples", "20", *options])


def test_everything_is_written_and_not_done_again(data, tmp_path, monkeypatch):
    first = command(data, tmp_path)
    assert first.exit_code == 0, first.output
    names = ["moving-average", "hopfield", "annealed"]
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {f"{name}-0.npz" for name in names}
    assert (tmp_path / "vq_plane.png").read_bytes().startswith(b"\x89PNG")
    assert [line.split()[0] for line in first.stdout.splitlines()[1:4]] == names
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["ceilings"]["exact"] == pytest.approx(math.log2(60))
    for run in results["runs"]:
        assert run["rows"][-1]["step"] == 8
        assert all(row["exact"] <= math.log2(60) + 1e-6 for row in run["rows"])
        assert all(row["exact_samples"] <= row["exact"] + 1e-6 for row in run["rows"])
    monkeypatch.setattr(Training, "learn", lambda *_: pytest.fail("work was done"))
    assert command(data, tmp_path).stdout == first.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--methods", "hopfeld"], "known are moving-average"),
        (["--methods", ","], "none given"),
        (["--samples", "61"], "61 test pictures"),
        (["--words", "301"], "take fewer"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(data, tmp_path, options, says):
    result = command(data, tmp_path, *options)
    assert result.exit_code in (1, 2)
    assert says in result.stderr
    assert "Traceback" not in result.output
