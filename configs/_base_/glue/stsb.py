# STS-B of GLUE (thesis, 7.1.1): Pearson correlation.
_base_ = '_glue.py'

glue = dict(task='stsb')
train_dataloader = dict(dataset=glue)
val_dataloader = dict(dataset=glue)
test_dataloader = dict(dataset=glue)
val_evaluator = glue
test_evaluator = glue
downstream = dict(head=dict(num_classes=1))
fine_tune = dict(search=dict(metric='glue/pearson'))
