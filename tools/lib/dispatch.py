"""What PyTorch has no public name for, and what looks at every operator that runs needs.

If these move, get_flops.py, benchmark.py and the memory in profile_backbone.py cannot start.
"""

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

__all__ = ['TorchDispatchMode', 'tree_leaves', 'tree_map_only']
