"""Import the hook in a conftest whose tests import frameworks."""

import gc


def pytest_collection_finish() -> None:
    """The modules that were imported stay: the collector of garbage no longer walks through them, again and again."""
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)
