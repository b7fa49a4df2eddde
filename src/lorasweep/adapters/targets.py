"""Which modules of a base get an adapter: a pattern for module paths."""

from __future__ import annotations

from lorasweep.schema import NetworkConfig

UNET = "unet"
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
COMPONENTS = (UNET, *TEXT_ENCODERS)

# The UNet's layers by the key of NetworkConfig that chooses them: ends of paths in diffusers'
# UNet2DConditionModel. The first three together are kohya's `networks.lora`, convolutions are what its
# `conv_dim` adds.
UNET_LAYERS = {
    "attention": r"\.transformer_blocks\.\d+\.attn[12]\.(to_q|to_k|to_v|to_out\.0)",
    "feed_forward": r"\.transformer_blocks\.\d+\.ff\.net\.(0\.proj|2)",
    "projections": r"\.attentions\.\d+\.proj_(in|out)",
    "convolutions": r"\.resnets\.\d+\.(conv[12]|conv_shortcut|time_emb_proj)|\.(down|up)samplers\.\d+\.conv",
}
TEXT_LAYERS = r"\.layers\.\d+\.(self_attn\.(q_proj|k_proj|v_proj|out_proj)|mlp\.(fc1|fc2))"
NOTHING = "(?!)"


def target_pattern(component: str, network: NetworkConfig) -> str:
    """Return a regular expression that fully matches the paths of the modules that get an adapter.

    Args:
        component: one of COMPONENTS. Text encoders are adapted whole (attention and feed-forward of every
            layer); the keys of `network` choose among the UNet's layers.
    """
    if component != UNET:
        return f".*({TEXT_LAYERS})"
    chosen = [pattern for key, pattern in UNET_LAYERS.items() if getattr(network, key)]
    return f".*({'|'.join(chosen) or NOTHING})"


def stable_name(component: str, module: str) -> str:
    """Return the name of a module that stays the same whichever release of transformers built it.

    transformers 5 keeps the layers of `CLIPTextModel` at `encoder.layers` and those of
    `CLIPTextModelWithProjection` at `text_model.encoder.layers`; earlier releases have `text_model` in both.
    Here, as in kohya's names, both have it: `text_encoder.text_model.encoder.layers.0.self_attn.q_proj`.
    """
    if component in TEXT_ENCODERS and not module.startswith("text_model."):
        module = f"text_model.{module}"
    return f"{component}.{module}"


def is_adapter_weight(name: str) -> bool:
    """Return whether a parameter of an adapted base, by its path, is an adapter's and not the base's own."""
    return any(f".{kind}_" in name for kind in ("lora", "lokr", "hada"))
