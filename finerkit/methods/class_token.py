"""The part of a vision transformer that its class token follows: a `Model` and its input enter; a leaf, logits leave.

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

from timm.layers import DropPath, GluMlp, LayerNorm, Mlp, QuickGELU, RmsNorm, SwiGLU
from timm.models.vision_transformer import Attention, Block, LayerScale, VisionTransformer
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from finerkit.models.model import Model

#: Methods of the network whose steps `class_token_logits` follows itself.
_FOLLOWED = ("forward", "forward_features", "forward_head", "pool")
_BLOCK_PARTS = {"norm1", "attn", "ls1", "drop_path1", "norm2", "mlp", "ls2", "drop_path2"}
#: A newer timm's further parts (a gate, say) would be missed: attention that has any is left to the general way.
_ATTENTION_PARTS = {"qkv", "q_norm", "k_norm", "attn_drop", "proj", "proj_drop"}
#: Modules whose output at a token depends on their input at that token alone.
_TOKENWISE = {nn.Linear, nn.Identity, nn.Dropout, nn.LayerNorm, LayerNorm, RmsNorm, LayerScale, DropPath}
_TOKENWISE |= {Mlp, GluMlp, SwiGLU, nn.GELU, nn.SiLU, nn.ReLU, QuickGELU}


def follows_class_token(model: Model, layer: str) -> bool:
    """Whether the layer is the first norm of a last block of which the logits read the class token alone.

    True only for timm's own plain vision transformers, of whose code nothing is changed, hooked or replaced where
    `class_token_logits` goes around it. The first norm itself may be anything.
    """
    net = model.module
    if not isinstance(net, VisionTransformer) or any(
        getattr(type(net), name) is not getattr(VisionTransformer, name) for name in _FOLLOWED
    ):
        return False
    if net.global_pool != "token" or net.attn_pool is not None or model.split.prefix_tokens < 1:
        return False
    if type(net.blocks) is not nn.Sequential or layer != f"blocks.{len(net.blocks) - 1}.norm1":
        return False
    block = net.blocks[-1]
    return (
        type(block) is Block
        and {name for name, _ in block.named_children()} == _BLOCK_PARTS
        and type(block.attn) is Attention
        and {name for name, _ in block.attn.named_children()} - {"norm"} == _ATTENTION_PARTS
        and type(block.attn.qkv) is nn.Linear
        and all(_untouched(module) for module in (net, net.blocks, block, block.attn))
        and all(type(module) in _TOKENWISE and _untouched(module) for module in _at_class_token(net))
    )


def class_token_logits(model: Model, x: Tensor) -> tuple[Tensor, Tensor]:
    """Run the network with a fresh leaf in place of the last block's keys and values before their biases.

    Parameters
    ----------
    model
        A network and layer that `follows_class_token`.
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


def _at_class_token(net: VisionTransformer) -> Iterable[nn.Module]:
    """Every module that runs on other tokens, or fewer, than in the network's own forward pass."""
    block = net.blocks[-1]
    parts = [*block.attn.children(), net.norm]
    parts += [part for name, part in block.named_children() if name not in ("norm1", "attn")]
    return (module for part in parts for module in part.modules())


def _untouched(module: nn.Module) -> bool:
    """Whether calling it does what its class says: no hooks, no forward of its own, not in training."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)  # noqa: SLF001
    return not (any(hooks) or module.training or any(name in vars(module) for name in _FOLLOWED))
