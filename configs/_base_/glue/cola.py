# CoLA of GLUE (thesis, 7.1.1): Matthews correlation.
_base_ = '_glue.py'

glue = dict(task='cola')
train_dataloader = dict(dataset=glue)
val_dataloader = dict(dataset=glue)
test_dataloader = dict(dataset=glue)
val_evaluator = glue
test_evaluator = glue
downstream = dict(head=dict(new_tokens=2))
fine_tune = dict(search=dict(metric='glue/matthews'))
