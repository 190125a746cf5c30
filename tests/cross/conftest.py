"""What several tests against other programs need."""

import warnings

import pytest

from kernels.errors import BackendUnavailable
from neuromorphic.lava import lava_python, run_lava


@pytest.fixture(scope="session")
def python():
    """The Python that has Lava."""
    try:
        return lava_python()
    except BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def lava(python):
    """run_lava(folder, dense), once more where Lava's runtime hangs (its issue 178): one of some thousand runs did."""

    def run(folder, dense=False):
        try:
            return run_lava(folder, python, dense, timeout=120)
        except BackendUnavailable as error:
            if "still running" not in str(error):
                raise
            warnings.warn(f"{error} It is run once more.", stacklevel=2)
        return run_lava(folder, python, dense, timeout=120)

    return run
