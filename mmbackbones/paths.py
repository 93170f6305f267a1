"""Where configs and tools lie: in a wheel inside the package, in a checkout beside it."""

from difflib import get_close_matches
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
