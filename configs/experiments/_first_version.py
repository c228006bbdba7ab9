# The first version: SimCLR, ResNet-18, STL-10 at 96 px (4.2 there).
settings = dict(
    pretext='../pretext/simclr_r18_8xb128-500e_stl10-96px.py',
    bilevel='../bissl/bissl-simclr_r18_8xb128-20x8-500t_stl10-96px.py',
    fine_tune='../fine_tune/r18_96px.py',
)
search = dict(settings=200)
