"""Every method on every kind of model, in each framework: what works, and what is refused with which words."""
