"""Operators in the graphs of `torch.compile` and `torch.export`, which none of them breaks.

A function whose loops depend on numbers is one node of a graph, a custom operator of the namespace
`mmbackbones`. One that only computes gradients by autograd is traced through, not looked into.
Outside of graphs all are called as they are.
"""

import re
from functools import wraps

import torch

from ..layers import full_precision

traced = torch.compiler.allow_in_graph


def kernel(function):
    """Make a function behave as a compiled kernel: without autocast and autograd inside."""

    @wraps(function)
    def call(*args, **kwargs):
        tensors = (value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor))
        with torch.no_grad(), full_precision(next(tensors)):
            return function(*args, **kwargs)

    return call


def node(schema, fake=None):
    """Make a function one node of graphs; `fake` tells the shape of what it returns."""
    arguments = re.findall(r'(\w+)(?=, |\) ->)', schema)
    written = re.findall(r'Tensor\(\w!\) (\w+)', schema)

    def decorate(function):
        @kernel
        def by_name(*values):
            return function(**dict(zip(arguments, values, strict=True)))

        name = f'mmbackbones::{function.__name__}'
        custom = torch.library.custom_op(name, by_name, mutates_args=written, schema=schema)
        if fake:
            custom.register_fake(fake)

        @wraps(function)
        def call(*args, **kwargs):
            return (custom if torch.compiler.is_compiling() else function)(*args, **kwargs)

        return call

    return decorate
