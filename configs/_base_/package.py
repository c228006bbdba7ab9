# For ordinary stages with parts of this package.
custom_imports = dict(
    imports=['bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine']
)
