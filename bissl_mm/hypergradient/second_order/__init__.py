"""Layers whose second derivatives cost less than torch's."""
