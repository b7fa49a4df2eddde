"""Which alpha stands in the file for each layer of a LoRA, so that every loader reads the scale that was trained.

A loader multiplies a layer's update by alpha / rank. diffusers (0.42.1) takes the most frequent alpha of a component
for all of its layers and then looks the others up by name, under names that of an SDXL no attention layer and no layer
of a text encoder has: what `network.ranks` gives these would act at another strength. Where that would happen all
layers of the component get one alpha, and their `lora_down` is scaled instead; the update is the same for every loader.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from lorasweep.adapters.kinds.kind import adapter_kind
from lorasweep.adapters.ranks import layer_rank
from lorasweep.families.naming import Naming
from lorasweep.schema import NetworkConfig


def alphas_in_file(network: NetworkConfig, layers: Iterable[str], naming: Naming) -> dict[str, float]:
    """Return the alpha that the file of a network has for each of `layers`, as `file_alphas` chooses it for LoRAs.

    Args:
        network: whose ranks and alphas.
        layers: stable names, such as `unet.mid_block.attentions.0.proj_in`; all of the file's.
        naming: of the base that they are of.
    """
    alphas = {layer: layer_rank(network, layer).alpha for layer in layers}
    return file_alphas(alphas, naming) if adapter_kind(network.type).uniform_alpha else alphas


def file_alphas(alphas: Mapping[str, float], naming: Naming) -> dict[str, float]:
    """Return the alpha to write for each layer.

    Args:
        alphas: the true ones, by the layer's stable name.
        naming: of the base that they are of.
    """
    components: dict[str, dict[str, float]] = defaultdict(dict)
    for layer, alpha in alphas.items():
        components[layer.partition(".")[0]][layer] = alpha
    found: dict[str, float] = {}
    for own in components.values():
        (usual, times), *others = Counter(own.values()).most_common()
        not_found = {alpha for layer, alpha in own.items() if not naming.has_own_alpha(layer)}
        tie = bool(others) and others[0][1] == times
        found |= own if not_found <= {usual} and not tie else dict.fromkeys(own, usual)
    return found
