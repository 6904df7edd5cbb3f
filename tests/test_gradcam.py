"""Grad-CAM evidence against two independent packages, closed forms and plain autograd."""

import numpy as np
import pytest
import torch
import torchcam.methods
import xarray as xr
from pytorch_grad_cam import FinerCAM, GradCAM, HiResCAM
from pytorch_grad_cam.utils.model_targets import FinerWeightedTarget

import finerkit as fk
from finerkit.base.roles import species_coords
from finerkit.evidence.contrast import cam_evidence
from finerkit.evidence.gradcam import default_layer, gradcam_evidence

STRENGTHS = (0.0, 0.6, 1.0, 2.0)
SIZE = 64


class Spatial(torch.nn.Module):
    """A norm over tokens whose patches pass through `map` as (batch, channel, y, x), as the peers expect."""

    def __init__(self, norm, prefix):
        super().__init__()
        self.norm, self.prefix, self.map = norm, prefix, torch.nn.Identity()

    def forward(self, tokens):
        tokens = self.norm(tokens)
        side = int((tokens.shape[1] - self.prefix) ** 0.5)
        patches = self.map(tokens[:, self.prefix :].unflatten(1, (side, side)).movedim(-1, 1))
        return torch.cat([tokens[:, : self.prefix], patches.movedim(1, -1).flatten(1, 2)], 1)


class Recording(GradCAM):
    """grad-cam's own map of the layer, before it is scaled to 1 and resized."""

    def get_cam_image(self, *args, **kwargs):
        self.raw = super().get_cam_image(*args, **kwargs)
        return self.raw


@pytest.fixture(scope="module", params=["test_resnet", "test_vit"])
def network(request):
    """A model, its layer for us, and the same layer for the peers (a spatial map)."""
    model = fk.load_model(request.param, SIZE, "cpu", pretrained=False)
    with torch.no_grad():  # larger logits, so that the softmax matters
        head = model.module.get_classifier()
        head.weight.mul_(5)
    if request.param == "test_resnet":
        return model, "layer3", model.layer("layer3")
    block = model.module.blocks[-1]
    block.norm1 = Spatial(block.norm1, 1)
    return model, default_layer(model), block.norm1.map


def classes_of(model, pixels):
    """The likeliest class and three middling ones, the same for all photos: a contrast that stays positive."""
    return np.argsort(-model.logits(pixels).mean(0))[[0, 500, 510, 520]]


def pair_of(evidence, logit):
    return xr.Dataset(
        {"evidence": (("image", "species", "y", "x"), evidence), "logit": (("image", "species"), logit)},
        {"image": [str(i) for i in range(len(logit))], **species_coords("t", ["r1", "r2", "r3"])},
    )


def photos(count):
    rng = np.random.default_rng(count)
    pixels = rng.integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    pixels[:, : SIZE // 2] //= 4
    return pixels


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_official_equals_the_package_grad_cam(network, count, strength):
    model, layer, theirs = network
    pixels = photos(count)
    t, *r = classes_of(model, pixels)
    ours = fk.contrast(pair_of(*gradcam_evidence(model, pixels, [t, *r], layer)), strength, "official", relu=False)
    with FinerCAM(model.module, [theirs], base_method=Recording) as cam:
        cam(model.input(pixels), [FinerWeightedTarget(t, r, strength)] * count)
        expected = cam.base_cam.raw
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())
    assert (expected > 0).any()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_mean_equals_the_package_torchcam(network, count, strength):
    model, layer, theirs = network
    pixels = photos(count)
    t, *r = (int(c) for c in classes_of(model, pixels))
    ours = fk.contrast(pair_of(*gradcam_evidence(model, pixels, [t, *r], layer)), strength, "mean")
    with torchcam.methods.FinerCAM(model.module, theirs, base_method=torchcam.methods.GradCAM, gamma=strength) as cam:
        expected = cam(t, model.module(model.input(pixels)), r, normalized=False)[0].detach().numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())
    assert (expected > 0).any()


@pytest.mark.parametrize("name", ["test_resnet", "swin_tiny_patch4_window7_224"])
def test_at_the_pooled_features_it_is_the_closed_form(name):
    options = {"depths": (1, 1, 1, 1), "embed_dim": 24} if name.startswith("swin") else {}
    model = fk.load_model(name, 224, "cpu", pretrained=False, **options)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    weight, bias = model.own_head
    evidence, logit = gradcam_evidence(model, pixels, [5, 9])
    np.testing.assert_allclose(evidence.sum((2, 3)) + bias[[5, 9]], logit, atol=1e-4)
    closed = cam_evidence(model.features(pixels)[0], weight[[5, 9]])
    np.testing.assert_allclose(evidence, closed, atol=2e-3 * np.abs(closed).max())


