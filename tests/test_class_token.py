"""The class token's short way through the last block: the same numbers, at less cost, and only where it is the same."""

import numpy as np
import pytest
import torch
from samples import write_photos
from timm.layers import SwiGLU
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import finerkit as fk
from finerkit.explain import plan
from finerkit.methods.class_token import class_token_logits, class_token_way
from finerkit.methods.gradcam import default_layer, gradcam_evidence

CLASSES = [4, 0, 2]
SMALL = {"embed_dim": 48, "num_heads": 3, "depth": 2, "num_classes": 5}
#: timm's name, image size, options of the network.
KINDS = {
    "plain": ("vit_tiny_patch16_224", 64, {**SMALL, "depth": 3}),
    "layer scale": ("vit_small_patch14_dinov2", 56, {**SMALL, "depth": 3}),
    "registers": ("vit_small_patch14_reg4_dinov2", 56, SMALL),
    "norms before the blocks": ("vit_base_patch32_clip_quickgelu_224", 128, SMALL),
    "norms of queries and keys": ("vit_tiny_patch16_224", 64, {**SMALL, "qk_norm": True, "scale_attn_norm": True}),
    "gated MLP, no biases": ("vit_tiny_patch16_224", 64, {**SMALL, "mlp_layer": SwiGLU, "qkv_bias": False}),
    "one block, norm after pooling": ("vit_tiny_patch16_224", 64, {**SMALL, "depth": 1, "fc_norm": True}),
}


def vit(kind="plain", **options):
    """A network whose biases, norms and layer scales are not at their neutral starting values."""
    name, size, own = KINDS[kind]
    model = fk.load_model(name, size, "cpu", pretrained=False, **own, **options)
    torch.manual_seed(1)
    with torch.no_grad():
        for p in model.module.parameters():
            if p.ndim == 1:
                p.normal_()
    return model


def photos(model, count=2):
    side = model.preprocess.image_size
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def short_way(*args, **kwargs):
    return gradcam_evidence(*args, **kwargs, way=class_token_logits)


def assert_same(found, expected):
    for mine, other in zip(found, expected, strict=True):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("pointwise", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_the_general_way(kind, fused, pointwise):
    model = vit(kind)
    model.module.blocks[-1].attn.fused_attn = fused
    assert class_token_way(model, default_layer(model)) is class_token_logits
    args = (model, photos(model), CLASSES)
    assert_same(short_way(*args, pointwise=pointwise), gradcam_evidence(*args, pointwise=pointwise))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_is_in_float32_whatever_the_precision_of_forward_passes(precision):
    model = vit(precision=precision)
    args = (model, photos(model), CLASSES)
    found = short_way(*args)
    assert {a.dtype for a in found} == {np.dtype(np.float32)}
    assert_same(found, gradcam_evidence(*args))


def test_in_double_precision_the_two_ways_are_one_formula(monkeypatch):
    """Only the result is rounded to float32: what is left is its rounding."""
    model = vit("norms of queries and keys")
    model.module.double()
    monkeypatch.setattr(model, "input", lambda pixels, to_input=model.input: to_input(pixels).double())
    args = (model, photos(model), CLASSES)
    for mine, other in zip(short_way(*args), gradcam_evidence(*args), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-6 * np.abs(other).max())


def test_four_classes_cost_less_than_a_forward_pass():
    model = vit()
    layer, pixels = default_layer(model), photos(model)

    def arithmetic(run, *args):
        with FlopCounterMode(display=False) as counter:
            run(*args)
        return counter.get_total_flops()

    forward = arithmetic(model.module, model.input(pixels))
    assert arithmetic(short_way, model, pixels, [0, 1, 2, 3], layer) < forward
    assert arithmetic(gradcam_evidence, model, pixels, [0, 1, 2, 3], layer) > forward


def test_the_first_norm_may_be_anything():
    model = vit()
    block = model.module.blocks[-1]
    block.norm1 = nn.Sequential(block.norm1, nn.Tanh())
    args = (model, photos(model), CLASSES)
    assert class_token_way(model, default_layer(model)) is class_token_logits
    assert_same(short_way(*args), gradcam_evidence(*args))


class Mixing(nn.Module):
    """An MLP in which tokens see each other."""

    def forward(self, x):
        return x + x.mean(1, keepdim=True)


class OtherHead(VisionTransformer):
    def forward_head(self, x, pre_logits=False):
        return super().forward_head(x.flip(1), pre_logits)


class Gated(nn.Module):
    """Keys and values of another shape than timm's."""

    def forward(self, x):
        return x[..., :1].repeat(1, 1, 144)


def last(model):
    return model.module.blocks[-1]


def hook(module):
    module.register_forward_hook(lambda module, args, output: output.flip(1))


CHANGES = {
    "another projection": lambda model: setattr(last(model).attn, "qkv", Gated()),
    "an MLP that mixes tokens": lambda model: setattr(last(model), "mlp", Mixing()),
    "a last norm that mixes tokens": lambda model: setattr(model.module, "norm", Mixing()),
    "a head of its own": lambda model: setattr(model.module, "__class__", OtherHead),
    "a hook on the network": lambda model: hook(model.module),
    "a hook on the blocks": lambda model: hook(model.module.blocks),
    "a hook on the block": lambda model: hook(last(model)),
    "a hook on attention": lambda model: hook(last(model).attn),
    "a hook on keys and values": lambda model: hook(last(model).attn.qkv),
    "all tokens pooled": lambda model: model.module.reset_classifier(5, "avg"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_changed_goes_the_general_way(change):
    model = vit()
    layer = default_layer(model)
    assert class_token_way(model, layer) is class_token_logits
    CHANGES[change](model)
    assert class_token_way(model, layer) is None


@pytest.mark.parametrize("layer", ["blocks.1.norm1", "blocks.2.norm2", "blocks.2", "norm", "features"])
def test_other_layers_go_the_general_way(layer):
    assert class_token_way(vit(), layer) is None


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("test_resnet", 64, {}),
        ("deit_tiny_distilled_patch16_224", 64, SMALL),
        ("eva02_tiny_patch14_224", 56, SMALL),
    ],
)
def test_other_networks_go_the_general_way(name, size, options):
    model = fk.load_model(name, size, "cpu", pretrained=False, **options)
    assert class_token_way(model, default_layer(model)) is None


def test_compare_goes_the_short_way_and_hooks_have_their_say(tmp_path, monkeypatch):
    model = vit()
    photos = fk.read_images(write_photos(tmp_path / "photos", per_species=1), progress=False)
    study = fk.analyze(photos, model, tmp_path / "s.zarr", head="model", progress=False)
    used = []
    way = class_token_logits
    monkeypatch.setattr(
        "finerkit.methods.class_token.class_token_logits", lambda *args: used.append(len(args)) or way(*args)
    )

    def evidence():
        how = plan(study, ["class 4", "class 0"], "gradcam", "cell", None, model)
        used.clear()
        ((_, found, _, _),) = how.explain(photos)
        return found

    before = evidence()
    assert len(used) == len(photos["image"])
    last(model).attn.register_forward_hook(lambda module, args, output: output * 2)
    after = evidence()
    assert not used
    assert np.abs(after - before).max() > 0.1 * np.abs(before).max()
