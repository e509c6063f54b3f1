"""The pytest plugin. On its own, so that pytest imports no client to find it."""
import pytest


@pytest.fixture
def running_server():
    """A speicher server on a free port, for one test: ``host``, ``port``, ``client()``."""
    from speicher_server import testing
    with testing.running_server() as server:
        yield server
