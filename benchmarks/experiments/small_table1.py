# A small Table 1: three sets, with training twice, which the paper's table lacks.
#   python tools/experiment.py run benchmarks/experiments/small_table1.py
_base_ = '_small.py'

title = 'Fine-tuning alone, after BiSSL and after training twice, 32 px'
arms = ['FT', 'BiSSL+FT', 'Training twice']
