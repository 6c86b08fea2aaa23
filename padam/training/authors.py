"""The loop of the authors' script, run_cnn_test_cifar10.py of uclaml/Padam, as far as it differs from the plain one."""

import contextlib

import torch

from padam.training import precision as formats
from padam.training.engine import AUGMENTATION, Trainer

FURTHER = 1 << 40  # added to the seed, so that the further pass draws nothing that training would have drawn


class AuthorsTrainer(Trainer):
    """A `Trainer` of pictures that passes them through the network as often as the authors' script does.

    Each batch passes twice, the second time in the closure that the script's optimizer calls before it steps. After
    each epoch all training pictures pass once more, shuffled and augmented anew, in training mode without updates,
    which gives train_loss_further (nats) and train_error_further (a fraction): what the script calls the training loss.
    The weights are those of the plain loop; batch norm's averages, and so the test error, are not.

    Takes what `Trainer` takes. Raises ValueError for texts and for several processes.
    """

    def __init__(self, model, data, optimizer, *, seed=0, **options):
        super().__init__(model, data, optimizer, seed=seed, **options)
        if not hasattr(self.task, "pictures"):
            raise ValueError("the authors' loop is for pictures; train texts in the plain loop.")
        if self.group.count > 1:
            raise ValueError("several processes train in the plain loop only; start this run without torchrun.")
        # Order and augmentation of the further pass: generators of its own, so that training draws as without it.
        self.further = [torch.Generator().manual_seed(FURTHER + seed + part) for part in (0, AUGMENTATION)]

    def forward_backward(self, batch):
        """As the plain loop's; then the closure's pass, for which there are no gradients."""
        result = super().forward_backward(batch)
        with torch.no_grad(), formats.autocast(self.precision, self.device):
            self.task.loss(self.model, batch)
        return result

    def train_epoch(self):
        """As the plain loop's, and what the further pass gives."""
        return super().train_epoch() | self.further_pass()

    @torch.no_grad()
    def further_pass(self):
        """One more pass over the training set, without updates: its mean loss and error."""
        totals = torch.zeros(3, dtype=torch.float64, device=self.device)
        with contextlib.closing(self.task.batches(*self.further)) as batches:
            for batch in batches:
                with formats.autocast(self.precision, self.device):
                    loss, count, errors = self.task.loss(self.model, batch)
                totals += torch.stack((loss.double() * count, errors.double(), torch.full_like(totals[0], count)))
        loss, wrong, seen = totals.tolist()
        return {"train_loss_further": loss / seen, "train_error_further": wrong / seen}

    def state_dict(self):
        """As the plain loop's, with the generators of the further pass."""
        return super().state_dict() | {"further": [generator.get_state() for generator in self.further]}

    def load_state_dict(self, state):
        """As the plain loop's."""
        super().load_state_dict(state)
        for generator, saved in zip(self.further, state["further"], strict=True):
            generator.set_state(saved)
