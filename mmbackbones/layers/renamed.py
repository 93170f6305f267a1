"""Old names of what has a new one, for one version."""

import warnings


def old_names(package, **renamed):
    """The `__getattr__` of a package for {old name: (new name, value)}; it warns."""

    def function(name):
        if name not in renamed:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        new, value = renamed[name]
        text = f'{package}.{name} is now {package}.{new}; the old name will go with version 0.6'
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return value

    return function
