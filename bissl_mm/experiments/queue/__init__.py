"""Runs of a graph, done once each by any number of processes. Imports no torch."""
