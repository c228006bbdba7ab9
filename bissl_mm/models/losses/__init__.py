"""Pretext losses of a batch: pure functions, cut into outputs, convex in them."""
