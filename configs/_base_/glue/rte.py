# RTE of GLUE (thesis, 7.1.1): accuracy.
_base_ = '_glue.py'

glue = dict(task='rte')
train_dataloader = dict(dataset=glue)
val_dataloader = dict(dataset=glue)
test_dataloader = dict(dataset=glue)
val_evaluator = glue
test_evaluator = glue
