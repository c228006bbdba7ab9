# QNLI of GLUE (thesis, 7.1.1): accuracy.
glue = dict(task='qnli', num_classes=2, new_tokens=3)
