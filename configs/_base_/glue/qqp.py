# QQP of GLUE (thesis, 7.1.1): F1.
_base_ = '_glue.py'

glue = dict(task='qqp')
train_dataloader = dict(dataset=glue)
val_dataloader = dict(dataset=glue)
test_dataloader = dict(dataset=glue)
val_evaluator = glue
test_evaluator = glue
head_warmup = dict(num_epochs=0.1)
fine_tune = dict(search=dict(metric='glue/f1'), warmup=55)
