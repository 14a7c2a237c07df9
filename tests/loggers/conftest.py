"""What the tests of the trackers and of the disk logger share."""

import hypothesis_profile  # noqa: F401
from clock import clock  # noqa: F401
from garbage import pytest_collection_finish, pytest_runtest_setup  # noqa: F401
