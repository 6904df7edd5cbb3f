"""Several networks in threads of one process compute what one computes, in order, and leave everything as it was."""

import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

import finerkit as fk
from finerkit.evidence.gradcam import gradcam_evidence
from finerkit.networks.replicas import through

SIDE = 64


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def batches(count):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (1, SIDE, SIDE, 3), np.uint8) for _ in range(count)]


def features(network, pixels):
    cells, embedding = network.features(pixels)
    return {"cells": cells, "embedding": embedding}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_results_do_not_depend_on_the_number_of_cores(threads, count):
    model = fk.load_model("test_efficientnet", SIDE, "cpu", pretrained=False)
    threads(1)
    alone = [features(model, pixels) for pixels in batches(7)]
    threads(count)
    found = list(through(batches(7), model, features))
    np.testing.assert_array_equal([pixels for pixels, _ in found], batches(7))
    for (_, ours), theirs in zip(found, alone, strict=True):
        np.testing.assert_array_equal(ours["cells"], theirs["cells"])
        np.testing.assert_array_equal(ours["embedding"], theirs["embedding"])
    assert torch.get_num_threads() == count


def test_gradients_in_threads_are_those_of_one(threads):
    model = fk.load_model("test_resnet", SIDE, "cpu", pretrained=False)
    needed = [p.requires_grad for p in model.module.parameters()]

    def explain(network, pixels):
        return gradcam_evidence(network, pixels, np.array([0, 5]), "layer3")[0]

    threads(1)
    alone = [explain(model, pixels) for pixels in batches(8)]
    threads(3)
    found = [evidence for _, evidence in through(batches(8), model, explain)]
    np.testing.assert_array_equal(found, alone)
    assert [p.requires_grad for p in model.module.parameters()] == needed
    assert not any(module._forward_hooks for module in model.module.modules())


def test_batches_come_in_order_however_long_each_takes(threads):
    threads(4)
    model = fk.load_model("test_resnet", SIDE, "cpu", pretrained=False)
    used = set()

    def slow_at_first(network, pixels):
        used.add(id(network))
        time.sleep(0.002 * int(pixels[0, 0, 0, 0] % 7))
        return pixels[0, 0, 0]

    found = list(through(batches(20), model, slow_at_first))
    np.testing.assert_array_equal([pixels for pixels, _ in found], batches(20))
    np.testing.assert_array_equal([first for _, first in found], [pixels[0, 0, 0] for pixels in batches(20)])
    assert 1 <= len(used) <= 4


def test_an_error_in_a_thread_reaches_the_caller_and_threads_end(threads):
    threads(2)
    model = fk.load_model("test_resnet", SIDE, "cpu", pretrained=False)

    def fails(network, pixels):
        raise MemoryError("no more")

    with pytest.raises(MemoryError, match="no more"):
        list(through(batches(5), model, fails))
    assert torch.get_num_threads() == 2
    deadline = time.monotonic() + 20
    while any(t.name.startswith("finerkit-network") for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_twin_has_the_same_weights_and_its_own_modules():
    model = fk.load_model("test_resnet", SIDE, "cpu", pretrained=False)
    twin = model.twin()
    pairs = list(zip(model.module.parameters(), twin.module.parameters(), strict=True))
    assert all(a is not b and a.data_ptr() == b.data_ptr() for a, b in pairs)
    assert not set(model.module.modules()) & set(twin.module.modules())
    with torch.no_grad():
        model.module.conv1[0].weight.mul_(2)  # changed in place, it changes for both
    pixels = batches(1)[0]
    np.testing.assert_array_equal(model.features(pixels)[0], twin.features(pixels)[0])


class Stubborn(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 8, stride=8)
        self.lock = threading.Lock()  # cannot be copied
        self.at_once = self.most = 0

    def forward(self, x):
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        time.sleep(0.01)
        self.at_once -= 1
        return self.layer(x)


def test_a_network_that_cannot_be_copied_runs_once_at_a_time(threads):
    threads(4)
    module = Stubborn()
    model = fk.load_model(module, SIDE, "cpu", split=fk.Split("layer"))
    found = list(through(batches(6), model, features))
    assert len(found) == 6
    assert module.most == 1
