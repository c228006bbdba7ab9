# MRPC of GLUE (thesis, 7.1.1): F1.
glue = dict(task='mrpc', num_classes=2, new_tokens=3)
