# SST-2 of GLUE (thesis, 7.1.1): accuracy.
glue = dict(task='sst2', num_classes=2, new_tokens=2)
