"""Several runs share the tests: with `-p turns`, TURN=0/2 runs every second one, and TURN=1/2 the others.

Of a test with parameters, a run has every fourth set: what differs between Pythons is what the test calls, and not what
it calls it with. TURN=0/1 runs all tests, with all their sets.
"""

import collections
import os

SETS = 4


def pytest_collection_modifyitems(config, items):
    number, runs = map(int, os.environ["TURN"].split("/"))
    if runs == 1:
        return
    sets, tests = collections.Counter(), {}
    chosen, others = [], []
    for item in items:
        test = (item.path, item.originalname)
        turn = tests.setdefault(test, len(tests)) + sets[test]
        (chosen if turn % runs == number and sets[test] // runs % SETS == 0 else others).append(item)
        sets[test] += 1
    config.hook.pytest_deselected(items=others)
    items[:] = chosen
