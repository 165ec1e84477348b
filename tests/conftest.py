"""What all tests share."""

import logging
import shutil
import sys

import pytest
import torch

from helpers import shape_checks

shape_checks.check_some_calls()
collect_ignore = ["helpers", "plugged"]
"""No test and no docstring's example: what the tests use, and plug-ins that each of them loads for itself."""
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
ARGUMENTS = [*QUIET.split(), "--disable-component-update", "--disable-sync"]
torch.set_num_threads(1)  # the models here are tiny, and the machine may be shared: threads would wait for each other


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A folder of the test's own, with what the module's `trained` folder holds to play with."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def one_thread_and_one_seed():
    """Every test begins with the same random numbers, whatever ran before it."""
    shape_checks.tests += 1
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def plugins_go_with_their_test():
    """What a plug-in file registered is not there for the next test of this process."""
    yield
    loaded = [name for name in sys.modules if name.startswith("unspool_plugin_")]
    if not loaded:
        return
    from unspool.data.preprocessors.preprocessor import preprocessors
    from unspool.data.tokenizer import tokenizers
    from unspool.look.view import views
    from unspool.nn.cell import cells
    from unspool.nn.core import cores
    from unspool.tasks.task import tasks

    for registry in (cells, cores, preprocessors, tasks, tokenizers, views):
        for kind, cls in list(registry._known.items()):
            if cls.__module__ in loaded:
                del registry._known[kind]
    for name in loaded:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def logs_end_with_their_test():
    """A server that a test started from the command line logged to that test's stderr, which is closed behind it."""
    yield
    for name in ("unspool.serve", "uvicorn"):
        logging.getLogger(name).handlers.clear()


@pytest.fixture(scope="session", autouse=True)
def losses_are_not_drawn():
    """A training of few steps would spend half of its time on `loss.png`; `draws_losses` draws it as ever."""
    from unspool.experiment import experiment  # not above: nothing is checked by jaxtyping that a conftest imports

    with pytest.MonkeyPatch.context() as patch:
        drawn = experiment.draw_loss
        patch.setattr(experiment, "draw_loss", lambda records, path, title, unit: path.write_bytes(b""))
        yield drawn


@pytest.fixture
def draws_losses(losses_are_not_drawn, monkeypatch):
    """For tests that are about whole runs, their pictures with them."""
    monkeypatch.setattr("unspool.experiment.experiment.draw_loss", losses_are_not_drawn)


@pytest.fixture(scope="session")
def chromium():
    """The system's Chromium, without a window; a test that wants it is skipped where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()
