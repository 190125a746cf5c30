"""What tests of TOML files share."""

import re

import pytest

from kernels.errors import ConfigError
from snn.config import load


@pytest.fixture
def write(tmp_path):
    def write(text, name="net.toml"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.fixture
def problems():
    """The lines of the error without the first, which holds the count."""

    def problems(path, overrides=None, allow_code=False):
        with pytest.raises(ConfigError) as caught:
            load(path, overrides, allow_code)
        first, *lines = str(caught.value).split("\n  ")
        count = int(re.fullmatch(rf"{re.escape(str(path))}: (\d+) problems?", first)[1])
        assert count == len(lines)
        return lines

    return problems
