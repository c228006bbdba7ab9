# Figure 2 of the first version; the epochs are not printed:
#   python tools/experiment.py run configs/experiments/iclr_figure2.py
_base_ = 'tmlr_figure2.py'

title = 'Number of pretext epochs, flowers (first version, Figure 2)'
search = dict(settings=200)
report = dict(published='iclr.figure2', kind='figure')
