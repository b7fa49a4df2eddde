"""What an item of `features.models` means: a name, or the folder or hub id of a model of a known kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorasweep.errors import UserError
from lorasweep.families.hub import snapshot
from lorasweep.families.paths import is_hub_id
from lorasweep.families.weights_files import PICKLES, damaged_files, only_pickles
from lorasweep.features.kind import FeatureKind
from lorasweep.registry import is_dotted
from lorasweep.schema.features import FEATURES, Sight
from lorasweep.text.names import did_you_mean

_CONVERT = (
    'python -c "from transformers import AutoModel as M, AutoProcessor as P; '
    "[k.from_pretrained('{path}').save_pretrained('{target}') for k in (M, P)]\""
)


@dataclass(frozen=True)
class FeatureSource:
    """A feature model that is not loaded yet.

    Attributes:
        name: what its figures are called by.
        path: its folder or hub id; "" of a kind that knows its own.
        kind: what loads it.
    """

    name: str
    path: str
    kind: FeatureKind


def short_name(item: str) -> str:
    """Return what the figures of a model are called by: `facebook/dinov2-base` -> `dinov2_base`."""
    last = item.rpartition(":")[2] if is_dotted(item) else re.split(r"[/\\]", item.rstrip("/\\"))[-1]
    return re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_")


def source_of(item: str) -> FeatureSource:
    """Return the model that an item of `features.models` names; the config of one on the hub is downloaded.

    Args:
        item: a name, a dotted name that its user allows, a folder or a hub id.

    Raises:
        UserError: it is none of them, or no model of a known kind.
    """
    if item in FEATURES or is_dotted(item):
        kind: FeatureKind = FEATURES[item]
        return FeatureSource(short_name(item), kind.path, kind)
    folder = Path(item)
    if is_hub_id(item):
        folder = snapshot(item, "features.models", allow=["config.json"], advice="give the folder of a copy")
    found = _model_type(folder)
    if found not in (kinds := kinds_by_type()):
        raise UserError(f"features.models=[{item}]: {_unknown(found)}")
    return FeatureSource(short_name(item), item, kinds[found])


def problems(item: str) -> Iterator[str]:
    """Yield what keeps an item of `features.models` from being a model, to stand after `features.models=[...]: `.

    Nothing is downloaded and no code of a user's own is run.
    """
    if item in FEATURES or is_dotted(item) or is_hub_id(item):
        return
    folder = Path(item)
    if not folder.exists():
        known = ", ".join(FEATURES)
        hint = did_you_mean(item, FEATURES)
        yield f"expected one of {known}, a transformers folder, or a hub id such as organisation/name{hint}"
    elif folder.is_file():
        kind = "a pickled file, which could run any code" if folder.suffix in PICKLES else "a single file"
        command = _CONVERT.format(path=folder.parent, target=f"{folder.parent}-safetensors")
        yield f"this is {kind}; expected a transformers folder. Convert its folder with: {command}"
    elif only_pickles(folder):
        command = _CONVERT.format(path=item, target=f"{item.rstrip('/')}-safetensors")
        yield f"its weights are pickled; expected .safetensors. Convert them with: {command}"
    elif (found := _model_type(folder)) not in kinds_by_type():
        yield _unknown(found)
    else:
        yield from damaged_files(folder)


def names_twice(models: Sequence[str]) -> list[str]:
    """Return the names that several of the models would have: their figures could not be told apart."""
    names = [short_name(item) for item in models]
    return sorted({name for name in names if names.count(name) > 1})


def may_see(models: Sequence[str], what: Sight) -> bool:
    """Return whether one of the models sees something, or may: what a model on the hub is, nobody knows yet."""
    kinds = (FEATURES[item] if item in FEATURES or is_dotted(item) else _kind_of_folder(item) for item in models)
    return any(kind is None or what in kind.sees for kind in kinds)


def _kind_of_folder(item: str) -> FeatureKind | None:
    return kinds_by_type().get(_model_type(Path(item)))


def kinds_by_type() -> dict[str, FeatureKind]:
    """Return the known kinds by what transformers call their models in config.json."""
    kinds: list[FeatureKind] = [FEATURES[name] for name in FEATURES]
    return {model_type: kind for kind in reversed(kinds) for model_type in kind.model_types}


def _model_type(folder: Path) -> str:
    """Return what a folder's config.json says the model is; "" where it says nothing."""
    try:
        return str(json.loads((folder / "config.json").read_text())["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _unknown(model_type: str) -> str:
    given = f"its model_type is {model_type}" if model_type else "it has no config.json with a model_type"
    return f"{given}; expected a transformers folder of one of {', '.join(sorted(kinds_by_type()))}"
