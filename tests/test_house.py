"""The rules of the house: imports go down only, nothing stands twice, all families are tested."""

import ast
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from families import FAMILIES, gaps
from test_notebook import NOTEBOOK, code_cells

from mmbackbones.registry import MODELS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / 'mmbackbones'
FILES = sorted([*PACKAGE.rglob('*.py'), *(ROOT / 'tools').rglob('*.py')])
FLOORS = [
    'deploy',
    'layers',
    'operators',
    'weights',
    'registry',
    'schedules',
    'hooks',
    'backbone',
    'optim',
    'models',
    'adapters',
    'convert',
    'sharding',
    'strategy',
    'paths',
    '__init__',
    'doctor',
    '__main__',
]

every_file = pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))


def floor(path):
    """The room of the house that a file of the package is in."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    return parts[0]


def functions(path):
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node for node in nodes if isinstance(node, ast.FunctionDef)]


def imports(path):
    """(level, module, name) of every import of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, '') for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.level, node.module or '', alias.name) for alias in node.names)


@pytest.mark.parametrize('path', sorted(PACKAGE.rglob('*.py')), ids=lambda p: p.stem)
def test_imports_go_down_only(path):
    place = len(path.relative_to(PACKAGE).parts)
    here = FLOORS.index(floor(path))
    for level, module, name in imports(path):
        if level == place:  # from the package itself
            target = (module or name).split('.')[0]
            assert target in FLOORS[:here] or target.startswith('__version'), (module, name)
    outside = {module.split('.')[0] for level, module, _ in imports(path) if not level}
    others = {'timm', 'torchvision', 'transformers', 'mmdet', 'mmseg'}
    allowed = {path.stem} if floor(path) == 'adapters' else set()
    assert not outside & others - allowed
    assert 'mmcv' not in outside or floor(path) == 'doctor'


def test_models_do_not_import_each_other():
    for path in (PACKAGE / 'models').glob('[a-z]*.py'):
        assert not [module for level, module, _ in imports(path) if level == 1]


def test_every_registered_backbone_has_a_whole_row_in_the_table():
    assert '; '.join(gaps(MODELS.module_dict, FAMILIES)) == ''


ROW = 'the row of VOLO in tests/families.py '


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(url=''), 'has nothing for url'),
        (dict(first={}), 'has nothing for first'),
        (dict(activations=0), 'has nothing for activations'),
        (dict(trunks=FAMILIES['Container'].trunks), 'has no count for arch d3'),
        (dict(uncounted=('d9',)), 'counts d9, which is no arch'),
        (dict(options={}), 'draws no pretrain_size in options'),
        (dict(options=FAMILIES['DaViT'].options), 'draws window_size, which it does not take'),
        (dict(recordings={}), 'tests no weights of format official or timm'),
        (dict(other_formats={'keras': ('volo_d1_cls', dict)}), 'has unknown weights: keras'),
    ],
)
def test_a_hole_in_a_row_is_named(change, words):
    rows = FAMILIES | {'VOLO': replace(FAMILIES['VOLO'], **change)}
    assert ROW + words in list(gaps(MODELS.module_dict, rows))


def test_a_missing_row_is_named():
    classes = MODELS.module_dict | {'PVT': MODELS.get('VOLO')}
    wanted = ['PVT is registered and has no row in tests/families.py: add one']
    assert list(gaps(classes, FAMILIES)) == wanted
    wanted = ['VOLO has a row in tests/families.py and is not registered']
    del classes['PVT'], classes['VOLO']
    assert list(gaps(classes, FAMILIES)) == wanted


