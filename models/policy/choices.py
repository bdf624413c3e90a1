"""What the network's answer means as a distribution, in torch: the same as `execution/policies/learned.py` in numpy."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from appliance.execution.policies.learned import ILLEGAL
from appliance.execution.steering.changes import Change

from .experience import Batch
from .network import PolicyNetwork


@dataclass(frozen=True, eq=False)
class Known:
    """A Batch as tensors."""

    tokens: Tensor
    present: Tensor
    context: Tensor
    legal: Tensor
    actions: Tensor
    stop: Tensor
    logprob: Tensor
    stop_logprob: Tensor
    teacher: Tensor
    teacher_stop: Tensor

    @staticmethod
    def of(batch: Batch) -> Known:
        return Known(*(torch.from_numpy(getattr(batch, field.name)) for field in fields(Batch)))

    def rows(self, chosen: Tensor) -> Known:
        return Known(*(getattr(self, field.name)[chosen] for field in fields(Known)))

    def __len__(self) -> int:
        return len(self.stop)


@dataclass(frozen=True, eq=False)
class Choices:
    """Of one batch. log_chances (batch, rows, columns): a row for each lever, or one row for all where one lever only
    may change. stop (batch,): logit. value (batch,)."""

    log_chances: Tensor
    stop: Tensor
    value: Tensor
    one_only: bool

    @staticmethod
    def of(network: PolicyNetwork, known: Known, *, one_only: bool) -> Choices:
        logits, stop, value = network(known.tokens, known.present, known.context, known.legal)
        if one_only:
            margins = logits - logits[..., Change.KEEP, None]
            keeps = torch.arange(len(Change)) == Change.KEEP
            margins = margins.masked_fill(keeps, ILLEGAL).flatten(1)
            logits = functional.pad(margins, (0, 1))[:, None]
        return Choices(logits.log_softmax(-1), stop, value, one_only)

    def logprob(self, actions: Tensor) -> Tensor:
        """(batch, rows): of the changes given, (batch, n); of any change where none is known."""
        columns = _only(actions) if self.one_only else actions.clamp(min=0)
        return self.log_chances.gather(-1, columns[..., None])[..., 0]

    def stop_logprob(self, stop: Tensor) -> Tensor:
        return functional.logsigmoid(torch.where(stop, self.stop, -self.stop))

    def entropy(self) -> tuple[Tensor, Tensor]:
        """(batch, rows) of the changes, (batch,) of stopping."""
        chance = self.log_chances.exp()
        changing = -(chance * self.log_chances.clamp(min=-100)).sum(-1)
        ends = self.stop.sigmoid()
        return changing, -(ends * functional.logsigmoid(self.stop) + (1 - ends) * functional.logsigmoid(-self.stop))

    def rows_in(self, known: Known, stopped: Tensor) -> Tensor:
        """(batch, rows) float32: 1 where a row was a choice: of a lever that is there, in a call that was made."""
        goes_on = (~stopped).float()[:, None]
        return goes_on if self.one_only else known.present * goes_on


def _only(actions: Tensor) -> Tensor:
    """(batch, n) changes, one at most not KEEP, to the one column of `learned.choices`, (batch, 1)."""
    moved = actions > Change.KEEP
    lever = moved.float().argmax(1, keepdim=True)
    column = lever * len(Change) + actions.gather(1, lever)
    nothing = torch.full_like(column, actions.shape[1] * len(Change))
    return torch.where(moved.any(1, keepdim=True), column, nothing)
