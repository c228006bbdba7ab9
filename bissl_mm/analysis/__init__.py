"""Comparing backbones and showing what came out. For the tools only."""
