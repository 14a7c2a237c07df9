"""Examples: the demo with its model, the report, and two plugins."""
