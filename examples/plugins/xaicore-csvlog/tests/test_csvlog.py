"""The contract of loggers, checked on this one."""

import csv

import xaicore_csvlog

from xaicore import testing


class TestCsvlog(testing.LoggerTests):
    kit_version = 2
    plugin = xaicore_csvlog

    def options(self, folder):
        return {"path": folder / "maps.csv"}

    def rows(self, folder):
        with (folder / "maps.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        # Rows are never taken back: the last one of the same map counts.
        return {tuple(row[name] for name in ("step", "id", "k", "method", "layer")): row for row in rows}.values()
