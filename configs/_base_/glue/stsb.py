# STS-B of GLUE (thesis, 7.1.1): Pearson correlation.
glue = dict(task='stsb', num_classes=1, new_tokens=3)
