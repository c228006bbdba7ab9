# The views of 4.2.1 of the paper.
# The published code draws crops with RandomResizedCrop(crop_ratio_range=
# (0.08, 1.0), aspect_ratio_range=(0.5, 1.0)); the paper speaks of a minimal
# crop ratio of 0.5, which is what stands here.
# Pillow's blur of radius 0.1 to 2.0, as Bardes et al., whom 4.2.1 follows; the
# thesis (6.1.1) names a kernel of 23 pixels.
pretext_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='bissl_mm.SimCLRViews', size=96, min_scale=0.5),
    dict(type='PackInputs'),
]
