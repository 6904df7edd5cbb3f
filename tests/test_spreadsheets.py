"""Tables for spreadsheets: text from others never becomes a formula, and nothing else changes."""

import numpy as np
import pandas as pd
import pytest
from samples import random_pair

from finerkit.cli.report import write_report
from finerkit.output.tables.frames import spreadsheet_safe

FORMULAS = ['=HYPERLINK("http://x","y")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"]
PLAIN = ["", "-", "+", "-1.5", "+3", "-1e-3", "Rubra = alba", "a@b", "1=1", "'quoted'"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text_wherever_they_are(text):
    table = pd.DataFrame({text: [text], "n": [-1]}, index=pd.Index([text], name="image"))
    before = table.copy()
    safe = spreadsheet_safe(table)
    assert safe.columns[0] == safe.index[0] == safe.iloc[0, 0] == f"'{text}"
    assert safe.index.name == "image"
    pd.testing.assert_frame_equal(table, before)


def test_everything_else_stays():
    count = len(PLAIN)
    table = pd.DataFrame(
        {
            "text": np.array(PLAIN, object),
            "number": np.linspace(-1, 1, count),
            "flag": [True, False] * (count // 2),
            "day": pd.to_datetime(["2020-01-01", None] * (count // 2)),
        },
        index=pd.Index([f"{i}.jpg" for i in range(count)], name="image"),
    )
    pd.testing.assert_frame_equal(spreadsheet_safe(table), table, check_dtype=False)


def test_tables_that_are_written_are_safe(tmp_path):
    pair = random_pair(tmp_path / "photos")
    pair = pair.assign_coords(image=np.array(["=1+1.png", "@x.png", "c.png"], object))
    written = pd.read_csv(write_report(pair, tmp_path / "out", images=1).table, index_col="image")
    assert list(written.index) == ["'=1+1.png", "'@x.png", "c.png"]
