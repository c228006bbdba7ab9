# Stronger crops than the paper's: few images need them.
pretext_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='bissl_mm.SimCLRViews', size=48, min_scale=0.2),
    dict(type='PackInputs'),
]
