"""The lecture pages in docs/lectures run from top to bottom, shrunk, and have every scene with its question."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = Path(__file__).parent.parent / "docs/lectures"
SCENES = {"stat453": 10, "practicum": 16, "mit": 15}


@pytest.mark.parametrize("name", SCENES)
def test_a_page_runs_and_its_identities_hold(name, tmp_path):
    small = {"PAGE_SIZE": "small", "PAGE_RUNS": str(tmp_path), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    command = [sys.executable, "-W", "error::DeprecationWarning:shared", f"{name}.py"]
    made = subprocess.run(command, cwd=PAGES, env=os.environ | small, capture_output=True, text=True, timeout=600)
    assert made.returncode == 0, made.stderr[-3000:]


@pytest.mark.parametrize(("name", "scenes"), SCENES.items())
def test_every_scene_is_there_with_a_question_and_its_answer(name, scenes):
    text = (PAGES / f"{name}.py").read_text(encoding="utf-8")
    assert [int(number) for number in re.findall(r"^# ## (\d+)\. ", text, re.MULTILINE)] == list(range(1, scenes + 1))
    assert text.count("**Question.**") == text.count("<summary>Answer</summary>") == scenes


@pytest.mark.parametrize("name", SCENES)
def test_a_cell_has_at_most_ten_lines(name):
    text = (PAGES / f"{name}.py").read_text(encoding="utf-8")
    cells = re.split(r"^# %%", text, flags=re.MULTILINE)[1:]
    code = [[line for line in cell.splitlines()[1:] if line.strip()] for cell in cells if "[markdown]" not in cell]
    assert len(code) > SCENES[name]
    assert [cell[0] for cell in code if len(cell) > 10] == []
