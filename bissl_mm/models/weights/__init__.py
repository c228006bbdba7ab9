"""Weights from files: find the tensors and check that they suit the model."""
