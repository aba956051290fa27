"""training/checkpoint.py: plain arrays that give back the same state, or a message."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from training import checkpoint
from training.errors import CheckpointError

CARD = {"stage": "prior", "step": 3, "recipe": {"name": "tiny", "thresholds": [0.5, 0.25]}}


class Net(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, width, 3)
        self.unused = nn.Parameter(torch.zeros(2))
        self.register_buffer("order", torch.tensor([2, 0, 1]))


def trained(seed: int = 0) -> tuple[nn.Module, torch.optim.Adam, dict[str, torch.Tensor]]:
    torch.manual_seed(seed)
    net = Net().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        net.conv(torch.randn(1, 2, 5, 5)).square().sum().backward()
        optimizer.step()
    return net, optimizer, {"rates": torch.rand(4)}


def step(net: nn.Module, optimizer: torch.optim.Adam) -> None:
    optimizer.zero_grad()
    net.conv(torch.ones(1, 2, 5, 5)).sum().backward()
    optimizer.step()


def test_everything_comes_back(tmp_path):
    net, optimizer, state = trained()
    checkpoint.save(tmp_path / "a.npz", checkpoint.capture(CARD, net, optimizer, state))
    known = checkpoint.load(tmp_path / "a.npz")
    assert known.card == CARD
    other, second, rates = trained(1)
    checkpoint.restore(known, other, second, rates)
    assert checkpoint.digest(other) == checkpoint.digest(net)
    assert torch.equal(rates["rates"], state["rates"])
    for pair in ((net, optimizer), (other, second)):
        step(*pair)
    assert checkpoint.digest(other) == checkpoint.digest(net)
    assert other.conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_captured_state_does_not_move_with_the_training():
    net, optimizer, state = trained()
    captured = checkpoint.capture(CARD, net, optimizer, state)
    before = captured.model["conv.weight"].copy()
    step(net, optimizer)
    assert np.array_equal(captured.model["conv.weight"], before)


def test_the_digest_sees_a_single_bit():
    net, _, _ = trained()
    before = checkpoint.digest(net)
    bits = net.conv.bias.data.view(torch.int32)
    bits[0] ^= 1
    assert checkpoint.digest(net) != before
    bits[0] ^= 1
    assert checkpoint.digest(net) == before


def test_a_start_may_lack_buffers_but_no_parameters():
    known, other = checkpoint.capture(CARD, *trained()), Net()
    other.register_buffer("seen", torch.tensor([7.0]))
    with pytest.raises(CheckpointError, match="seen is in the network only"):
        checkpoint.load_model(known, other)
    checkpoint.load_model(known, other, whole=False)
    assert np.array_equal(other.conv.bias.detach().numpy(), known.model["conv.bias"])
    assert other.seen.tolist() == [7.0]
    other.more = nn.Linear(1, 1, bias=False)
    with pytest.raises(CheckpointError, match=r"more\.weight is in the network only"):
        checkpoint.load_model(known, other, whole=False)


def test_another_network_is_refused_with_the_name_and_left_alone():
    known = checkpoint.capture(CARD, *trained())
    other = Net(4)
    before = checkpoint.digest(other)
    with pytest.raises(CheckpointError, match=r"conv\.\w+ has shape \(3, ?.*expected \(4"):
        checkpoint.load_model(known, other)
    assert checkpoint.digest(other) == before
    with pytest.raises(CheckpointError, match="is in the checkpoint only"):
        checkpoint.load_model(known, nn.Identity())
    other = Net()
    other.more = nn.Linear(1, 1, bias=False)
    with pytest.raises(CheckpointError, match=r"more\.weight is in the network only"):
        checkpoint.load_model(known, other)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    first = checkpoint.capture(CARD, *trained())
    checkpoint.save(path, first)
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="full"):
        checkpoint.save(path, checkpoint.capture(CARD, *trained(1)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    checkpoint.save(path, checkpoint.capture(CARD, *trained()))
    data = path.read_bytes()
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    for bad in (b"", b"junk", data[: len(data) // 2], data[:-30], bytes(damaged)):
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match=r"a\.npz is damaged"):
            checkpoint.load(path)


@pytest.mark.parametrize("member", ["weights.npy", "card.npy"])
def test_objects_are_never_unpickled(tmp_path, member):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    buffer.write(b"cbuiltins\nexit\n(tR.")  # would end the tests
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr(member, buffer.getvalue())
    with pytest.raises(CheckpointError, match=r"damaged.*pickle"):
        checkpoint.load(tmp_path / "a.npz")


def test_a_plain_npz_without_a_card_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(2))
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint.load(tmp_path / "a.npz")
