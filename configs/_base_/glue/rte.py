# RTE of GLUE (thesis, 7.1.1): accuracy.
glue = dict(task='rte', num_classes=2, new_tokens=3)
