"""What the test pipeline of a config does with pictures, as mm builds it."""

from mmengine.registry import DATASETS, DefaultScope

from lib.arguments import import_quietly
from lib.drawing import steps_of
from lib.run_config import innermost


def test_dataset(cfg):
    """The dataset that the config tests on, without reading any files, or None."""
    settings = (cfg.get('test_dataloader') or {}).get('dataset')
    if not settings:
        return None
    import_quietly(cfg.default_scope)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return DATASETS.build(dict(innermost(settings), lazy_init=True))


def test_steps(cfg):
    """The steps of its pipeline."""
    dataset = test_dataset(cfg)
    return [] if dataset is None else steps_of(dataset)


def named(steps, *names):
    """The first step whose class, or one that it is made from, has one of these names, or None."""
    found = (s for s in steps if {kind.__name__ for kind in type(s).__mro__} & set(names))
    return next(found, None)
