"""Every method on one picture of a cat and a dog, for a convolutional net and for a vision transformer.

    make gallery

EfficientNet-Lite0 has its ImageNet weights. The transformer is a DINOv2 ViT-S/14, whose class token a linear classifier
reads, fitted to scenes of cats and dogs. The heatmaps go to docs/methods, each as a row: the picture, what speaks for
"cat", what speaks for "dog".

A second part measures how much of each method's positive evidence lies where it should: in mosaics of four photographs
that the net recognises, the evidence for a photograph's class belongs in its cell (the grid pointing game, Boehle et
al. 2021). Evidence that lies anywhere has a quarter of it there.
"""
