"""What docs/sdxl.md says of cards: the forecast of GPU memory for full-size SDXL, for each of its lines.

    .venv/bin/python benchmarks/cards.py

Nothing is trained and no GPU is needed: it is the forecast that the program prints before the first step. The toy
stands for a folder of SDXL; its weights are not read.
"""

from __future__ import annotations

import shlex

from common import publish
from full_size import without_weights

from lorasweep.compose.composition import composing, load_config
from lorasweep.families.shipped import BASE_PATH
from lorasweep.training.memory.estimate import GIB, Memory, estimate

COMMON = ("lora=custom name=Sage dataset.path=. dataset.trigger=sage_character base_model=sdxl "
          f"base_model.path={BASE_PATH} training.mixed_precision=bf16 training.device=cuda")  # fmt: skip
FULL = "network=full training.batch_size=1 training.gradient_checkpointing=true training.ema_decay=null"
LINES = (
    "preset=low_vram base_model.quantization=nf4",
    "preset=low_vram base_model.quantization=int8",
    "preset=low_vram",
    "training.batch_size=4 training.gradient_checkpointing=true",
    "training.batch_size=1 training.gradient_accumulation=4",
    "training.batch_size=4 training.gradient_checkpointing=true optimizer.text_encoder_lr=0",
    "training.batch_size=4",
    "training.batch_size=4 dataset.resolution=768",
    "training.batch_size=4 dataset.max_tokens=75",
    f"{FULL} optimizer=adamw optimizer.text_encoder_lr=0",
    f"{FULL} optimizer=adamw8bit optimizer.text_encoder_lr=0",
    f"{FULL} optimizer=adafactor optimizer.text_encoder_lr=0",
)


def row(line: str, memory: Memory) -> list[str]:
    """Return a line of the table, in GiB."""
    parts = memory.weights, memory.trained, memory.activations, memory.images, memory.total
    return [line, *(f"{part / GIB:.1f}" for part in parts)]


def main() -> None:
    """Print the table."""
    base, trained = without_weights(), without_weights()
    trained.unet.float()  # as it is loaded to be trained whole
    found: dict[str, Memory] = {}
    with composing():
        for line in LINES:
            config = load_config([*shlex.split(COMMON), *shlex.split(line)])
            found[line] = estimate(config, trained if config.network.type == "full" else base)
    headings = ["what is added", "base", "trained", "activations", "images", "at the peak"]
    rows = [headings, *(row(line, memory) for line, memory in found.items())]
    figures = {line: {"peak_gib": round(memory.total / GIB, 2)} for line, memory in found.items()}
    publish("cards", "GPU memory by forecast, GiB", rows, figures)


if __name__ == "__main__":
    main()
