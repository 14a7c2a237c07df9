"""How each of the backends of Keras runs and differentiates a model."""
