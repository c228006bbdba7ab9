# Table 6.4 of the thesis:
#   python tools/experiment.py run configs/experiments/thesis_table6_4.py
_base_ = '_simclr_r50.py'

title = 'Pretext head in the implicit Jacobian (thesis, Table 6.4)'
tasks = ['voc07', 'dtd', 'pets', 'flowers']
arms = {
    'BiSSL+FT': {},
    'head not fixed': dict(
        like='BiSSL+FT',
        stage={'optim_wrapper.hypergradient.pretext_head': True},
        published='nonfixed_head',
    ),
}
search = dict(settings=50)
report = dict(published='thesis.table6_4')
