"""Vectors as tuples of tensors, and as flat rows of a basis."""
