"""What a file of sd-scripts says of itself: each key is read, known to need nothing, or named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lorasweep.schema import Key

T = TypeVar("T")

NOTHING = ("None", "")
OFF = (*NOTHING, "False", "0", "0.0", "{}", "[]")

# Facts of what happened, and of who made the file: nothing that a run is asked for.
FACTS = (
    *("ss_session_id", "ss_training_started_at", "ss_training_finished_at", "ss_training_comment", "ss_epoch"),
    *("ss_steps", "ss_sd_scripts_commit_hash", "ss_sd_model_hash", "ss_vae_hash", "ss_num_train_images"),
    *("ss_num_reg_images", "ss_v2", "ss_base_model_version", "ss_validation_seed", "ss_max_validation_steps"),
    *("ss_validate_every_n_steps", "sshs_model_hash", "sshs_legacy_hash"),
    *("modelspec.sai_model_spec", "modelspec.architecture", "modelspec.implementation", "modelspec.title"),
    *("modelspec.date", "modelspec.author", "modelspec.description", "modelspec.license", "modelspec.tags"),
    *("modelspec.thumbnail", "modelspec.usage_hint", "modelspec.hash_sha256", "modelspec.implementation_version"),
    *("modelspec.encoder_layer", "modelspec.preprocessor", "modelspec.is_negative_embedding"),
    *("modelspec.unet_dtype", "modelspec.vae_dtype"),
    # Of no effect on SDXL, or on what is learnt: the memory that sd-scripts saves.
    *("ss_clip_skip", "ss_lowram"),
)


@dataclass
class About:
    """A file's metadata while it is read, and what is found in it.

    Attributes:
        texts: the metadata.
        settings: dotted keys of our config -> values, found so far.
        notes: one line each on what is not told, or not done here; they may hold anything that the metadata holds.
        read: the metadata's keys that were asked for.
    """

    texts: Mapping[str, str]
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    read: set[str] = field(default_factory=set)

    @property
    def by_sd_scripts(self) -> bool:
        """Whether sd-scripts wrote it, and not lorasweep, whose files say so, or nobody who said anything."""
        ours = self.texts.get("ss_training_comment", "").startswith("lorasweep ")
        return not ours and any(key.startswith("ss_") for key in self.texts)

    def value(self, theirs: str, read: Callable[[str], T]) -> T | None:
        """Return what the key `theirs` says; None where it says nothing, or nothing that can be read."""
        self.read.add(theirs)
        text = self.texts.get(theirs, "None")
        if text in NOTHING:
            return None
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, OverflowError, RecursionError, MemoryError):
            self.notes.append(f"{theirs}={text} could not be read")
            return None

    def stated(self, key: Key) -> Any:
        """Return what the metadata says of a key of ours that has one there (`Key.ss`); None as of `value`."""
        return self.value(key.ss, READERS[key.kind])

    def set(self, key: str, value: Any, what: str) -> None:
        """Set a key of ours, or note that it keeps its default."""
        if value is None:
            self.notes.append(f"{what}: {key} keeps its default")
        else:
            self.settings[key] = value

    def name_the_rest(self) -> None:
        """Note each key that says something and was not read."""
        for theirs, text in self.texts.items():
            is_setting = theirs.startswith(("ss_", "sshs_", "modelspec.")) and text not in OFF
            if is_setting and theirs not in self.read and theirs not in FACTS:
                self.notes.append(f"{theirs}={text}: lorasweep has nothing like it")


def flag(text: str) -> bool:
    """Read a truth value as Python writes it, or JSON."""
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def positive(text: str) -> float | None:
    """Read a number of which 0 means that there is none."""
    return float(text) or None


def whole_number(text: str) -> int:
    """Read a whole number, also one written as `8.0`.

    Raises:
        ValueError: it is none.
    """
    number = float(text)
    if number != int(number):
        raise ValueError(text)
    return int(text) if text.lstrip("-").isdigit() else int(number)


READERS: Mapping[type, Callable[[str], Any]] = {int: whole_number, float: float, bool: flag, str: str}
"""How the text of a key is read, by the key's type."""
