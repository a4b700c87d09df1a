"""Balance the losses of several tasks of one network.

Pure: takes loss tensors and returns a total to backpropagate; independent of trainers, files, servers and
specific tasks. One training step, with or without AMP, accumulation and DDP:

    balancer = balancer_for(BalanceSettings(method="gradnorm"), ("box", "class"))
    for micro in batches:                                   # 1 or more micro-batches per optimizer step
        losses = network(micro)                             # {"box": scalar, "class": scalar}
        scaler.scale(balancer.total(losses, shared, scaler)).backward()
    if balancer.step():                                     # after the backwards, before the optimizer
        scaler.step(optimizer)
        scaler.update()
    optimizer.zero_grad()                                   # False: the gradients are not finite
    ...
    figures = balancer.end_epoch()                          # `balance/weight/box`, `train/box_loss`, ...
"""

from mlops.training.balance.balancer import Balancer, balancer_for
from mlops.training.balance.settings import BalanceSettings

__all__ = ["BalanceSettings", "Balancer", "balancer_for"]