def test_a_head_of_your_own_is_differentiated_through_the_network():
    model = fk.load_model("test_vit", SIZE, "cpu", pretrained=False)
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(3, model.n_features)), rng.normal(size=3)
    pixels = photos(2)
    evidence, logit = gradcam_evidence(model, pixels, [2, 0], None, (weight, bias))
    last = f"blocks.{len(model.module.blocks) - 1}.norm1"
    assert default_layer(model) == last
    np.testing.assert_allclose(logit, (model.features(pixels)[1] @ weight.T + bias)[:, [2, 0]], atol=2e-2)
    # Plain autograd, one class and one photo at a time.
    kept = []
    handle = model.layer(last).register_forward_hook(lambda m, a, o: kept.append(o))
    x = model.input(pixels).requires_grad_()
    tokens = model.module.forward_features(x)
    handle.remove()
    y = tokens[:, 1:].mean(1) @ torch.tensor(weight, dtype=torch.float32).T
    for image in range(2):
        for k, c in enumerate([2, 0]):
            gradient = torch.autograd.grad(y[image, c], kept[0], retain_graph=True)[0][image, 1:]
            expected = (kept[0][image, 1:] @ gradient.mean(0)).detach().view(4, 4)
            np.testing.assert_allclose(evidence[image, k], expected, atol=1e-4 * expected.abs().max())


class RecordingPointwise(HiResCAM):
    """The package's HiResCAM before it is scaled and resized."""

    def get_cam_image(self, *args, **kwargs):
        self.raw = super().get_cam_image(*args, **kwargs)
        return self.raw


@pytest.mark.parametrize("strength", STRENGTHS)
def test_pointwise_equals_the_package_grad_cams_hirescam(network, strength):
    model, layer, theirs = network
    pixels = photos(3)
    t, *r = classes_of(model, pixels)
    found = gradcam_evidence(model, pixels, [t, *r], layer, pointwise=True)
    ours = fk.contrast(pair_of(*found), strength, "official", relu=False)
    with FinerCAM(model.module, [theirs], base_method=RecordingPointwise) as cam:
        cam(model.input(pixels), [FinerWeightedTarget(t, r, strength)] * 3)
        expected = cam.base_cam.raw
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())
    plain = fk.contrast(pair_of(*gradcam_evidence(model, pixels, [t, *r], layer)), strength, "official", relu=False)
    assert np.abs(ours - plain).max() > 1e-2 * np.abs(expected).max()


def test_nothing_is_left_behind():
    model = fk.load_model("test_resnet", SIZE, "cpu", pretrained=False)
    learning = [p.requires_grad for p in model.module.parameters()]
    gradcam_evidence(model, photos(1), [0], "layer4")
    assert [p.requires_grad for p in model.module.parameters()] == learning
    assert all(p.grad is None for p in model.module.parameters())
    assert not any(m._forward_hooks for m in model.module.modules())


def test_in_place_layers_do_not_spoil_the_activations():
    net = torch.nn.Sequential()
    torch.manual_seed(0)
    net.conv = torch.nn.Conv2d(3, 4, 8, 8)
    net.act = torch.nn.ReLU(inplace=True)
    net.pool = torch.nn.AdaptiveAvgPool2d(1)
    net.flat = torch.nn.Flatten()
    net.fc = torch.nn.Linear(4, 3)
    model = fk.load_model(net, SIZE, "cpu", split=fk.Split("act", classifier="fc"))
    evidence, _ = gradcam_evidence(model, photos(1), [1], "conv")
    with torch.no_grad():
        before = net.conv(model.input(photos(1)))
        weights = (net.fc.weight[1][:, None, None] * (before[0] > 0) / before[0, 0].numel()).mean((1, 2))
        expected = torch.einsum("cyx,c->yx", before[0], weights)
    np.testing.assert_allclose(evidence[0, 0], expected, atol=1e-5)


def test_layers_that_cannot_be_explained_say_why():
    model = fk.load_model("test_vit", SIZE, "cpu", pretrained=False)
    with pytest.raises(ValueError, match=r"no layer named 'blocks.12.norm1'. Did you mean 'blocks"):
        gradcam_evidence(model, photos(1), [0], "blocks.12.norm1")
    with pytest.raises(ValueError, match="4 or 3 axes. Got an output of shape"):
        gradcam_evidence(model, photos(1), [0], "head")
