"""What reading weights needs of a net. This folder imports no model, and any such net will do."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeGuard, runtime_checkable

from torch import Tensor, nn

from .format import Format


class Stem(Protocol):
    """The first layers of a net, which read images."""

    in_channels: int  # of the images


class BackboneNet(Protocol):
    """A net whose weights can be read from any of its formats, as a `Backbone` of this package.

    It is an `nn.Module` whose tensors begin with `stem.`, `stages.` or match `optional_keys`.
    """

    formats: tuple[Format, ...]  # of its published checkpoints
    optional_keys: str  # a pattern of names that may be missing from checkpoints
    stem: Stem
    stages: Iterable[nn.Module]

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> Any: ...

    def modules(self) -> Iterator[nn.Module]: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def get_submodule(self, target: str) -> nn.Module: ...


@runtime_checkable
class Resizable(Protocol):
    """A module whose tensors depend on the size of windows or images."""

    def fit(self, tensor: Tensor) -> Tensor:
        """The tensor of a checkpoint, resized to the size of the module's own."""


def is_backbone(model: Any) -> TypeGuard[BackboneNet]:
    """Whether a model says which formats its checkpoints have.

    Raises:
        TypeError: It does, and lacks something else that reading its weights needs.
    """
    formats = getattr(model, 'formats', None)
    if not isinstance(formats, tuple) or not all(isinstance(form, Format) for form in formats):
        return False
    lacking = [name for name in BackboneNet.__annotations__ if not hasattr(model, name)]
    if not lacking and not hasattr(model.stem, 'in_channels'):
        lacking = ['stem.in_channels']
    if lacking:
        raise TypeError(
            f'{type(model).__name__} has formats of checkpoints but no {", ".join(lacking)}, so '
            f'its weights cannot be read; give it what mmbackbones.weights.net.BackboneNet lists'
        )
    return True
