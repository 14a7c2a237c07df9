"""Several runs share the tests: with `-p turns`, TURN=0/2 runs every second test, and TURN=1/2 the others."""

import os


def pytest_collection_modifyitems(config, items):
    number, runs = map(int, os.environ["TURN"].split("/"))
    config.hook.pytest_deselected(items=[item for n, item in enumerate(items) if n % runs != number])
    items[:] = items[number::runs]
