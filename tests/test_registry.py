"""Options are checked where they are given, and a name is taken once."""

import pytest

from unspool.errors import ConfigError
from unspool.nn.cell import cells
from unspool.nn.core import cores


def test_an_option_is_known_and_of_its_kind_and_a_name_is_taken_once():
    with pytest.raises(ConfigError, match="depth"):
        cores.build("core", {"kind": "recurrent", "depth": 2}, width=6)
    with pytest.raises(ConfigError, match=r"core\.layers"):
        cores.build("core", {"kind": "recurrent", "layers": True}, width=6)
    with pytest.raises(ConfigError, match="already defined"):
        cells.register("lstm")(type("Other", (cells.find("gru"),), {"__module__": "elsewhere"}))
    assert cells.find("lstm").__module__ == "unspool.nn.cells.lstm"
