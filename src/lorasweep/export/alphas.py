"""Which alpha stands in the file for each layer of a LoRA, so that every loader reads the scale that was trained.

A loader multiplies a layer's update by alpha / rank. diffusers (0.42.1) takes the most frequent alpha of a component
for all of its layers and then looks the others up by name, under names that no attention layer and no layer of a text
encoder has: what `network.ranks` gives these would act at another strength. Where that would happen all layers of the
component get one alpha, and their `lora_down` is scaled instead; the update is the same for every loader.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping


def alphas_in_file(alphas: Mapping[str, float]) -> dict[str, float]:
    """Return the alpha to write for each layer, given the true one.

    Args:
        alphas: by the layer's stable name, such as `unet.mid_block.attentions.0.proj_in`.
    """
    components: dict[str, dict[str, float]] = defaultdict(dict)
    for layer, alpha in alphas.items():
        components[layer.partition(".")[0]][layer] = alpha
    written: dict[str, float] = {}
    for component, own in components.items():
        (usual, times), *others = Counter(own.values()).most_common()
        not_found = {alpha for layer, alpha in own.items() if component != "unet" or ".attn" in layer}
        tie = bool(others) and others[0][1] == times
        written |= own if not_found <= {usual} and not tie else dict.fromkeys(own, usual)
    return written
