"""Trains the versions whose samples lie in tests/metrics/samples, and writes these: a sheet of 64 x 64 pixels each.

    python tests/metrics/record_samples.py

The base; three trainings of one recipe that differ in their seed only; one that stops after a tenth of the steps. A row
for each of `lora=fuzzybear`'s prompts, a column for each of four seeds. A few minutes on an idle CPU.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent / "samples"
ROOT = Path(__file__).resolve().parents[2]
PROMPTS, SEEDS = 3, 4
RECIPE = ["preset=demo", "tracker=none", "features=none", "sampling.seeds=[0,1,2,3]", "sampling.every_epochs=99"]
VERSIONS = {
    "seed_1": ["seed=1"],
    "seed_2": ["seed=2"],
    "seed_3": ["seed=3"],
    "short": ["seed=1", "training.max_steps=30"],
}


def main() -> None:
    """Train and write what is missing."""
    FOLDER.mkdir(exist_ok=True)
    for name, settings in VERSIONS.items():
        if (FOLDER / f"{name}.png").exists():
            continue
        with tempfile.TemporaryDirectory() as output:
            line = [sys.executable, str(ROOT / "train.py"), *RECIPE, *settings, f"output_root={output}"]
            subprocess.run(line, check=True)
            samples = sorted(Path(output).glob("fuzzybear/v6/samples/0*_*.png"))
            last = samples[-PROMPTS * SEEDS :]
            write_sheet(last, FOLDER / f"{name}.png")
            write_sheet(samples[: PROMPTS * SEEDS], FOLDER / "base.png")


def write_sheet(images: list[Path], path: Path) -> None:
    """Write images side by side: a row for each prompt, a column for each seed."""
    sheet = Image.new("RGB", (64 * SEEDS, 64 * PROMPTS))
    for index, image in enumerate(images):
        sheet.paste(Image.open(image), (index % SEEDS * 64, index // SEEDS * 64))
    sheet.save(path, optimize=True)


if __name__ == "__main__":
    main()
