"""What is looked at before a run, and in each batch."""
