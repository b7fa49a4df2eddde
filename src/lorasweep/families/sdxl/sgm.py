"""Parameters of diffusers' and transformers' modules -> names in a whole checkpoint of Stability's layout ("SGM").

The UNet's blocks are numbered as in `names`. The VAE's are those of the original autoencoder, whose decoder counts its
resolutions from the last to the first, and whose attention is made of 1x1 convolutions. The second text encoder is an
OpenCLIP, which keeps query, key and value in one matrix and its projection transposed.
"""

from __future__ import annotations

import re

from lorasweep.families.sdxl.names import UNetLayout, sgm_path

OUTSIDE_BLOCKS = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}
OPEN_CLIP = (
    (r"embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"embeddings\.token_embedding", "token_embedding"),
    (r"final_layer_norm", "ln_final"),
    (r"encoder\.layers", "transformer.resblocks"),
    (r"layer_norm(\d)", r"ln_\1"),
    (r"self_attn", "attn"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
)


def unet_name(name: str, layout: UNetLayout) -> str:
    """Return the SGM name of a UNet's parameter, such as `input_blocks.4.1.proj_in.weight`.

    Raises:
        ValueError: SDXL's UNet has no such parameter.
    """
    module, _, leaf = name.rpartition(".")
    return f"{OUTSIDE_BLOCKS.get(module) or sgm_path(module, layout)}.{leaf}"


def vae_name(name: str, resolutions: int) -> str:
    """Return the SGM name of a VAE's parameter, such as `decoder.up.3.block.0.conv1.weight`.

    Args:
        name: in AutoencoderKL.
        resolutions: its number of blocks on each side.
    """
    side, *rest = name.split(".")
    match rest:
        case ["down_blocks", i, "resnets", j, *inner]:
            rest = ["down", i, "block", j, *inner]
        case ["down_blocks", i, "downsamplers", "0", *inner]:
            rest = ["down", i, "downsample", *inner]
        case ["up_blocks", i, "resnets", j, *inner]:
            rest = ["up", str(resolutions - 1 - int(i)), "block", j, *inner]
        case ["up_blocks", i, "upsamplers", "0", *inner]:
            rest = ["up", str(resolutions - 1 - int(i)), "upsample", *inner]
        case ["mid_block", "resnets", j, *inner]:
            rest = ["mid", f"block_{int(j) + 1}", *inner]
        case ["mid_block", "attentions", "0", layer, *inner]:
            rest = ["mid", "attn_1", VAE_ATTENTION[layer], inner[-1]]
        case ["conv_norm_out", leaf]:
            rest = ["norm_out", leaf]
    return ".".join([side, *rest]).replace("conv_shortcut", "nin_shortcut")


def open_clip_name(name: str) -> str:
    """Return OpenCLIP's name of a parameter of a CLIP text encoder, without `text_model.` in front.

    Query, key and value, which OpenCLIP keeps in one, are the caller's business.
    """
    for theirs, ours in OPEN_CLIP:
        name = re.sub(theirs, ours, name)
    return name
