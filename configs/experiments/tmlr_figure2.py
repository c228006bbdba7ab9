# Figure 2 of the published paper (4.4.3); the durations are not printed:
#   python tools/experiment.py run configs/experiments/tmlr_figure2.py
_base_ = '_first_version.py'

title = 'Duration of pretraining, flowers (Figure 2)'
tasks = ['flowers']
arms = ['FT', 'Longer pretraining', 'BiSSL+FT']
_durations = [100, 200, 300, 400, 500]
vary = dict(
    name='pretext epochs',
    pretext={'train_cfg.max_epochs': _durations, 'param_scheduler.1.end': _durations},
)
search = dict(settings=100)
report = dict(published='tmlr.figure2', kind='figure')
