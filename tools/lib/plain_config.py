"""Configs that mmengine wrote, read as data: nothing of them runs."""

import ast

from mmengine.config import Config


def plain_config(text):
    """The config that a text assigns, name by name.

    Raises:
        ValueError: It is anything but assignments of literals and calls of dict.
    """
    try:
        lines = ast.parse(text).body
        return Config({line.targets[0].id: plain_value(line.value) for line in lines})
    except (AttributeError, SyntaxError) as error:
        raise ValueError(str(error)) from error


def plain_value(node):
    """The value of an expression of literals and calls of dict."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict' and not node.args:
        return {each.arg: plain_value(each.value) for each in node.keywords}
    if isinstance(node, ast.Dict):
        return dict(zip(map(plain_value, node.keys), map(plain_value, node.values), strict=True))
    if isinstance(node, ast.List | ast.Tuple):
        values = map(plain_value, node.elts)
        return list(values) if isinstance(node, ast.List) else tuple(values)
    return ast.literal_eval(node)
