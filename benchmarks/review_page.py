"""What the review page costs: seconds to build and to open, and its size, for 10, 50 and 200 versions of 30 epochs.

    .venv/bin/python benchmarks/review_page.py [--side 1024]

Versions are made up (four pictures after every epoch); the pictures are the toy's drawings under noise, which
compresses no better than photographs do. Opening is measured in a headless Chromium, to the moment in which everything
is drawn; without one it is left out. Goals for 200 versions at 64 pixels: 40 MB, open within 2 s.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import publish
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from lorasweep.data.providers import provider  # noqa: E402
from lorasweep.review.page.choice import Choice  # noqa: E402
from lorasweep.review.page.write import write  # noqa: E402
from lorasweep.runs import paths  # noqa: E402
from tests.review.page.made_up import write_version  # noqa: E402

VERSIONS = (10, 50, 200)
EPOCHS = 30
PICTURES = 4  # after each epoch
DRAWN = 48  # different pictures; they take turns
OPENINGS = 3


def main() -> None:
    """Build, open and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=64, help="pixels of a picture (default: %(default)s)")
    parser.add_argument("--versions", type=int, nargs="+", default=VERSIONS)
    args = parser.parse_args()
    rows = [["versions", "pictures", "build", "of which measures", "size", "thumbnails", "open"]]
    figures = {}
    for count in args.versions:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            make(root, count, args.side)
            found = measure(root)
        figures[count] = found
        opened = "no browser" if found["open"] is None else f"{found['open']:.2f} s"
        rows.append(
            [
                str(count),
                str(found["pictures"]),
                f"{found['build']:.1f} s",
                f"{found['collect']:.1f} s",
                f"{found['bytes'] / 1e6:.1f} MB",
                f"{found['side']} px",
                opened,
            ]
        )
    name = "review_page" if args.side == 64 else f"review_page_{args.side}"
    title = f"The review page: {EPOCHS} epochs, {PICTURES} pictures of {args.side} pixels after each"
    publish(name, title, rows, {"versions": figures, "side": args.side})


def make(root: Path, count: int, side: int) -> None:
    """Write versions of 30 epochs whose pictures are links to a few."""
    pool = drawings(root / "pool", side)
    for number in range(1, count + 1):
        settings = {"network.rank": (4, 8, 16, 32)[number % 4], "optimizer.lr": 1e-4 * 1.02**number}
        folder = write_version(root / "outputs", number, epochs=EPOCHS, settings=settings, size=1)
        for index, file in enumerate(paths.samples(folder)):
            file.unlink()
            os.link(pool[(number + index) % len(pool)], file)


def drawings(folder: Path, side: int) -> list[Path]:
    """Draw the pictures that all samples are links to."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    files = []
    for number, drawing in enumerate(provider("humanoid").draw(DRAWN, size=(side, side), start=0)):
        pixels = np.asarray(drawing.image, dtype=np.float32) + rng.normal(0, 12, (side, side, 3))
        files.append(folder / f"{number}.png")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(files[-1])
    return files


def measure(root: Path) -> dict[str, float | None]:
    """Return what writing and opening the page took."""
    from lorasweep.review.page.collect import collect

    choice = Choice(root / "outputs", lora="fuzzybear")
    started = time.perf_counter()
    collect(choice)
    collected = time.perf_counter() - started
    written = write(choice, root / "outputs" / "fuzzybear" / "review.html", single=False)
    built = time.perf_counter() - started - collected
    return {
        "pictures": written.pictures,
        "build": built,
        "collect": collected,
        "bytes": written.file.stat().st_size,
        "side": written.side,
        "open": opened(written.file),
    }


def opened(file: Path) -> float | None:
    """Return the seconds from asking for the page to all of it being drawn, the median of a few."""
    browser = shutil.which("chromium")
    if browser is None:
        return None
    from playwright.sync_api import sync_playwright

    drawn = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    seconds = []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(OPENINGS):
            tab = running.new_page(viewport={"width": 1280, "height": 900})
            started = time.perf_counter()
            tab.goto(file.as_uri())
            tab.evaluate(drawn)
            seconds.append(time.perf_counter() - started)
            tab.close()
        running.close()
    return sorted(seconds)[len(seconds) // 2]


if __name__ == "__main__":
    main()
