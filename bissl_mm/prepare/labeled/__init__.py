"""Data sets of labeled images in the plain form, one module per publisher."""

from . import (  # noqa: F401
    aircrafts,
    caltech101,
    cars,
    cifar,
    cub200,
    fashion_mnist,
    flowers,
    food,
    imagenet,
    pets,
    sun397,
    voc07,
)
