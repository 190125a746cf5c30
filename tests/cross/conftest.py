"""What several tests against other programs need."""

import pytest

from kernels.errors import BackendUnavailable
from neuromorphic.lava import lava_python


@pytest.fixture(scope="session")
def python():
    """The Python that has Lava."""
    try:
        return lava_python()
    except BackendUnavailable as error:
        pytest.skip(str(error))
