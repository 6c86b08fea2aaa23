"""Networks for text: the next word from the last one, and from all before."""

import warnings
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import embedding

# torch says so of weights that it did not lay out itself; with dropped weights there is no way to.
warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk", UserWarning)


class Bigram(nn.Module):
    """A table: for each word, the logits of the next. Only the rows of words that occur get a gradient."""

    def __init__(self, vocabulary):
        super().__init__()
        self.table = nn.Embedding(vocabulary, vocabulary)
        nn.init.zeros_(self.table.weight)  # every next word equally likely

    def forward(self, tokens, state=None):
        """Tokens (T, N) -> logits (T, N, vocabulary); the state is passed through."""
        return self.table(tokens), state


class Regularisation(NamedTuple):
    """What Merity, Keskar and Socher (2018, arXiv:1708.02182) add to an LSTM in training; all off by default.

    Dropouts, each the share that is dropped: `words` of the vocabulary, wherever they occur in a window (embedding
    dropout); of the `inputs`, of what one layer gives the next (`hidden`) and of the last layer's `output`, the same
    places at all times (locked, or variational, dropout); of the hidden-to-hidden `weights` (weight drop). And two
    penalties on the last layer's output h, added to the loss: `activation` times the mean of the dropped h's squares,
    and `temporal` times the mean square of h's change from one time to the next, not dropped.
    """

    words: float = 0.0
    inputs: float = 0.0
    hidden: float = 0.0
    output: float = 0.0
    weights: float = 0.0
    activation: float = 0.0
    temporal: float = 0.0


class LSTM(nn.Module):
    """Embedding, LSTM layers, and a linear layer that shares the embedding's weights: Merity et al.'s AWD-LSTM.

    All layers but the last have `hidden` units; the last has as many as the embedding, so that the weights can be
    shared. With every `regularisation` off it is torch's LSTM and nothing else.
    """

    def __init__(self, vocabulary, embedding, hidden, layers, regularisation=None):
        super().__init__()
        self.regularisation = regularisation or Regularisation()
        self.embedding = nn.Embedding(vocabulary, embedding)
        sizes = [embedding, *[hidden] * (layers - 1), embedding]
        self.layers = nn.ModuleList(nn.LSTM(inputs, outputs) for inputs, outputs in zip(sizes, sizes[1:], strict=False))
        self.decoder = nn.Linear(embedding, vocabulary)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        self.decoder.weight = self.embedding.weight

    def forward(self, tokens, state=None):
        """Tokens (T, N) and the layers' states -> logits (T, N, vocabulary) and the next states."""
        logits, states, _ = self.penalised(tokens, state)
        return logits, states

    def penalised(self, tokens, state=None):
        """As calling the network, and the penalty (0 outside of training) that the loss is to get."""
        off = self.regularisation if self.training else Regularisation()
        x = locked(embedding(tokens, words_dropped(self.embedding.weight, off.words)), off.inputs)
        states, last = [], len(self.layers) - 1
        for k, (layer, before) in enumerate(zip(self.layers, state or [None] * len(self.layers), strict=True)):
            x, after = run(layer, x, before, off.weights)
            states.append(after)
            if k < last:
                x = locked(x, off.hidden)
        dropped = locked(x, off.output)
        return self.decoder(dropped), states, penalty(x, dropped, off)


class Activity(NamedTuple):
    """What the outputs h and the cells c of an LSTM layer do while it reads.

    `size`: the mean of |h|, 1 where every unit is saturated. `change`: the standard deviation of h from word to word,
    mean over units and columns, 0 where a layer says the same at every word. `cell`: the mean of |c| at the last word.
    """

    size: float
    change: float
    cell: float


@torch.no_grad()
def activity(model, tokens):
    """[Activity, ...], one a layer of an LSTM from `build`, in eval mode, that reads tokens (T, N) in N columns."""
    training = model.training
    model.eval()
    x, found = model.embedding(tokens), []
    for layer in model.layers:
        x, (_, cell) = layer(x)
        found.append(Activity(*(each.item() for each in (x.abs().mean(), x.std(0).mean(), cell.abs().mean()))))
    model.train(training)
    return found


def words_dropped(weight, share):
    """An embedding's weight (V, E) with whole rows set to zero, the others larger in return."""
    if not share:
        return weight
    return weight * (torch.rand(len(weight), 1, device=weight.device) >= share) / (1 - share)


def locked(x, share):
    """(T, N, F) with the same places set to zero at all times T, the others larger in return."""
    if not share:
        return x
    return x * (torch.rand(1, *x.shape[1:], device=x.device) >= share) / (1 - share)


def run(layer, x, state, share):
    """What a one-layer `nn.LSTM` gives for x and a state (None: zeros), a share of its recurrent weights dropped.

    The weights go straight to torch's kernel, cuDNN's on a GPU, which a module with altered weights may fall off.
    """
    if not share:
        return layer(x, state)
    if state is None:
        state = tuple(x.new_zeros(1, x.shape[1], layer.hidden_size) for _ in range(2))
    recurrent = nn.functional.dropout(layer.weight_hh_l0, share)
    weights = [layer.weight_ih_l0, recurrent, layer.bias_ih_l0, layer.bias_hh_l0]
    # biases, layers, dropout between layers, training, bidirectional, batch first
    outputs, h, c = torch.lstm(x, state, weights, True, 1, 0.0, True, False, False)
    return outputs, (h, c)


def penalty(x, dropped, regularisation):
    """Activation and temporal activation regularisation of the last layer's outputs (T, N, F)."""
    total = x.new_zeros(())
    if regularisation.activation:
        total = total + regularisation.activation * dropped.square().mean()
    if regularisation.temporal and len(x) > 1:
        total = total + regularisation.temporal * (x[1:] - x[:-1]).square().mean()
    return total
