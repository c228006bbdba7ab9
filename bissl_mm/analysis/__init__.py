"""Compares backbones and shows the results. Only the tools import it."""
