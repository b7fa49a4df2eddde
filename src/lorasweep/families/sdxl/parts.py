"""What can be trained of an SDXL."""

from __future__ import annotations

from lorasweep.families.parts import Part

# Ends of paths in diffusers' UNet2DConditionModel. The first three together are kohya's `networks.lora`, convolutions
# are what its `conv_dim` adds.
_UNET_LAYERS = {
    "attention": r"\.transformer_blocks\.\d+\.attn[12]\.(to_q|to_k|to_v|to_out\.0)",
    "feed_forward": r"\.transformer_blocks\.\d+\.ff\.net\.(0\.proj|2)",
    "projections": r"\.attentions\.\d+\.proj_(in|out)",
    "convolutions": r"\.resnets\.\d+\.(conv[12]|conv_shortcut|time_emb_proj)|\.(down|up)samplers\.\d+\.conv",
}
_TEXT_LAYERS = {"": r"\.layers\.\d+\.(self_attn\.(q_proj|k_proj|v_proj|out_proj)|mlp\.(fc1|fc2))"}

# The linear layers of the attention blocks are 86 % of the weights of SDXL's UNet. Time and size embeddings are small,
# and every block depends on them.
_PACKED = r"(^|\.)attentions\."

PARTS: tuple[Part, ...] = (
    Part("unet", "UNet", ("lr",), _UNET_LAYERS, "lora_unet", denoiser=True, packed=_PACKED),
    Part("text_encoder", "text encoder 1", ("text_encoder_lr",), _TEXT_LAYERS, "lora_te1"),
    Part("text_encoder_2", "text encoder 2", ("text_encoder_2_lr", "text_encoder_lr"), _TEXT_LAYERS, "lora_te2"),
)
