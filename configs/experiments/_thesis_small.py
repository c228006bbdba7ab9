# The thesis in small: SimCLR, ResNet-18, STL-10, and the method of the published
# paper (6.1.4). The upper level's rates are those of the first version; the thesis
# prints none.
settings = dict(
    pretext='../pretext/simclr_r18_8xb128-500e_stl10-96px.py',
    bilevel='../bissl/bissl-simclr_r18_8xb128-20x8-500t_stl10-96px.py',
    fine_tune='../fine_tune/r18_96px.py',
    options=dict(
        bilevel={
            'optim_wrapper.direct_weight': 1.0,
            'optim_wrapper.hypergradient.batches': 'next',
            'optim_wrapper.hypergradient.num_batches': 1,
            'train_cfg.backbone_adaptation': None,
        }
    ),
)
tasks = ['pets']
search = dict(settings=25)
