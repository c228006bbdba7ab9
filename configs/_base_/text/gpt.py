# GPT with 117 million weights and the text of its pretext task, BooksCorpus (thesis,
# 7.1 and Table B.1). BISSL_VOCAB_SIZE is the number of tokens of your tokenizer, which
# tools/prepare_text.py prints.
gpt = dict(
    type='bissl_mm.GPTBackbone',
    vocab_size={{'$BISSL_VOCAB_SIZE:40478'}},
    context=512,
    embed_dims=768,
    num_layers=12,
    num_heads=12,
)
pretext_model = dict(type='bissl_mm.GPTLanguageModel', backbone=gpt)
pretext_dataloader = dict(
    total_batch_size=64,
    num_workers=2,
    dataset=dict(
        type='bissl_mm.TextChunks',
        data_root='{{$BISSL_DATA_DIR:data}}/books',
        context=512,
    ),
)
# Biases and scales of norms have no weight decay (7.1.2).
no_decay = dict(norm_decay_mult=0.0, bias_decay_mult=0.0)
