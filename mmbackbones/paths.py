"""Where configs and tools lie: in a wheel inside the package, in a checkout beside it."""

import ast
from collections import defaultdict
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

PACKAGE = Path(__file__).parent
ROOT = PACKAGE / '.mim' if (PACKAGE / '.mim').is_dir() else PACKAGE.parent


def path_of(name: str) -> str:
    """The absolute path of a config, a backbone or a command: mask_rcnn_swin_t, davit_t, train."""
    folders = ('configs', 'tools')
    configs = ('configs/_base_/backbones/*.py', 'configs/yardstick/*.py', 'configs/*.py')
    patterns = (*folders, *configs, 'tools/*.py', 'tools/dist_*.sh')
    found = {path.name: path for pattern in patterns for path in ROOT.glob(pattern)}
    wanted = Path(name).name
    path = found.get(wanted) or found.get(f'{wanted}.py')
    if path is None:
        near = get_close_matches(wanted, [key.removesuffix('.py') for key in found], 5)
        hint = f'did you mean {", ".join(near)}?' if near else f'look into {ROOT / "configs"}'
        raise FileNotFoundError(f'there is no config or tool {name}; {hint}')
    return str(path)


def configs_of(name):
    """The names of the configs with a backbone of a published size: {arch: [config]}.

    Configs are read, not run.
    """
    found = defaultdict(list)
    for path in sorted(ROOT.glob('configs/*.py')):
        settings = backbone_settings(path)
        if settings.get('type') == f'mmbackbones.{name}':
            found[settings.get('arch')].append(path.stem)
    return found


@cache
def backbone_settings(path):
    """The values of a config's and its bases' `backbone`, None for what is no plain value."""
    tree = ast.parse(path.read_text())
    settings: dict[str, Any] = {}
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    lists = [node.value for node in assigned if ast.unparse(node.targets[0]) == '_base_']
    # Where a base is a string, or one in a list; those of other packages are left out.
    texts = [str(node.value) for found in lists for node in ast.walk(found) if is_text(node)]
    for base in [path.parent / name for name in texts if '::' not in name]:
        settings |= backbone_settings(base.resolve()) if base.is_file() else {}
    found = [node.value for node in assigned if ast.unparse(node.targets[0]) == 'backbone']
    keywords = [node for node in ast.walk(tree) if isinstance(node, ast.keyword)]
    for backbone in found + [node.value for node in keywords if node.arg == 'backbone']:
        values = getattr(backbone, 'keywords', ())  # of a call of dict
        for name, value in ((each.arg, each.value) for each in values if each.arg):
            settings[name] = value.value if isinstance(value, ast.Constant) else None
    return settings


def is_text(node: ast.AST) -> TypeGuard[ast.Constant]:
    """Whether a node of a syntax tree is a string."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
