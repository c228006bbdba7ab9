# Table 14 of the published paper, from public SimCLR weights at 224 px (C.6), which
# docs/public_weights.md says how to get:
#   python tools/experiment.py run configs/experiments/tmlr_table14.py
title = 'Public SimCLR weights at 224 px (Table 14)'
settings = dict(
    pretext='../pretext/simclr_r50_head_8xb128-20e_in1k-224px.py',
    bilevel='../bissl/bissl-simclr_r50_8xb128-10x4-200t_in1k-224px.py',
    fine_tune='../fine_tune/r50_224px.py',
)
tasks = ['pets', 'dtd', 'voc07', 'flowers', 'cub200']
arms = ['FT', 'BiSSL+FT']
search = dict(settings=25)
processes = dict(pretrain=8, stage=4)
report = dict(published='tmlr.table14')
