"""twofold: are these two the same? Siamese networks with a stated error rate."""

__version__ = "0.1.0"
