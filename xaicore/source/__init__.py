"""The pictures that a caller has, in whatever form: which there are, what is known of them, read beside the model.

Data sets, the command line and a monitor's pool read through this room, so that one source has the same ids, order,
true classes and inputs everywhere.
"""
