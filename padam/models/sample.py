"""What a network for text would write: a treat, and no evidence of anything."""

import torch


@torch.no_grad()
def sample(model, vocabulary, words=60, *, start=("the",), temperature=1.0, avoid=("<unk>",), seed=0):
    """A text that the network goes on with, one word drawn after the other from its own probabilities.

    Args:
        model: a network for text, from `padam.models.build`; it is put in eval mode.
        vocabulary: its words, as in `padam.data.Text`.
        words: how many words to draw.
        start: the words that come before; they are read first, and are part of the result.
        temperature: logits are divided by it: below 1 likely words get likelier, towards 0 the likeliest is taken.
        avoid: words that are never drawn.
        seed: of the draws.

    Returns the words as one string, with spaces between them. Raises ValueError for a word that the network does not
    know and for a temperature that is not positive.
    """
    number = {word: index for index, word in enumerate(vocabulary)}
    if unknown := [word for word in start if word not in number]:
        raise ValueError(f"the network does not know {', '.join(map(repr, unknown))}; start= takes words it has read.")
    if not start or temperature <= 0:
        raise ValueError(f"start= needs a word or more and temperature= a positive number, not {start}, {temperature}.")
    generator, device = torch.Generator().manual_seed(seed), next(model.parameters()).device
    barred = [number[word] for word in avoid if word in number]
    model.eval()
    written, state = list(start), None
    tokens = torch.tensor([[number[word]] for word in start], device=device)
    for _ in range(words):
        logits, state = model(tokens, state)
        logits = logits[-1, 0].double().cpu() / temperature
        logits[barred] = -torch.inf
        tokens = torch.multinomial(logits.softmax(0), 1, generator=generator)[None].to(device)
        written.append(vocabulary[tokens.item()])
    return " ".join(written)
