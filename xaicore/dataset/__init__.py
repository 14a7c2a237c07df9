"""Maps of a whole data set: a row per map in Parquet files that any table library reads."""

from xaicore.dataset.run import explain_dataset

__all__ = ["explain_dataset"]