def test_layers_need_torch_alone():
    code = (
        'import sys, types; package = types.ModuleType("mmbackbones");'
        f'package.__path__ = [{str(PACKAGE)!r}]; sys.modules["mmbackbones"] = package;'
        'import mmbackbones.layers;'
        'print([m for m in ("mmengine", "mmcv", "mmdet", "numpy.f2py") if m in sys.modules])'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == '[]'


def test_the_package_needs_torch_and_mmengine_alone():
    others = ('mmcv', 'mmdet', 'mmseg', 'timm')
    code = f'import sys, mmbackbones; print([m for m in {others} if m in sys.modules])'
    out = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert out.stdout.strip() == '[]'


def test_a_missing_mmengine_is_named():
    code = 'import sys; sys.modules["mmengine"] = None; import mmbackbones'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert 'ImportError: mmbackbones needs mmengine: pip install' in done.stderr


@every_file
def test_public_names_have_docstrings(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith('_'):
            assert ast.get_docstring(node), node.name


def test_parsers_are_given_to_what_adds_arguments_alone():
    """Everything else in tools raises a `UsageError`; `__call__` is argparse's own signature."""
    for path in (ROOT / 'tools').rglob('*.py'):
        for function in functions(path):
            names = {arg.arg for arg in (*function.args.args, *function.args.kwonlyargs)}
            adds = function.name.startswith('add_') or function.name == '__call__'
            assert 'parser' not in names or adds, (path.name, function.name)


def test_errors_of_usage_are_shown_in_one_place():
    for path in (ROOT / 'tools').rglob('*.py'):
        shows = '.error(' in path.read_text() and 'parser' in path.read_text()
        assert not shows or path.name == 'usage.py', path.name


def test_constructors_take_few_arguments():
    for path in (PACKAGE / 'models').glob('*.py'):
        for function in functions(path):
            count = len(function.args.args) + len(function.args.kwonlyargs) - 1
            assert function.name != '__init__' or count <= 8, path.name


def test_nothing_stands_twice():
    """No eight equal lines of code in two places; signatures are equal on purpose."""
    seen, signature = {}, re.compile(r'(self|\*|\*?\*?\w+: .*),|def __init__\(|\) -> None:')
    for path in [*FILES, *sorted((ROOT / 'tests').glob('*.py'))]:
        lines = [line.strip() for line in path.read_text().splitlines()]
        lines = [line for line in lines if line and not line.startswith(('#', 'from ', 'import '))]
        lines = [line for line in lines if not signature.fullmatch(line)]
        for start in range(len(lines) - 7):
            block = tuple(lines[start : start + 8])
            assert block not in seen, f'{path.name} and {seen[block]} share: {block[0]} ...'
            seen[block] = path.name


def test_nothing_forbidden():
    words = re.compile(r'\bprint\(|os\.environ|qk_scale|breakpoint\(|pdb|TODO|FIXME')
    for path in PACKAGE.rglob('*.py'):
        found = words.findall(path.read_text())
        if floor(path) == 'convert':  # which reads the configs of others
            found = [word for word in found if word != 'qk_scale']
        assert not found or path.name == '__main__.py', (path.name, found)


def test_the_repository_has_what_belongs_there():
    """No file that a tool wrote: nothing else at the top, and nothing large."""
    listed = ['git', '-C', str(ROOT), 'ls-files']
    done = subprocess.run(listed, capture_output=True, text=True)
    if done.returncode:
        pytest.skip('no checkout of git')
    files = [ROOT / name for name in done.stdout.splitlines()]
    tops = {path.relative_to(ROOT).parts[0] for path in files}
    assert {name for name in tops if not name.startswith('.')} == {
        *('setup.py', 'README.md', 'LICENSE', 'mmbackbones', 'configs', 'tools', 'tests')
    }
    assert [path for path in files if path.exists() and path.stat().st_size > 1e6] == []


def test_modules_have_forms_that_every_converter_knows():
    """Exporters round `-(-a // b)` towards zero, few know `.T`, and quantisers no -inf."""
    words = re.compile(r'-\(-|\.m?T\b|-\s*(?:torch|math)\.inf\b|float\(.-inf')
    for path in [*PACKAGE.glob('layers/*.py'), *PACKAGE.glob('models/*.py')]:
        assert not words.findall(path.read_text()), path.name


PAGES = [
    path
    for path in (*ROOT.glob('*.md'), *ROOT.glob('*/*.md'), *PACKAGE.glob('*/*.md'))
    if not path.parent.name.startswith('.venv')
]


def anchors(path):
    """Where links into a page may lead: its headings, as GitHub names them."""
    text = re.sub('^```.*?^```', '', path.read_text(), flags=re.M | re.S)
    titles = re.findall('^#+ (.*)$', text, re.M)
    words = [re.sub(r'[^\w\s-]', '', title.lower()) for title in titles]
    return {each.replace(' ', '-') for each in words}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r'\]\(([^):]+)\)', page.read_text()):
        name, _, anchor = target.partition('#')
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_pages_name_every_config_and_every_tool():
    text = ''.join(page.read_text() for page in (ROOT / 'configs').glob('*.md'))
    configs = set(re.findall(r'\]\((\w+\.py)\)', text))
    assert {path.name for path in (ROOT / 'configs').glob('*.py')} <= configs
    tools = (ROOT / 'tools/README.md').read_text()
    for path in (ROOT / 'tools').glob('*.py'):  # commands, all of them
        assert path.read_text().endswith("if __name__ == '__main__':\n    main()\n")
        assert f'`{path.name}`' in tools


def test_the_first_page_is_one_screen():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 120


def command_lines():
    """(page, line) of the blocks and tables of pages, and of the notebook."""
    for page in PAGES:
        text = page.read_text()
        blocks = re.findall('^```bash\n(.*?)^```', text, re.M | re.S)
        cells = re.findall(r'`((?:python|bash) tools/.*?)` \|$', text, re.M)
        yield from ((page, line) for line in [*'\n'.join(blocks).splitlines(), *cells])
    for cell in code_cells(NOTEBOOK):
        yield from ((NOTEBOOK, line[1:]) for line in cell.splitlines() if line[:1] == '!')


def lines_to_paste():
    """(page, words) of each command in the pages that runs a tool or the package."""
    for page, line in command_lines():
        words = shlex.split(line, comments=True)
        ours = words[:3] == ['python', '-m', 'mmbackbones']
        if ours or any(word.startswith('tools/') for word in words):
            yield str(page.relative_to(ROOT)), tuple(words)


@pytest.mark.parametrize(('page', 'words'), sorted(set(lines_to_paste())))
def test_lines_to_paste_name_what_exists(page, words, call_tool):
    """Files of ours, commands and flags; what they do, the tests of the tools tell."""
    for word in words:
        if word.startswith(('tools/', 'configs/')):
            assert (ROOT / word).exists() or '$' in word, word
    start = next((i for i, word in enumerate(words) if word.startswith('tools/')), None)
    if start is None:
        start = words.index('mmbackbones') + 1
        known = (PACKAGE / '__main__.py').read_text()
        assert f"'{words[start]}'" in known
    elif words[start].endswith('.py'):
        known = call_tool(Path(words[start]).stem, '--help')[1]
    else:
        known = (ROOT / words[start]).read_text() + call_tool('train', '--help')[1]
    for flag in words[start:]:
        assert not flag.startswith('--') or re.search(rf'{flag}\b', known), flag
