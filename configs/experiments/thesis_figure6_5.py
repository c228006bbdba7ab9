# Figure 6.5 of the thesis (Table F.5):
#   python tools/experiment.py run configs/experiments/thesis_figure6_5.py
_base_ = '_simclr_r50.py'

title = 'Fine-tuning epochs (thesis, Figure 6.5)'
tasks = ['pets', 'dtd', 'voc07', 'flowers']
arms = ['FT', 'BiSSL+FT']
_epochs = [5, 10, 25, 50, 100, 200, 300, 400]
vary = dict(
    name='epochs',
    fine_tune={'train_cfg.max_epochs': _epochs, 'param_scheduler.end': _epochs},
)
search = dict(settings=25)
report = dict(published='thesis.figure6_5', kind='figure')
