"""A guide whose names are all hostile: its datasets and its file, for the tests with and without a browser."""

import re
from html.parser import HTMLParser
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from samples import SPECIES, draw

import finerkit as fk

TARGET = "<script>alert(1)</script>"
HOSTILE = (
    TARGET,
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "line\u2028break & <b>co</b>",
)
FILES = ('"><img src=x onerror=alert(1)>{}.png', "<script>alert(1)<script>{}.png", "{}\u2028' onload=alert(1) '.png")
NAMES = ("<img src=x onerror=alert(1)>", "]]><svg onload=alert(1)>")


class Guide(NamedTuple):
    path: object
    pair: xr.Dataset
    traits: xr.Dataset
    scores: xr.Dataset
    study: xr.DataTree

    @property
    def text(self):
        return self.path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def guide(tmp_path_factory):
    """Photos of four species, analysed; names of species, files, traits, credits and author try to be markup."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "photos").mkdir()
    rows = []
    for s, name in enumerate(HOSTILE):
        for i in range(6):
            file = FILES[i % 3].format(f"{s}{i}")
            draw(SPECIES[s % 3], 10 * s + i, ((96, 72), (64, 96))[i % 2]).save(folder / "photos" / file)
            rows.append((file, name, "<b onclick=alert(1)>J. Doe</b>"))
    table = pd.DataFrame(rows, columns=["path", "species", "photographer"])
    images = fk.read_images(table, root=folder / "photos", progress=False)
    model = fk.load_model(image_size=64, device="cpu")
    study = fk.analyze(images, model, folder / "study.zarr", progress=False)
    pair = fk.compare(study, TARGET, 2, progress=False)
    traits = fk.find_traits(pair, n_traits=2).assign_coords(trait=np.array(NAMES, object))
    some = list(pair["image"].values[:2])
    scores = fk.score(pair, [0, 1], ["relative_drop", "deletion"], steps=2, images=some, progress=False)
    path = fk.write_guide(folder / "guide.html", pair, traits, scores, author="<i>Me</i>", strength=0.7)
    return Guide(path, pair, traits, scores, study)


class Page(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._inside = [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style", "title", "h1"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data):
        self.texts.setdefault(self._inside[-1] if self._inside else "", []).append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def words(self):
        """All that a reader reads, spaces made single."""
        parts = [t for kind in ("h1", "") for t in self.texts.get(kind, [])]
        return re.sub(r"\s+", " ", "".join(parts))
