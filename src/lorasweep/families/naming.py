"""The names that a family's layers have in weights files of adapters, and what is known of layers by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from lorasweep.families.parts import Part

if TYPE_CHECKING:
    from torch import Tensor

Cut = Callable[[str], str]
"""From a layer to a regular expression that is found in its name, in those of its group and in no other layer's."""


class Naming(Protocol):
    """Names of the layers of a base, whose blocks may be numbered by its sizes.

    A layer's own, stable name is that of its part and its path in it: `unet.mid_block.attentions.0.proj_in`.
    """

    @property
    def title(self) -> str:
        """What has these layers, in words: `SDXL's UNet or text encoders`."""
        ...

    @property
    def parts(self) -> tuple[Part, ...]:
        """What can be trained, the denoiser first."""
        ...

    @property
    def groupings(self) -> Sequence[Sequence[Cut]]:
        """Ways to group layers for `network.ranks`; in each of them a cut divides the groups of the one before.

        The last cut of each leaves every layer by itself. Without any, all layers are taken by themselves.
        """
        ...

    def in_file(self, layer: str) -> str:
        """Return the name that our files have for a layer: the one that most loaders know.

        Args:
            layer: its stable name.

        Raises:
            ValueError: files have no name for it.
        """
        ...

    def layer(self, name: str) -> str:
        """Return the stable name of a layer of a file, whichever program wrote that.

        Args:
            name: of the layer in the file, without what tells its tensors apart.

        Raises:
            ValueError: an adapter can have no such layer.
        """
        ...

    def current(self, name: str) -> str:
        """Return a tensor's name of an earlier format in the spelling of today's; any other as it is."""
        ...

    def has_own_alpha(self, layer: str) -> bool:
        """Return whether every loader reads the alpha of this layer, and not the most frequent one of its part."""
        ...

    def foreign(self, layers: Mapping[str, Mapping[str, Tensor]]) -> str | None:
        """Return which other models some layers are of, by their sizes; None if they may be this family's.

        Args:
            layers: tensors by end, such as `.lora_down.weight`, by the layer's stable name.
        """
        ...
