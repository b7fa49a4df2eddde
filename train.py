"""Train a version of a LoRA: `python train.py lora=fuzzybear network.rank=8`; with -m, one for each value."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from lorasweep.app import launch


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def train(config: DictConfig) -> float | None:
    """Train the version that `config` describes and return its objective."""
    return launch.train(config)


if __name__ == "__main__":
    sys.exit(launch.main(train, Path(__file__).parent / "conf", sys.argv[1:]))
