"""Run only the part of a vision transformer's last block that its class token follows.

With a class-token read-out the last block's output matters at that token alone, so its query, its projection and its
MLP are needed there alone; of the other tokens only keys and values are. Those are linear in A, the output of the
block's first norm::

    L[p] = W A[p]        W: the rows for keys and values; the keys and values of token p are L[p] + b

so at every cell p both forms of Grad-CAM say of L what they say of A, for any weights c of the gradients of the cells::

    A[p] . sum_p' c[p'] dy/dA[p']  =  A[p] . W^T sum_p' c[p'] dy/dL[p']  =  L[p] . sum_p' c[p'] dy/dL[p']

(the query depends on the class token, which is no cell). L therefore stands in for A: the gradient of a logit at it
costs the block's arithmetic for one token rather than for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional

from finerkit.methods.gradcam import gradcam_evidence

if TYPE_CHECKING:
    from timm.models.vision_transformer import Attention
    from torch import Tensor

    from finerkit.methods.gradcam import Way
    from finerkit.models.model import Model

#: The two ways must agree to this share of the largest evidence.
_TOLERANCE = 1e-4


def class_token_way(model: Model, layer: str) -> Way | None:
    """Return `class_token_logits` where it says the same as running the network from the layer does.

    Tried on a random photo rather than believed: networks differ in what they read out, in the parts of their blocks,
    and in what a person hooked to them.
    """
    net, side = model.module, model.preprocess.image_size
    if not isinstance(net, VisionTransformer) or layer != f"blocks.{len(net.blocks) - 1}.norm1":
        return None
    pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    general = gradcam_evidence(model, pixels, [0], layer)
    try:
        short = gradcam_evidence(model, pixels, [0], layer, way=class_token_logits)
    except Exception:  # noqa: BLE001 - a network of other parts may raise anything
        return None
    near = (np.abs(a - b).max() <= _TOLERANCE * np.abs(b).max() for a, b in zip(short, general, strict=True))
    return class_token_logits if all(near) else None


def class_token_logits(model: Model, x: Tensor) -> tuple[Tensor, Tensor]:
    """Run the network with a fresh leaf in place of the last block's keys and values before their biases.

    Parameters
    ----------
    model
        A network that `class_token_way` has tried.
    x
        (batch, 3, S, S), from ``model.input``.

    Returns
    -------
    leaf : torch.Tensor
        (batch, token, 2 * channel): linear in the layer's output, so evidence at the cells is that at the layer.
    logits : torch.Tensor
        (batch, all classes), which depend on the leaf.
    """
    net, block = model.module, model.module.blocks[-1]
    x = net.norm_pre(net.patch_drop(net._pos_embed(net.patch_embed(x))))  # noqa: SLF001 - a step of timm's forward
    x = net.blocks[:-1](x)
    tokens, token = block.norm1(x), x[:, :1]
    leaf, attended = _attend(block.attn, tokens)
    token = token + block.drop_path1(block.ls1(attended))
    token = token + block.drop_path2(block.ls2(block.mlp(block.norm2(token))))
    return leaf, net.forward_head(net.norm(token))


def _attend(attn: Attention, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values before their biases (batch, token, 2 * channel), a leaf; attention's output (batch, 1, channel).

    The steps are those of timm's ``Attention.forward``, with a single query.
    """
    weight, bias = attn.qkv.weight, attn.qkv.bias
    width = len(weight) // 3
    heads = (attn.num_heads, width // attn.num_heads)
    leaf = functional.linear(tokens, weight[width:]).detach().requires_grad_()
    keys_values = leaf if bias is None else leaf + bias[width:]
    k, v = keys_values.unflatten(-1, (2, *heads)).permute(2, 0, 3, 1, 4)  # each (batch, head, token, channel of head)
    q = functional.linear(tokens[:, :1], weight[:width], None if bias is None else bias[:width])
    q = q.unflatten(-1, heads).transpose(1, 2)
    scale = None if attn.fused_attn else attn.scale  # as in timm: fused, it is torch's own
    out = functional.scaled_dot_product_attention(attn.q_norm(q), attn.k_norm(k), v, scale=scale)
    out = out.transpose(1, 2).flatten(2)
    if hasattr(attn, "norm"):  # older timm has none
        out = attn.norm(out)
    return leaf, attn.proj_drop(attn.proj(out))
