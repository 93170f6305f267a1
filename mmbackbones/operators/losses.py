"""Focal losses, of Lin et al., https://arxiv.org/abs/1708.02002.

The cross entropy of each class or anchor, times `(1 - p) ** gamma`, which is small where the
probability p of the right answer is already high.
"""

import torch

from .sampling import precise


def tiny_log(p):
    """Logarithms of probabilities, of which none is less than the smallest float32."""
    return p.clamp(min=torch.finfo(torch.float32).tiny).log()


def class_weights(weight, target):
    """The weight of each target's class; none is given as an empty tensor."""
    return weight[target.clamp(0, len(weight) - 1)] if weight.numel() else 1


def class_column(weight, target):
    """The weight of each target's class as a column (N, 1), or 1."""
    return class_weights(weight, target)[:, None] if weight.numel() else 1


def is_target(scores, target):
    """Which class (N, C) is the target (N,)."""
    return torch.arange(scores.shape[1], device=scores.device) == target[:, None]


def right_and_wrong(logits, target, alpha):
    """Of each class (N, C): is it the target, p of the right and of the wrong answer, and alpha."""
    p, mine = logits.sigmoid(), is_target(logits, target)
    q = 1 - p
    return (
        mine,
        torch.where(mine, p, q),
        torch.where(mine, q, p),
        torch.where(mine, alpha, 1 - alpha),
    )


def sigmoid_focal_loss_forward(input, target, weight, output, gamma, alpha):
    """Write the loss (N, C) of logits; a target that is no class is background."""
    logits, weight = precise(input, weight)
    _, right, wrong, share = right_and_wrong(logits, target, alpha)
    output.copy_(-share * wrong.pow(gamma) * tiny_log(right) * class_column(weight, target))


def sigmoid_focal_loss_backward(input, target, weight, grad_input, gamma, alpha):
    """Write the derivatives (N, C) by the logits."""
    logits, weight = precise(input, weight)
    mine, right, wrong, share = right_and_wrong(logits, target, alpha)
    slope = share * wrong.pow(gamma) * (wrong - gamma * right * tiny_log(right))
    grad_input.copy_(torch.where(mine, -slope, slope) * class_column(weight, target))


def target_probability(softmax, target):
    """The probability (N,) of each target, and whether it has one: one below 0 is ignored."""
    return softmax.gather(1, target.clamp(min=0)[:, None])[:, 0], target >= 0


def softmax_focal_loss_forward(input, target, weight, output, gamma, alpha):
    """Write the loss (N,) of probabilities (N, C)."""
    softmax, weight = precise(input, weight)
    p, counts = target_probability(softmax, target)
    loss = -alpha * (1 - p).pow(gamma) * tiny_log(p) * class_weights(weight, target)
    output.copy_(torch.where(counts, loss, 0))


def softmax_focal_loss_backward(input, target, weight, buff, grad_input, gamma, alpha):
    """Write the derivatives (N, C) by the logits whose softmax is the input."""
    softmax, weight = precise(input, weight)
    p, counts = target_probability(softmax, target)
    q = 1 - p
    slope = alpha * (gamma * q.pow(gamma - 1) * p * tiny_log(p) - q.pow(gamma))
    slope = torch.where(counts, slope * class_weights(weight, target), 0)
    buff.copy_(slope)
    grad_input.copy_(slope[:, None] * (is_target(softmax, target).to(softmax) - softmax))
