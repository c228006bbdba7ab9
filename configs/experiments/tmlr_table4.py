# Table 4 of the published paper:
#   python tools/experiment.py run configs/experiments/tmlr_table4.py
title = 'MAE and ViT-S (Table 4)'
settings = dict(
    pretext='../pretext/mae_vit-s8_8xb128-500e_in1k-96px.py',
    bilevel='../bissl/bissl-mae_vit-s8_8xb128-20x8-500t_in1k-96px.py',
    fine_tune='../fine_tune/vit-s8_96px.py',
)
tasks = ['pets', 'dtd', 'voc07', 'flowers', 'cub200']
arms = ['FT', 'BiSSL+FT']
search = dict(settings=50)
processes = dict(pretrain=8, stage=4)
report = dict(published='tmlr.table4')
