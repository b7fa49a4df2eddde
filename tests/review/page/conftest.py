"""One browser for all tests of the page, and a page of made-up versions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lorasweep.review.page.choice import Choice
from lorasweep.review.page.write import write

from .made_up import write_version

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
RANKS = (4, 8, 16)


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")
    driver = pytest.importorskip(
        "playwright.sync_api", reason="the browser's driver is not installed: pip install playwright"
    )
    with driver.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of versions: v6 to v14 of FuzzyBear in three ranks and three rates, the last one pruned."""
    root = tmp_path_factory.mktemp("page") / "outputs"
    for number in range(6, 15):
        rank, lr = RANKS[number % 3], (1e-4, 1e-3, 5e-3)[number // 3 % 3]
        settings = {"network.rank": rank, "optimizer.lr": lr}
        ended = {"status": "pruned", "reason": "pruned by the study", "trial": {"study": "bears", "number": 8}}
        write_version(root, number, settings=settings, **(ended if number == 14 else {}))
    (root / "fuzzybear" / "v7" / "notes.txt").write_text("ears too large")
    return root


@pytest.fixture(scope="package")
def page_file(outputs: Path) -> Path:
    """The page of those versions."""
    return write(Choice(outputs, lora="fuzzybear"), outputs / "fuzzybear" / "review.html", single=False).file


class Watched:
    """A tab, and what it said and asked for.

    Attributes:
        tab: it.
        said: errors, warnings and exceptions.
        asked: addresses that it asked for.
    """

    def __init__(self, context: Any) -> None:
        """Open a tab of a browser's context."""
        self.tab = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))

    def open(self, address: str) -> Any:
        """Open an address as a new page would be, and return the tab."""
        self.tab.goto("about:blank")
        self.tab.goto(address)
        return self.tab


@pytest.fixture(scope="package")
def watched(browser: Any) -> Iterator[Watched]:
    """A tab of usual size."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(4000)
    yield Watched(context)
    context.close()


@pytest.fixture
def tab(watched: Watched, page_file: Path) -> Iterator[Any]:
    """The page, freshly opened; whatever it says on its console is an error here."""
    watched.said.clear()
    watched.asked.clear()
    yield watched.open(page_file.as_uri())
    assert not watched.said
    assert all(address.startswith(("file:", "data:", "about:")) for address in watched.asked)
