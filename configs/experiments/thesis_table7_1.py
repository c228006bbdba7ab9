# Table 7.1 of the thesis: GPT on seven tasks of GLUE. From the public weights, as
# there (docs/text.md converts them):
#   python tools/experiment.py run configs/experiments/thesis_table7_1.py \
#       --cfg-options settings.pretrained=work_dirs/gpt.pth
# Without the option, GPT is pretrained first.
title = 'GPT on GLUE (thesis, Table 7.1)'
settings = dict(
    pretext='../text/gpt_b64-100e_books.py',
    bilevel='../text/bissl-gpt_b64-20x4-200t_books-glue.py',
    fine_tune='../text/fine-tune_gpt_b32-3e_glue.py',
)
tasks = ['cola', 'sst2', 'rte', 'qnli', 'mrpc', 'qqp', 'stsb']
arms = ['FT', 'BiSSL+FT']
report = dict(published='thesis.table7_1')
