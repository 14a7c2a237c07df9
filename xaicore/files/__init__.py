"""Files that a run or a gallery consists of: written as a whole or not at all, with errors that say what to do."""

from xaicore.files.failures import file_errors
from xaicore.files.whole import TEMPORARY, unfinished, write_whole

__all__ = ["TEMPORARY", "file_errors", "unfinished", "write_whole"]
