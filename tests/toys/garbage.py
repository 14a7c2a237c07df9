"""Import both hooks in a conftest whose tests import frameworks, or come after such tests."""

import gc


def pytest_collection_finish() -> None:
    """The modules that were imported stay: the collector of garbage no longer walks through them, again and again."""
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)


def pytest_runtest_setup() -> None:
    """Nor does it after a command line that ran in this process, which lets go of all that is frozen at its end."""
    pytest_collection_finish()
