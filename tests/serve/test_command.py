"""The verb: it says what is wrong before it begins, serves, and stops gently."""

import json
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection

import pytest

from helpers.serving import JSON, text_run
from unspool.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr("unspool.serve.logs.log_to_stderr", lambda: None)  # in this process pytest has its own
    text_run().save(tmp_path / "small")
    return tmp_path / "small"


@pytest.mark.parametrize(
    ("token", "said"), [(None, "cannot read"), ("short", "at least 8 ASCII"), ("sécret-token", "at least 8 ASCII")]
)
def test_a_token_file_needs_a_token(run, token, said, capsys):
    file = run.parent / "token"
    if token is not None:
        file.write_text(token, encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(["serve", str(run), "--token-file", str(file)])
    assert stop.value.code == 2 and said in capsys.readouterr().err


def test_what_cannot_be_served_is_refused(run, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for words, said in (
            ([str(tmp_path / "nothing")], "nothing"),
            ([str(run), str(run)], "two runs are called small"),
            ([str(run), "--port", port], "cannot listen"),
            ([str(run), "--states", str(run / "recipe.toml")], "cannot make"),
        ):
            with pytest.raises(SystemExit) as stop:
                main(["serve", *words])
            assert stop.value.code == 2 and said in capsys.readouterr().err


def test_it_serves_until_it_is_asked_to_stop(run):
    """SIGTERM lets the stream under way come to its end, and the exit status is 0."""
    command = [sys.executable, "-m", "unspool", "serve", str(run), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        noted = json.loads(process.stderr.readline())
        assert noted["event"] == "serving" and noted["models"] == ["small"]
        connection = HTTPConnection("127.0.0.1", noted["port"])
        body = json.dumps({"model": "small", "prompt": "ab", "max_tokens": 400, "stream": True})
        connection.request("POST", "/v1/completions", body, JSON)
        answer = connection.getresponse()
        answer.readline()
        process.send_signal(signal.SIGTERM)
        rest = answer.read().decode()
        connection.close()
        assert '"finish_reason":"length"' in rest and rest.endswith("data: [DONE]\n\n")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and json.loads(out)["models"] == ["small"]
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert events[0] == "stopping" and events[-1] == "stopped" and "request" in events
