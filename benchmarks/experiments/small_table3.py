# A small Table 3: all arms on one set. With the storage of the small Table 1, the runs
# that both have are made once.
#   python tools/experiment.py run benchmarks/experiments/small_table3.py
_base_ = '_small.py'

title = 'The arms on hand signs, 32 px'
_name = 'hand signs, 5 labels a class'
tasks = dict(_delete_=True, **{_name: _base_.tasks[_name]})
arms = [
    'FT',
    'Random initialization',
    'Linear probing',
    'Zero head',
    'NoisyTune',
    'Data mix',
    'Weighted sum',
    'IJ discarded',
    'Further pretraining',
    'Training twice',
    'BiSSL+FT',
]
