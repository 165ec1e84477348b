"""What docs/serving.md shows works, against a server."""

import re
import subprocess
from pathlib import Path

import pytest

from helpers.serving import serving, text_run
from unspool import tokenizers

PAGE = (Path(__file__).parents[2] / "docs/serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- not run: tests/serve[^\n]*\n```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with serving({"char-lm": text_run(tokenizers.build("tokenizer", "byte"))}) as found:
        yield found


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_the_examples_work(client, language, code, capsys):
    code = code.replace("localhost:8000", f"127.0.0.1:{client.port}")
    if language == "python":
        pytest.importorskip("openai")
        exec(compile(code, "serving.md", "exec"), {"__name__": "docs"})
        assert capsys.readouterr().out
        return
    found = subprocess.run(["bash", "-c", code.replace("curl -s", "curl -sf")], capture_output=True, text=True)
    if found.returncode == 127:
        pytest.skip("there is no curl here")
    assert found.returncode == 0, found.stderr
    assert found.stdout.count('"error"') == 0 and found.stdout.count('"id"') == code.count("curl") - code.count("ID=")


def test_every_kind_of_block_is_there():
    assert sorted(language for language, _ in BLOCKS) == ["python", "python", "python", "sh", "sh"]
