# Two blocks of 32 for two cores, and a vocabulary of your own text.
small = dict(
    vocab_size={{'$BISSL_VOCAB_SIZE:500'}},
    context=64,
    embed_dims=32,
    num_layers=2,
    num_heads=2,
)
short = dict(total_batch_size=16, num_workers=0, dataset=dict(context=64))
short_test = dict(num_workers=0, dataset=dict(context=64))
