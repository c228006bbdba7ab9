"""A table of a paper from one file: the graph of its runs, workers, the report.

definition -> runs -> queue, and report reads what the queue has stored. Only the
tool imports this package.
"""
