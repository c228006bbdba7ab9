# SST-2 of GLUE (thesis, 7.1.1): accuracy.
_base_ = '_glue.py'

glue = dict(task='sst2')
train_dataloader = dict(dataset=glue)
val_dataloader = dict(dataset=glue)
test_dataloader = dict(dataset=glue)
val_evaluator = glue
test_evaluator = glue
downstream = dict(head=dict(new_tokens=2))
head_warmup = dict(num_epochs=0.1)
fine_tune = dict(warmup=10)
