"""Networks for text: the next word from the last one, and from all before."""

from torch import nn


class Bigram(nn.Module):
    """A table: for each word, the logits of the next. Only the rows of words that occur get a gradient."""

    def __init__(self, vocabulary):
        super().__init__()
        self.table = nn.Embedding(vocabulary, vocabulary)
        nn.init.zeros_(self.table.weight)  # every next word equally likely

    def forward(self, tokens, state=None):
        """Tokens (T, N) -> logits (T, N, vocabulary); the state is passed through."""
        return self.table(tokens), state


class LSTM(nn.Module):
    """Embedding, LSTM layers, and a linear layer that shares the embedding's weights.

    All layers but the last have `hidden` units; the last has as many as the embedding, so that the weights can be
    shared (Merity et al., 2018, whose regularisation this network has none of).
    """

    def __init__(self, vocabulary, embedding, hidden, layers):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        sizes = [embedding, *[hidden] * (layers - 1), embedding]
        self.layers = nn.ModuleList(nn.LSTM(inputs, outputs) for inputs, outputs in zip(sizes, sizes[1:], strict=False))
        self.decoder = nn.Linear(embedding, vocabulary)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        self.decoder.weight = self.embedding.weight

    def forward(self, tokens, state=None):
        """Tokens (T, N) and the layers' states -> logits (T, N, vocabulary) and the next states."""
        x, states = self.embedding(tokens), []
        for layer, before in zip(self.layers, state or [None] * len(self.layers), strict=True):
            x, after = layer(x, before)
            states.append(after)
        return self.decoder(x), states
