"""The report: train a classifier, and watch where it looks while it learns.

    python -m examples.report.torch
    python -m examples.report.keras

Both tell the same story. A frozen network with a dense head learns two classes; after each epoch, Grad-CAM heatmaps of
the same pictures are logged. Then `cam_model` makes it CAM-ready, it is trained again, and CAM is logged. What the
heatmaps show is counted at the end.
"""
