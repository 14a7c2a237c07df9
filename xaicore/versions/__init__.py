"""What changes from version to version: deprecations, and plugins of another version of the contract."""

from xaicore.versions.contract import check_version
from xaicore.versions.deprecation import deprecated

__all__ = ["check_version", "deprecated"]
