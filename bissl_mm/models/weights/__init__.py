"""Weights of a file: which tensors they are, and whether they suit the model."""
