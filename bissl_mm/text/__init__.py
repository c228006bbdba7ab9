"""GPT as the pretext model, tasks of GLUE as the downstream task (thesis, 7).

Needs the extra ``text``: tokenizers and scikit-learn. They are imported where they
are used, so that the package loads without them.
"""

from .chunks import TextChunks
from .glue import GLUEDataset
from .glue_metric import GLUEMetric
from .gpt import GPTBackbone, GPTLanguageModel
from .gpt_classifier import GPTClassifier, GPTHead
from .token_preprocessor import TokenPreprocessor

__all__ = [
    'GLUEDataset',
    'GLUEMetric',
    'GPTBackbone',
    'GPTClassifier',
    'GPTHead',
    'GPTLanguageModel',
    'TextChunks',
    'TokenPreprocessor',
]
