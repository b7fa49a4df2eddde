"""What cannot be meant, though each file by itself is good."""

from __future__ import annotations

from collections.abc import Sequence

from lorasweep.data import captions
from lorasweep.data.faults import Fault
from lorasweep.data.folder import Sample
from lorasweep.data.items import Gathered, Item
from lorasweep.schema import Config


def taught(sample: Sample, trigger: str) -> Fault | None:
    """Return a fault where a regularisation image would be trained to be what the trigger calls."""
    if not captions.has_trigger(sample.caption, trigger):
        return None
    if sample.source is not None:
        text = f'has the trigger "{trigger}", which regularisation images must not be trained on: write the class alone'
        return Fault(text, sample.source, "regularisation captions with the trigger")
    assert sample.label is not None
    rest = " ".join(captions.of_class(sample.caption, trigger, "").split()).strip(" ,") or "woman"
    return Fault(
        f'its name has the trigger "{trigger}", which regularisation images must not be trained on: rename it to the '
        f"class alone, such as {sample.label.repeats}_{rest}",
        sample.label.folder,
    )


def no_class(training: Sequence[Item], config: Config) -> list[Fault]:
    """Return a fault where no caption has the trigger that `loss.preservation_class` takes the place of."""
    word, trigger = config.loss.preservation_class, config.dataset.trigger
    if not (word and training) or any(captions.has_trigger(item.caption, trigger) for item in training):
        return []
    return [
        Fault(
            f'loss.preservation_class={word} changes nothing: no caption has the trigger "{trigger}" that it would '
            f"take the place of; set {captions.trigger_setting(config.dataset.caption_prefix, trigger)}"
        )
    ]


def shared(gathered: Gathered) -> list[Fault]:
    """Return a fault for each picture that is in two of the three folders."""
    faults = []
    pairs = [
        (gathered.images, gathered.validation, "in dataset.path and in dataset.validation_path"),
        (gathered.regularisation, gathered.validation, "in dataset.regularisation_path and in dataset.validation_path"),
        (gathered.images, gathered.regularisation, "in dataset.path and in dataset.regularisation_path"),
    ]
    for left, right, where in pairs:
        seen = {item.sample.facts.digest: item.sample.path for item in left}
        for item in right:
            if other := seen.get(item.sample.facts.digest):
                text = f"{other} and {item.sample.path} are the same picture, {where}: delete one"
                faults.append(Fault(text, None, f"the same picture {where}"))
    return faults
