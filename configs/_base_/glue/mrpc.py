# MRPC of GLUE (thesis, 7.1.1): F1.
_base_ = '_glue.py'

glue = dict(task='mrpc')
train_dataloader = dict(dataset=glue)
val_dataloader = dict(dataset=glue)
test_dataloader = dict(dataset=glue)
val_evaluator = glue
test_evaluator = glue
fine_tune = dict(search=dict(metric='glue/f1'))
