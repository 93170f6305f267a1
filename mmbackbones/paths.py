"""Where configs and tools lie: in a wheel inside the package, in a checkout beside it."""

import ast
from collections import defaultdict
from difflib import get_close_matches
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
ROOT = PACKAGE / '.mim' if (PACKAGE / '.mim').is_dir() else PACKAGE.parent


def path_of(name):
    """The absolute path of a config, a tool, or their folder: mask_rcnn_swin_t, train, configs."""
    patterns = ('configs', 'configs/*.py', 'tools', 'tools/*.*')
    found = {path.name: path for pattern in patterns for path in ROOT.glob(pattern)}
    wanted = Path(name).name
    path = found.get(wanted) or found.get(f'{wanted}.py')
    if path is None:
        near = get_close_matches(wanted, [key.removesuffix('.py') for key in found], 5)
        hint = f'did you mean {", ".join(near)}?' if near else f'look into {ROOT / "configs"}'
        raise FileNotFoundError(f'there is no config or tool {name}; {hint}')
    return str(path)


def configs_of(name):
    """The names of the configs with a backbone: {arch: [config]}."""
    found = defaultdict(list)
    for path in sorted(ROOT.glob('configs/*.py')):
        settings = backbone_settings(path)
        if settings.get('type') == f'mmbackbones.{name}':
            found[settings['arch']].append(path.stem)
    return found


@cache
def backbone_settings(path):
    """The plain values of `backbone=dict(...)` in a config and its bases, of which nothing runs."""
    tree, settings = ast.parse(path.read_text()), {}
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    lists = [node.value for node in assigned if ast.unparse(node.targets[0]) == '_base_']
    for base in [name for found in lists for name in ast.literal_eval(found)]:
        settings |= backbone_settings((path.parent / base).resolve())
    keywords = [node for node in ast.walk(tree) if isinstance(node, ast.keyword)]
    for backbone in [keyword.value for keyword in keywords if keyword.arg == 'backbone']:
        values = getattr(backbone, 'keywords', ())  # of a call of dict
        settings |= {v.arg: v.value.value for v in values if isinstance(v.value, ast.Constant)}
    return settings
