"""Frames per second of the strength explorer while its slider is dragged, against a round trip to the kernel per frame.

Usage: python benchmarks/explorer.py [--out FILE]
In a real JupyterLab in headless Chromium, 12 photos at 220 pixels, a 60 Hz drag of 3 seconds; both in one run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
from pathlib import Path

from machine import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

START = """
from pathlib import Path
from samples import random_pair
import finerkit as fk
import ipywidgets, io, numpy as np
from PIL import Image
pair = random_pair(Path("photos"), photos=12, grid=(14, 14))
explorer = fk.StrengthExplorer(pair)
slow = ipywidgets.FloatSlider(0.6, min=0, max=2, step=0.01, continuous_update=True)
pictures = [ipywidgets.Image(format="png") for _ in range(12)]
from finerkit.base.geometry import GridPlace
from painted import painted
place = GridPlace(0, 0, 220 / 14, 220 / 14)
def draw(change):
    maps = fk.contrast(pair, slow.value, relu=False).values
    for picture, one in zip(pictures, maps):
        buffer = io.BytesIO()
        pixels = painted(one, (220, 220), place, "viridis", explorer.limit).astype(np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        picture.value = buffer.getvalue()
slow.observe(draw, "value")
draw(None)
display(explorer)
display(ipywidgets.VBox([slow, ipywidgets.HBox(pictures)]))
"""

#: Moves the slider at every frame and counts the frames in which the first map has changed.
DRAG = """async () => {
  const input = document.querySelector(".fk input[type=range]");
  const canvas = document.querySelector(".fk-tile canvas");
  const look = () => canvas.getContext("2d").getImageData(100, 100, 24, 24).data.join();
  const times = [];
  let last = look();
  const begin = performance.now();
  while (performance.now() - begin < 3000) {
    await new Promise(requestAnimationFrame);
    const t = (performance.now() - begin) / 3000;
    input.value = 2 * Math.abs(Math.sin(9 * t));
    input.dispatchEvent(new Event("input", { bubbles: true }));
    const now = look();
    if (now !== last) times.push(performance.now());
    last = now;
  }
  return times;
}"""

#: Frames in which the first picture from the kernel was replaced, while a key is held down on its slider.
COUNT = """async () => {
  const times = [];
  let last = null;
  const begin = performance.now();
  while (performance.now() - begin < 3000) {
    await new Promise(requestAnimationFrame);
    const source = document.querySelector(".widget-image, img.widget-image, .jupyter-widgets.widget-image")?.src;
    if (source !== last) times.push(performance.now());
    last = source;
  }
  return times;
}"""


def rate(times: list[float]) -> float:
    """Median frames per second."""
    gaps = [b - a for a, b in itertools.pairwise(times)]
    return 1000 / statistics.median(gaps) if gaps else 0.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    from browser import FLAGS, Lab, chromium
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        made = driver.chromium.launch(executable_path=chromium(), args=FLAGS)
        lab = Lab(Path(folder), made)
        try:
            with lab.run(START) as notebook:
                page = notebook.page
                page.wait_for_selector(".fk-tile canvas", timeout=90_000)
                page.wait_for_timeout(2000)
                browser_side = rate(page.evaluate(DRAG))
                handle = page.locator(".noUi-handle").first
                handle.scroll_into_view_if_needed()
                box = handle.bounding_box()
                x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
                page.mouse.move(x, y)
                page.mouse.down()
                page.evaluate(f"() => {{ window.fkTimes = ({COUNT})(); }}")
                for i in range(170):  # about 60 Hz
                    page.mouse.move(x + 60 * abs((i % 40) / 20 - 1), y)
                    page.wait_for_timeout(16)
                page.mouse.up()
                kernel_side = rate(page.evaluate("window.fkTimes"))
        finally:
            lab.stop()
            made.close()
    result = {
        "what": "median frames per second, 12 photos at 220 pixels, 14 x 14 cells, headless Chromium without GPU",
        "drawn in the browser": round(browser_side, 1),
        "a round trip to the kernel per frame": round(kernel_side, 1),
        "ratio": round(browser_side / kernel_side, 1) if kernel_side else None,
        "machine": machine(),
    }
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
