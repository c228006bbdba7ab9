# CoLA of GLUE (thesis, 7.1.1): Matthews correlation.
glue = dict(task='cola', num_classes=2, new_tokens=2)
