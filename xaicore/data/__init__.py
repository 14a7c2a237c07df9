"""What callers pass beside the model: images and what is known of them, in one grammar for every argument.

`names` reads ids and class names, `truth` true classes, `targets` what to explain; `labels` holds them for N images.
`sample` holds images with their labels, `batches` reads loaders, `choose` picks the images that a monitor explains.
"""
