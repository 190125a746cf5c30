"""Of all tests."""


def pytest_collection_modifyitems(items):
    """Long tests first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
