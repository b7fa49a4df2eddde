"""What metrics need of a config, each with the override that fulfils it; as `schema.measures.Measure.needs` has it."""

from __future__ import annotations

HELDOUT = {
    # Themes come with held-out drawings of their own.
    "dataset.holdout=0.1": "dataset.path=null or dataset.validation_path or dataset.folds or dataset.holdout"
}
"""Of one that looks at images which were not trained on."""

SEEN = {
    "features=toy": "base_model.path or features.models",
    "features=clip_l": "base_model.path=null or features.models",
    "sampling.every_epochs=1": "sampling.every_epochs",
}
"""Of one that looks at sample images."""

UNCALLED = {"dataset.trigger=WORD": "dataset.trigger"}
"""Of one that looks at samples which do not call the concept."""

CALLED_TWICE = {**SEEN, "sampling.seeds=[0,1]": "sampling.seeds>1"}
"""Of one that compares the seeds of a prompt."""
