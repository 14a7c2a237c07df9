"""Maps of a whole data set: a row per map in Parquet files that any table library reads."""
