"""What the tensors of a weights file are, judged by their names and shapes alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from lorasweep.families.weights_files import PICKLES, safetensors_problem, shapes_in, tensors_command
from lorasweep.schema.base_model import FAMILIES
from lorasweep.schema.network import ADAPTERS

VAE, LORA = "a VAE", "a LoRA"
UNKNOWN = "no model that is known here"
LDM = "model.diffusion_model."
"""How the denoiser's tensors begin in a single file of the layouts that Stability's programs write."""

_ADVICE = {
    VAE: "a VAE replaces a base's own: give it as base_model.vae_path",
    LORA: "a LoRA is made for a base: give that one",
    "a UNet in diffusers' layout": "give the folder with model_index.json instead of one of its files",
}


@cache
def _adapter() -> re.Pattern[str]:
    """Return what is found in the names of an adapter's tensors."""
    prefixes = [prefix for name in ADAPTERS if (prefix := ADAPTERS[name].prefix)]
    return re.compile(rf"^(lora|lycoris)_|[._]lora[._]|\.({'|'.join(prefixes)}|oft_|dora_scale)")


def kind_of(shapes: Mapping[str, Sequence[int]]) -> str:
    """Return what the tensors of a file are, as a noun with its article: "a LoRA", "a VAE", a family's `noun`...

    Args:
        shapes: shape by tensor name.
    """

    def has(*starts: str) -> bool:
        return any(name.startswith(starts) for name in shapes)

    if any(_adapter().search(name) for name in shapes):
        return LORA
    if has("control_model.", "controlnet_cond_embedding."):
        return "a ControlNet"
    for name in FAMILIES:
        if found := FAMILIES[name].files.kind(shapes):
            return found
    for start in (LDM, ""):
        for model, layer in (("a FLUX", "double_blocks."), ("an SD3", "joint_blocks.")):
            if has(start + layer):
                return f"{model} model"
    if has(LDM) and has("cond_stage_model."):
        return "an SD 2 model" if has("cond_stage_model.model.") else "an SD 1.5 model"
    if has(*(f"{start}decoder.conv_in." for start in ("", "first_stage_model.", "vae."))):
        return VAE
    if has("time_embedding.linear_1."):
        return "a UNet in diffusers' layout"
    if has("text_model.", "embeddings."):
        return "a text encoder"
    if {"emb_params", "clip_l", "clip_g"} & shapes.keys():
        return "a textual inversion"
    return f"{UNKNOWN} (its first tensor is {next(iter(shapes), 'missing')})"


def advice(kind: str) -> str | None:
    """Return what to do with a file that was given as a base of another family; None where nothing is known.

    Args:
        kind: what the file is, as `kind_of` says it.
    """
    family = family_of_kind(kind)
    return f"set base_model.family={family}, which trains it" if family else _ADVICE.get(kind)


def family_of_kind(kind: str) -> str | None:
    """Return the name of the family whose bases are of a kind; None if there is none here."""
    return next((name for name in FAMILIES if FAMILIES[name].noun == kind), None)


def lora_problem(file: Path) -> str | None:
    """Return what keeps a file from being a LoRA, to stand after `network.start_from=...: `; None if it looks like one.

    Names that are not known pass: whoever reads the tensors says more of them.
    """
    if not file.is_file():
        return "there is no such file; expected a LoRA's .safetensors file"
    if file.suffix.lower() in PICKLES:
        return f"a pickled file could run any code; expected .safetensors. Convert it with: {tensors_command(file)}"
    if problem := safetensors_problem(file):
        return f"{problem}; copy or download it again"
    if not (shapes := shapes_in(file)):
        return "it holds no tensors, so that training would start at zero; give the weights file of a LoRA"
    kind = kind_of(shapes)
    if kind == LORA or kind.startswith(UNKNOWN):
        return None
    if family_of_kind(kind):
        return f"this is {kind}; expected a LoRA: a checkpoint to train is given as base_model.path"
    return f"this is {kind}; expected a LoRA"
