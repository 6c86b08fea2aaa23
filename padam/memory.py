"""What fused steps and steps in blocks share: how tensors lie in memory, and the numbers that belong to each."""

import torch

BLOCK = 2**19  # elements; what a rule reads and writes of so many stays in a CPU's cache from pass to pass


def dense(tensor):
    """Whether a tensor lies in memory without gaps, in its own order or with the channels last."""
    return tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))


def laid_out(lists):
    """The lists, every tensor without gaps and in x's order in memory, and [(tensor, its copy), ...] to copy back.

    `lists` are x, g and the slots, beside each other. What lies right is taken as it is; g is never copied back.
    """
    if all(all(map(torch.Tensor.is_contiguous, tensors)) for tensors in lists):
        return lists, []
    laid, back = [list(tensors) for tensors in lists], []
    for place, beside in enumerate(zip(*lists, strict=True)):
        x = beside[0]
        whole = dense(x)
        for kind, tensor in enumerate(beside):
            if whole and tensor.stride() == x.stride():
                continue
            order = x.stride() if whole else torch.empty(x.shape, device="meta").stride()
            copy = torch.empty_strided(x.shape, order, dtype=tensor.dtype, device=tensor.device)
            laid[kind][place] = copy.copy_(tensor)
            if kind != 1:
                back.append((tensor, copy))
    return laid, back


def blocks(lists):
    """The lists beside each other in blocks of about `BLOCK` elements, each with the places of its tensors.

    Large tensors are cut into flat views, small ones are put together. A rule passes over its tensors a dozen times;
    over a block at a time, only the first pass reads from memory.
    """
    sizes, start, held = [tensor.numel() for tensor in lists[0]], 0, 0
    if sum(sizes) <= BLOCK:
        yield lists, range(len(sizes))
        return
    for place, size in enumerate([*sizes, None]):
        large = size is not None and size > BLOCK and _alike([tensors[place] for tensors in lists])
        if held and (size is None or large or held + size > BLOCK):
            yield [tensors[start:place] for tensors in lists], range(start, place)
            start, held = place, 0
        if large:
            for parts in zip(*(_cut(tensors[place]) for tensors in lists), strict=True):
                yield [[part] for part in parts], (place,)
            start = place + 1
        else:
            held += size or 0


def _alike(beside):
    """Whether the tensors lie in memory without gaps, in the same order."""
    return dense(beside[0]) and all(tensor.stride() == beside[0].stride() for tensor in beside)


def _cut(tensor):
    return tensor.as_strided((tensor.numel(),), (1,)).split(BLOCK)


def numbers(lr, h, decoupled, group):
    """What a fused step reads of a tensor: alpha_t, eps_t, what decoupled decay leaves of x, AdaBound's two bounds."""
    lower = upper = 0.0
    if "final_lr" in h:
        lower = h["final_lr"] * (1 - 1 / (group["gamma"] * h["t"] + 1))
        upper = h["final_lr"] * (1 + 1 / (group["gamma"] * h["t"]))
    return [h["lr"], h["eps"], 1 - lr * decoupled, lower, upper]
