"""The report: train a classifier, and log where it looks after every epoch.

    python -m examples.report.torch
    python -m examples.report.keras

Both scripts run the same experiment. A frozen network with a dense head is trained on two classes; after each epoch,
Grad-CAM heatmaps of the same pictures are logged. Then `cam_model` makes it CAM-ready, it is trained again, and CAM is
logged. At the end, the share of evidence on the objects is measured.
"""
