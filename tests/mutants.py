"""Named mistakes, each a text replacement in the package, and the tests that must notice them.

A mutant that no test fails on is a missing test. `make mutants` runs them all, and so does a workflow once a week;
`make test` has time for those that are marked `in_make_test`.
"""

import argparse
import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import warm

ROOT = Path(__file__).resolve().parent.parent


class Mutant(NamedTuple):
    """`old` occurs exactly once in padam/`file`; replaced by `new`, one of `tests` fails: files, or single tests.

    `in_make_test`: `make test` runs it, too, for its family: one mistake of each kind, noticed within seconds.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple
    in_make_test: bool = False


# The tests that judge a file: quick ones first, for a mutant dies at the first failure.
RULES = ("tests/test_formulas.py", "tests/test_identities.py", "tests/test_oracles.py")
TORCH = ("tests/test_agreement.py", "tests/test_contract.py")
CPU = ("tests/test_fused_cpu.py",)
KERNEL = ("tests/test_fused_triton.py",)
ATTACKS = ("tests/test_attacks.py",)
SHARDS = ("tests/test_shards.py",)
SHELL = ("tests/test_reference.py", "tests/test_formulas.py", "tests/test_identities.py")
TRAINING = ("tests/test_training.py",)
RESUME = ("tests/test_resume.py",)
STUDIES = ("tests/test_studies.py",)
DIAL = ("tests/test_dial.py",)
DECAY = ("tests/test_decay_factor.py",)
WHOLE = ("tests/test_whole.py",)
FETCH = ("tests/test_ptb.py",)
PROVENANCE = ("tests/test_provenance.py",)
RUNNING = ("tests/test_running.py",)
AUTHORS = ("tests/test_authors_loop.py",)
TEXT = ("tests/test_text.py",)
CLAIMS = ("tests/test_claims.py",)
PACKING = ("tests/test_packing.py",)
RESIZED = ("tests/test_boxes.py",)
LARGE = ("tests/test_large_models.py",)
IMAGENET = ("tests/test_imagenet.py",)
STREAMING = ("tests/test_prefetch.py",)
DISTRIBUTED = ("tests/test_workers.py",)
SAMPLE = ("tests/test_sample.py",)
TEXT_CLAIMS = ("tests/test_text_claims.py",)
RESULTS = ("tests/test_results.py", "tests/test_claims.py")
_PADAM = "    return h.lr * m / (sqrt(v_hat) + h.eps) ** (2 * h.p), State(m=m, v=v, v_hat=v_hat)"

LOOP, FOREACH, BASE, OPTIM = "optim/loop.py", "optim/foreach.py", "optim/base.py", "optim/__init__.py"
FUSED, CPU_PY, C, TRITON = (f"optim/fused/{name}" for name in ("__init__.py", "cpu.py", "cpu.c", "triton.py"))

MUTANTS = (
    # --- rules.py
    Mutant("padam without the maximum", "rules.py", _PADAM, _PADAM.replace("sqrt(v_hat)", "sqrt(v)"), RULES, in_make_test=True),
    Mutant("padam with p for 2p", "rules.py", _PADAM, _PADAM.replace("2 * h.p", "h.p"), RULES, in_make_test=True),
    Mutant(
        "padam with eps inside the root", "rules.py", _PADAM, _PADAM.replace("(sqrt(v_hat) + h.eps)", "sqrt(v_hat + h.eps)"), RULES, in_make_test=True
    ),
    Mutant("padam with eps outside the power", "rules.py", _PADAM,
           _PADAM.replace("(sqrt(v_hat) + h.eps) ** (2 * h.p)", "(sqrt(v_hat) ** (2 * h.p) + h.eps)"), RULES),
    Mutant("yogi's sign", "rules.py", "v = s.v - (1 - h.beta2) * sign", "v = s.v + (1 - h.beta2) * sign", RULES, in_make_test=True),
    Mutant("adabound unclipped above", "rules.py", "minimum(maximum(h.lr / (sqrt(v) + h.eps), lower), upper) * m",
           "maximum(h.lr / (sqrt(v) + h.eps), lower) * m", RULES, in_make_test=True),
    Mutant("adabound unclipped below", "rules.py", "minimum(maximum(h.lr / (sqrt(v) + h.eps), lower), upper) * m",
           "minimum(h.lr / (sqrt(v) + h.eps), upper) * m", RULES),
    Mutant("adabound's lower bound one step late", "rules.py", "(1 - 1 / (h.gamma * h.t + 1))",
           "(1 - 1 / (h.gamma * h.t + 2))", RULES),
    Mutant("sgdm averages", "rules.py", "m = h.momentum * s.m + g ", "m = h.momentum * s.m + (1 - h.momentum) * g ", RULES),
    Mutant("adagrad forgets its square", "rules.py", "def adagrad(g, s, h):\n    v = s.v + g**2", "def adagrad(g, s, h):\n    v = s.v + g", RULES),
    Mutant("adagrad's mean over t + 1", "rules.py", "(g**2 - s.v) / h.t", "(g**2 - s.v) / (h.t + 1)", RULES),
    Mutant("adadelta averages g for d", "rules.py", "d = sqrt((s.u + h.eps) / (v + h.eps)) * g  # d_t, in the units of x\n    u = h.beta2 * s.u + (1 - h.beta2) * d**2",
           "d = sqrt((s.u + h.eps) / (v + h.eps)) * g  # d_t, in the units of x\n    u = h.beta2 * s.u + (1 - h.beta2) * g**2", RULES),
    Mutant("adamax uncorrected", "rules.py", "return h.lr / h.c1 * m / u, State", "return h.lr * m / u, State", RULES),
    Mutant("nadam looks no step ahead", "rules.py", "mu_next = h.beta1 * (1 - 0.5 * 0.96 ** (h.momentum_decay * (h.t + 1)))",
           "mu_next = h.beta1 * (1 - 0.5 * 0.96 ** (h.momentum_decay * h.t))", RULES),
    Mutant("amsgrad's maximum forgets", "rules.py", "return h.lr * m / (sqrt(v_hat) + h.eps), State(m=m, v=v, v_hat=v_hat)",
           "return h.lr * m / (sqrt(v_hat) + h.eps), State(m=m, v=v, v_hat=v)", RULES),
    # --- reference.py
    Mutant("t from 0", "reference.py", ") + 1):\n        raw = rate(t)", ") + 1):\n        t -= 1\n        raw = rate(t)", SHELL, in_make_test=True),
    Mutant("betas swapped in the correction", "reference.py", "c1, c2 = one_minus_power(beta1, t), one_minus_power(beta2, t)\n    if correction",
           "c1, c2 = one_minus_power(beta2, t), one_minus_power(beta1, t)\n    if correction", SHELL, in_make_test=True),
    Mutant("correction ignored", "reference.py", 'if correction == "none":', "if correction:", SHELL, in_make_test=True),
    Mutant("exact correction with the folded factor", "reference.py", "lr * c2**p / c1", "lr * c2**0.5 / c1", SHELL),
    Mutant("exact correction leaves eps", "reference.py", "lr * c2**p / c1, eps * math.sqrt(c2)", "lr * c2**p / c1, eps", SHELL),
    Mutant("c by plain subtraction", "reference.py", "-math.expm1(t * math.log(beta))", "1 - beta**t", SHELL),
    Mutant("l2 and decoupled exchanged", "reference.py", 'if full["decay"] == "l2":', 'if full["decay"] != "l2":', SHELL, in_make_test=True),
    Mutant("decoupled decay at the corrected rate", "reference.py", 'x = x * (1 - raw *', 'x = x * (1 - alpha *', SHELL + ("tests/test_oracles.py",)),
    Mutant("final_lr without the schedule", "reference.py", '* raw / base if base else 0.0', "", SHELL),
    Mutant("projection forgotten", "reference.py", "if project is not None:", "if project is not None and False:", SHELL),
    # --- schedules.py
    Mutant("decay one epoch early", "schedules.py", "bisect_left(milestones, epoch)", "bisect_left(milestones, epoch + 1)", ("tests/test_schedules.py",), in_make_test=True),
    Mutant("decay forgets earlier milestones", "schedules.py", "gamma ** bisect_left(milestones, epoch)",
           "gamma ** min(1, bisect_left(milestones, epoch))", ("tests/test_schedules.py",)),
    Mutant("milestones unchecked", "schedules.py", "or any(a >= b", "or any(a > b + 1000", ("tests/test_schedules.py",)),
    # --- optim/loop.py
    Mutant("loop: padam without the maximum", LOOP, "x.sub_(s.m / _power(s.v_hat.sqrt() + h.eps, 2 * h.p) * h.lr)",
           "x.sub_(s.m / _power(s.v.sqrt() + h.eps, 2 * h.p) * h.lr)", TORCH, in_make_test=True),
    Mutant("loop: one root too many", LOOP, "for _ in range(ROOTS[exponent]):", "for _ in range(ROOTS[exponent] + 1):", TORCH),
    Mutant("loop: yogi's sign", LOOP, "s.v.sub_((s.v - g**2).sign()", "s.v.add_((s.v - g**2).sign()", TORCH),
    Mutant("loop: adabound unclipped", LOOP, "rate.clamp_(lower, upper)", "rate", TORCH),
    Mutant("loop: adadelta's eps outside", LOOP, "_power((s.u + h.eps) / (s.v + h.eps), h.p)", "_power(s.u / s.v.add(h.eps), h.p)", TORCH),
    Mutant("loop: betas swapped", LOOP, 'options["beta1"], options["beta2"] = group', 'options["beta2"], options["beta1"] = group', TORCH),
    Mutant("loop: decoupled decay ignored", LOOP, "x.mul_(h.shrink)", "pass", TORCH),
    Mutant("loop: maximize ignored", LOOP, "            g = -g\n", "            g = +g\n", TORCH[1:]),
    Mutant("loop: 16-bit numbers stepped as they are", LOOP, "if param.dtype in HALF else (param, g)", "if False else (param, g)", TORCH[1:]),
    # --- optim/foreach.py
    Mutant("foreach: padam with p for 2p", FOREACH, "_denominator(s.v_hat, h.eps, 2 * h.p)", "_denominator(s.v_hat, h.eps, h.p)", TORCH, in_make_test=True),
    Mutant("foreach: maximum of the wrong two", FOREACH,
           "torch._foreach_maximum_(s.v_hat, s.v)\n    _descend(x, s.m, _denominator(s.v_hat, h.eps, 2 * h.p), h.lr)",
           "torch._foreach_maximum_(s.v, s.v_hat)\n    _descend(x, s.m, _denominator(s.v_hat, h.eps, 2 * h.p), h.lr)", TORCH),
    Mutant("foreach: one eps for all", FOREACH, "if same else eps)", "if True else eps)", TORCH[1:]),
    Mutant("foreach: averages forget the new", FOREACH, "torch._foreach_lerp_(mean, new, 1 - beta)", "torch._foreach_lerp_(mean, new, beta)", TORCH),
    Mutant("foreach: adamax uncorrected", FOREACH, "rate = [lr / c1 for lr, c1", "rate = [lr for lr, c1", TORCH),
    Mutant("foreach: adabound's bounds exchanged", FOREACH, "torch._foreach_maximum_(rate, [final * (1 - ", "torch._foreach_minimum_(rate, [final * (1 - ", TORCH),
    Mutant("foreach: maximize ignored", FOREACH, "g = torch._foreach_neg(g)", "pass", TORCH[1:]),
    Mutant("foreach: a block takes its neighbor's step counts", FOREACH, "[values[i] for i in indices]", "[values[0] for i in indices]", TORCH[1:]),
    Mutant("foreach: a block's tensors lose their places", FOREACH, "for tensors in lists], range(start, i)", "for tensors in lists], range(i - start)", TORCH[1:]),
    Mutant("foreach: gaps are updated, too", FOREACH, "return is_dense(x) and all(", "return True or all(", TORCH[1:]),
    Mutant("foreach: layouts are mixed", FOREACH, "return is_dense(x) and all(", "return is_dense(x) or all(", TORCH[1:]),
    Mutant("foreach: tensors of any class are cut", FOREACH, "type(t) in PLAIN and not", "not", ATTACKS),
    Mutant("foreach: nothing is cut", FOREACH, "size > BLOCK and _can_be_cut(", "size > 2**60 and _can_be_cut(", TORCH[1:]),
    Mutant("foreach: scalars are kept between steps", FOREACH, 'return torch.tensor(number, dtype=like.dtype, device="cpu")', 'return globals().setdefault("_kept", {}).setdefault((number, like.dtype), torch.tensor(number, dtype=like.dtype, device="cpu"))', ATTACKS),
    # --- optim/fused/cpu.c
    Mutant("cpu: the end of a tensor is cut off", C, "numel - begin < j->chunk_size ? numel - begin : j->chunk_size", "numel - begin < j->chunk_size ? (numel - begin) / 8 * 8 : j->chunk_size", CPU),
    Mutant("cpu: v for v_hat", C, "v_hat[i] = v_hat[i] >= v[i] ? v_hat[i] : v[i];", "v_hat[i] = v[i];", CPU, in_make_test=True),
    Mutant("cpu: NaN is the smaller one", C, "v_hat[i] >= v[i] ? v_hat[i] : v[i]", "v[i] > v_hat[i] ? v[i] : v_hat[i]", CPU),
    Mutant("cpu: a sign for what is equal", C, "((excess > 0) - (excess < 0))", "(excess > 0 ? 1 : -1)", CPU),
    Mutant("cpu: unclipped", C, "rate = rate > upper ? upper : rate;", "", CPU),
    Mutant("cpu: everyone takes every chunk", C, "if (here++ != mine) continue;", "here++;", CPU),
    Mutant("cpu: helpers flush as they like", C, "    SET_MODE(j->mode);\n", "", CPU),
    Mutant("cpu: threads of its own beside OpenMP's", C, "if (threads > 1 && parallel) {", "if (0) {", CPU),
    Mutant("cpu: chunks of a size, steps of another", C, "begin += j->chunk_size", "begin += MAX_CHUNK", CPU),
    Mutant("cpu: as many threads as torch has", CPU_PY, "min(torch.get_num_threads(), _MAX_THREADS)", "torch.get_num_threads()", CPU),
    # --- optim/fused/cpu.py
    Mutant("cpu: rows of the first tensor for all", CPU_PY, "len(scalars) > 1,\n", "False,\n", CPU),
    Mutant("cpu: a fork keeps the threads of its parent", CPU_PY, "_openmp = lambda: None  # noqa: E731", "_openmp = _openmp", CPU),
    Mutant("cpu: as eager to start threads as to use those that are there", CPU_PY, "(_MIN_NUMEL_OPENMP if openmp else _MIN_NUMEL_PTHREADS)", "_MIN_NUMEL_OPENMP", CPU),
    Mutant("cpu: helpers for small networks", CPU_PY, "_MAX_THREADS) if several else 1", "_MAX_THREADS)", CPU),
    Mutant("cpu: gradients stay where they were", CPU_PY, 'table[num_tensors : 2 * num_tensors] = array("q", pointers.rows[1])', "pass", CPU),
    Mutant("cpu: CC is one word", CPU_PY, 'shlex.split(os.environ.get("CC", ""))', '[os.environ["CC"]] if os.environ.get("CC") else []', ATTACKS),
    Mutant("cpu: a compiler's words must be UTF-8", CPU_PY, 'decode(errors="replace")', "decode()", ATTACKS),
    Mutant("cpu: a compiler that says nothing", CPU_PY, 'exit status {ended.returncode}: {said or', '{said or', ATTACKS),
    Mutant("cpu: a step counts twice", CPU_PY, "        t if counted else 0.0,", "        t + 1 if counted else 0.0,", CPU),
    # --- optim/fused/__init__.py
    Mutant("fused: layouts are mixed", FUSED, "if not is_dense(tensor) or not same_order(tensor, like):", "if not is_dense(tensor):", CPU),
    Mutant("fused: gaps are stepped", FUSED, "if not is_dense(tensor) or not same_order(tensor, like):", "if not same_order(tensor, like):", CPU),
    Mutant("fused: copies are not copied back", FUSED, "            if changes:\n", "            if False:\n", CPU),
    Mutant("fused: gradients are copied back", FUSED, "            if changes:\n", "            if True:\n", ATTACKS),
    Mutant("fused: pointers with copies are used again", FUSED, "None if self._copies else _guards", "_guards", (*CPU, *ATTACKS)),
    Mutant("fused: pointers are used again whatever the key", FUSED, "if not self._guards.check(*everything):", "if False:", (*CPU, *ATTACKS)),
    Mutant("fused: the key has no gradients", FUSED, "return [*tensors.x, *tensors.g, *chain", "return [*tensors.x, *tensors.x, *chain", (*CPU, *ATTACKS)),
    Mutant("fused: the key has no step counts", FUSED, "*chain(*_states(tensors)), *tensors.steps]", "*chain(*_states(tensors))]", (*CPU, *ATTACKS)),
    Mutant("fused: the key has no addresses", FUSED, "if addresses != self._fixed:", "if False:", (*CPU, *ATTACKS)),
    Mutant("fused: a gradient may lie nowhere", FUSED, "if 0 in gradients and not all(", "if False and not all(", ATTACKS),
    Mutant("fused: a key of fewer tensors", FUSED, " or len(tensors.x) != len(self.sizes)", "", CPU),
    Mutant("fused: numbers of elements for shapes", FUSED, "if tensor.shape != param.shape or", "if tensor.numel() != param.numel() or", ATTACKS),
    Mutant("fused: a state of another dtype is taken", FUSED, " or tensor.dtype != dtype", "", CPU),
    Mutant("fused: what has no memory is taken", FUSED, "if tensor.numel() and not zeros and _ADDRESS(tensor) == 0:", "if False:", ATTACKS),
    Mutant("fused: tensors of any class are taken", FUSED, "if type(tensor) not in PLAIN}:", "if False}:", CPU),
    Mutant("fused: negative views are taken as they lie", FOREACH, "if tensor.is_neg() or tensor", "if tensor", (*CPU, *ATTACKS)),
    Mutant("fused: zero tensors are taken as they lie", FOREACH, "tensor.is_neg() or tensor._is_zerotensor()", "tensor.is_neg()", ATTACKS),
    Mutant("fused: step counts of any kind are counted", FUSED, "if on_cpu and tensors.steps else None", "if tensors.steps else None", CPU),
    Mutant("fused: decay of the wrong kind", FUSED, 'if group["decay"] == "l2" else 0.0', "", CPU),
    # --- optim/fused/triton.py
    Mutant("triton: one element too many", TRITON, "at < numel,\n                own,", "at <= numel,\n                own,", KERNEL),
    Mutant("triton: m and v exchanged", TRITON, "v_at, v_hat_at = tl.load(row + 3 * tensors)", "v_at, v_hat_at = tl.load(row + 2 * tensors)", KERNEL),
    Mutant("triton: maximum skipped", TRITON, "v_hat = tl.where(v_hat >= v, v_hat, v)", "v_hat = v", KERNEL, in_make_test=True),
    Mutant("triton: scale ignored", TRITON, "unscale = 1.0 / tl.load(scale)", "unscale = 1.0", KERNEL),
    Mutant("triton: infinite gradients ignored", TRITON, "numel = tl.where(tl.load(found_inf) == 0, numel, 0)", "numel = numel", KERNEL),
    Mutant("triton: always aligned", TRITON, "int(all(at % 16 == 0 for at in addresses))", "1", KERNEL),
    Mutant("triton: the table is as it was", TRITON, 'if kept.get("gradients") != pointers.rows[1]:', 'if "table" not in kept:', KERNEL),
    Mutant("triton: what a graph uploads is there at once", TRITON, "    if fused.is_captured(device):  # what is", "    if False:  # what is", KERNEL),
    Mutant("triton: a graph's table goes", TRITON, 'kept.setdefault("captured", []).append(uploads)', "pass", KERNEL),
    Mutant("triton: a sign for what is equal", TRITON, "tl.where(excess > 0, one_minus_beta2, tl.where(excess < 0, -one_minus_beta2, 0.0))", "tl.where(excess > 0, one_minus_beta2, -one_minus_beta2)", KERNEL),
    Mutant("triton: numbers are contracted", TRITON, "enable_fp_fusion=False", "enable_fp_fusion=True", KERNEL),
    Mutant("triton: the neighbor's program", TRITON, "found = tl.load(first + middle) <= program", "found = tl.load(first + middle) < program", KERNEL),
    Mutant("triton: read after written", TRITON, "        m = tl.load(m_at, inside).to(tl.float32)\n        v = ", "        tl.store(x_at, x, inside)\n        m = tl.load(m_at, inside).to(tl.float32)\n        v = ", KERNEL),
    # --- optim/base.py
    Mutant("base: a step counts before it can be taken", BASE, "        pointers_of = [None] * len(work) if compiling", "        [_count(tensors.steps, 1.0, None) for _, tensors in work]\n        pointers_of = [None] * len(work) if compiling", CPU),
    Mutant("base: a graph from before goes unnoticed", BASE, "torch.autograd.graph.increment_version(tensors.x)", "pass", CPU),
    Mutant("base: a layout for good", BASE, "elif pointers is None or not pointers.rebind(tensors):", "elif pointers is None:", (*CPU, *ATTACKS)),
    Mutant("base: nothing is known", BASE, "pointers if pointers and pointers.reusable else None", "None", CPU),
    Mutant("base: layouts with copies are kept", BASE, "pointers if pointers and pointers.reusable else None", "pointers", ATTACKS),
    Mutant("base: a stale step count", BASE, "torch.stack(steps).double() + 1)", "torch.stack(steps).double())", (*TORCH[1:], *KERNEL)),
    Mutant("base: what is left out counts", BASE, "else (found_inf == 0).float()", "else (found_inf == found_inf).float()", KERNEL),
    Mutant("base: scalers are for every form", BASE, "        if not all(pointers and fused.counts_on_device(pointers.device) for pointers in pointers_of):\n", "        if False:\n", ATTACKS),
    Mutant("base: a graph is captured unasked", BASE, "        _check_capture(self)\n", "", ATTACKS),
    Mutant("base: a graph's layout goes", BASE, "if fused.is_captured(pointers.device):", "if False:", KERNEL),
    Mutant("base: step counts twice", BASE, "steps[0].fill_(t)", "steps[0].fill_(t + 1)", TORCH, in_make_test=True),
    Mutant("base: one step count for all", BASE, "if counts.count(counts[0]) == len(counts):", "if True:", TORCH),
    Mutant("base: exact leaves eps", BASE, "/ c1, eps * c2**0.5", "/ c1, eps", TORCH),
    Mutant("base: folded without its root", BASE, "alpha = alpha * c2**0.5 / c1", "alpha = alpha * c2 / c1", TORCH),
    Mutant("base: adabound's bounds stay where they were", BASE, 'group["final_lr"] * lr / base_lr if base_lr', 'group["final_lr"] if base_lr', ATTACKS),
    Mutant("base: 16-bit states are rounded when loaded", BASE, "            if param.dtype in HALF:\n                for key", "            if False:\n                for key", TORCH[1:]),
    Mutant("base: 16-bit states are the dict's", BASE, "value.to(param.device, torch.float32, copy=True)", "value.to(param.device, torch.float32)", (*TORCH[1:], *ATTACKS)),
    Mutant("base: a loaded dict is aliased", BASE, "= value.clone()", "= value", TORCH[1:]),
    Mutant("base: missing options take defaults", BASE, "if name not in group or name in of_the_machine}", "if name in of_the_machine}", TORCH[1:]),
    Mutant("base: a state of another shape is loaded", BASE, "if (shape := getattr(state[key], \"shape\", None)) != param.shape:", "if shape := None:", ATTACKS),
    Mutant("base: groups unchecked", BASE, "options = self._checked({k: v for k, v in (self.defaults | param_group).items() if k != \"params\"})", "options = self.defaults | param_group", TORCH[1:]),
    Mutant("base: changes unchecked", BASE, "            self._check_changes()\n", "            pass\n", ATTACKS),
    Mutant("base: DTensors go as they are", BASE, "if any(type(param) not in PLAIN for param in params):", "if False:", SHARDS),
    Mutant("base: gradients keep their placement", BASE, "grad = grad.redistribute(placements=param.placements)", "pass", SHARDS),
    Mutant("base: text is a number", "catalog.py", 'float("text" if isinstance(value, str | bytes) else value)', "float(value)", ATTACKS),
    Mutant("base: options of other classes count", BASE, "return {name: group[name] for name in self._options}", "return dict(group)", ATTACKS),
    Mutant("base: options of other classes stay", BASE, "for name in _foreign_options() & group.keys() - self._options.keys():\n                del", "for name in ():\n                del", ATTACKS),
    Mutant("base: any word is a flag", BASE, "if flags and not any(", "if False and not any(", ATTACKS),
    Mutant("fused: dense is one order", FOREACH, "            if stride != expected:\n", "            if True:\n", ATTACKS),
    Mutant("fused: gaps between numbers are dense", FOREACH, "            if stride != expected:\n", "            if False:\n", (*CPU, *TORCH[1:])),
    Mutant("fused: expanded tensors are taken", FUSED, "size > 1 and stride == 0 for", "False for", ATTACKS),
    Mutant("optim: base_lr forgotten", OPTIM, 'group.setdefault("base_lr", float(group["lr"]))', 'group.setdefault("base_lr", 1.0)', TORCH),
    Mutant("optim: base_lr from the default", OPTIM, 'group.setdefault("base_lr", float(group["lr"]))', 'group.setdefault("base_lr", float(self.defaults["lr"]))', ATTACKS),
    Mutant("optim: base_lr stays 0", OPTIM, 'if not group.get("base_lr"):', "if False:", ATTACKS),
    Mutant("training: test set seen in training mode", "training/engine.py", "        self.model.eval()\n", "", TRAINING),
    Mutant("training: batches never shuffled", "training/tasks.py", "torch.randperm(len(self.labels), generator=order)",
           "torch.arange(len(self.labels))", TRAINING),
    Mutant("training: last batch dropped", "training/tasks.py", "        for some in pieces:\n", "        for some in pieces[:-1]:\n", TRAINING),
    Mutant("training: targets not shifted", "training/tasks.py", "yield grid[begin:end], grid[begin + 1 : end + 1]", "yield grid[begin:end], grid[begin:end]", TRAINING),
    Mutant("training: state forgotten between windows", "training/tasks.py", "self.state = _detached(state)", "self.state = None", TEXT),
    Mutant("training: divergence unnoticed", "training/loop.py", 'status = "diverged"', "pass", TRAINING, in_make_test=True),
    Mutant("resume: the shuffle starts over", "training/engine.py", '        self.order.set_state(state["order"])\n', "", RESUME),
    Mutant("resume: the crops start over", "training/engine.py", '        self.augmentation.set_state(state["augmentation"])\n', "", RESUME),
    Mutant("resume: moments forgotten", "training/engine.py", '        self.optimizer.load_state_dict(state["optimizer"])\n', "", ("tests/test_resume.py::test_crops_go_on_where_they_were", *RESUME), in_make_test=True),
    Mutant("resume: changed recipe unnoticed", "training/run.py", "if differs := _differences(old, new):", "if False:", RESUME),
    Mutant("resume: an epoch begun that has no time left", "training/run.py", "spent + 1.1 * last > budget", "spent > budget", RESUME),
    Mutant("checkpoint: damage unnoticed", "training/checkpoint.py", "if _digest(raw) == _NAME.fullmatch(path.name)[2] else", "if True else", RESUME),
    Mutant("checkpoint: begun again the second time", "training/checkpoint.py", 'if any(Path(folder).glob("epoch-*.damaged")):', "if False:", RESUME),
    Mutant("checkpoint: keys unlooked at", "training/checkpoint.py", "            if not isinstance(part, dict) or name not in part:\n", "            if False:\n", RESUME),
    Mutant("a second signal stops anywhere", "training/signals.py", "if self.asked and self._interruptible:", "if self.asked:", RESUME),
    Mutant("a second signal stops nowhere", "training/run.py", "with signals.interruptible():", "if True:", RESUME),
    Mutant("another number of threads unsaid", "training/run.py", 'if threads != saved["threads"] and self.trainer.device.type == "cpu":', "if False:", RESUME),
    Mutant("a word about threads on a GPU", "training/run.py", ' and self.trainer.device.type == "cpu":\n            warnings', ":\n            warnings", RESUME),
    Mutant("threads listed once", "training/run.py", "used = used + [threads] * (threads != used[-1])", "used = [threads]", RESUME),
    Mutant("new memory is filled", "training/device.py", "fill_uninitialized_memory = False", "fill_uninitialized_memory = True", RESUME),
    Mutant("memory is not filled again", "training/device.py", "        torch.utils.deterministic.fill_uninitialized_memory = filled\n", "", RESUME),
    Mutant("every card's generator", "training/device.py", 'torch.random.fork_rng([device] if device.type == "cuda" else [])', "torch.random.fork_rng(None)", RESUME),
    Mutant("a card that is not the current one", "training/run.py", "with on_card(device), workers", "with workers", RESUME),
    Mutant("texts in half precision", "training/precision.py", "        if text:\n", "        if False:\n", RESUME),
    Mutant("a text is not known as one", "training/run.py", "isinstance(data, datasets.Text)))", "False))", RESUME),
    Mutant("TF32 unsaid", "training/run.py", 'if self.trainer.device.type == "cuda" else {}', "if False else {}", RESUME),
    Mutant("checkpoint: one kept", "training/checkpoint.py", "KEPT = 2", "KEPT = 1", RESUME),
    Mutant("checkpoint: a record overwritten", "files.py", "        os.link(part, path)\n", "        os.replace(part, path)\n", RESUME),
    Mutant("a lock is ignored", "files.py", "            if not wait:\n                raise Busy(told) from None", "            return", (*PACKING, *RESUME)),
    Mutant("a lock that outlives its process", "files.py", "filelock.FileLock(path, fallback_to_soft=False)", "filelock.SoftFileLock(path)", RESUME),
    Mutant("what cannot be locked is an error", "files.py", "    except (OSError, NotImplementedError):\n        warnings.warn(", "    except ZeroDivisionError:\n        warnings.warn(", RESUME),
    Mutant("nobody is named", "files.py", "path.write_text(f", "str(f", (*PACKING, *RESUME)),
    Mutant("nothing is ever held", "files.py", "    except filelock.Timeout:\n        return True\n", "    except filelock.Timeout:\n        return False\n", RESUME),
    Mutant("records: an old file is anybody's", "records/__init__.py", 'if (kept["id"], kept["profile"]) == (recipe.id, recipe.profile):', "if True:", ("tests/test_records.py",)),
    Mutant("records: old files are forgotten", "records/__init__.py", "if old.exists():", "if False:", ("tests/test_records.py",)),
    Mutant("records: recipe unchecked", "records/check.py", "if kept.get(key) != value:", "if False:", ("tests/test_records.py",), in_make_test=True),
    Mutant("augment: rows and columns swapped", "training/augment.py", "rows[:, :, None], columns[:, None, :]", "columns[:, :, None], rows[:, None, :]", ("tests/test_augment.py",)),
    Mutant("recipes: adam's beta2 0.999", "recipes/section5.py", "((0.9, 0.99), PAPER)", "((0.9, 0.999), PAPER)", ("tests/test_recipes.py",), in_make_test=True),
    Mutant("models: wrn drawn by fan in", "models/resnet.py", "layer.out_channels)))", "layer.in_channels)))", ("tests/test_models.py",)),
    Mutant("data: test digits among the training digits", "data/embedded.py", "test = pixels[:, cut:]", "test = pixels[:, :100]", TRAINING),
    Mutant("plots: errors as fractions under a percent sign", "plots/lines.py", 'values *= 100 if key.endswith("error") else 1', "", ("tests/test_plots.py",), in_make_test=True),
    Mutant("plots: alternative text of the first epoch", "plots/lines.py", "np.mean([history[key][-1] for", "np.mean([history[key][0] for", ("tests/test_plots.py",)),
    Mutant("show: formulas lose a line", "show.py", "for line in lines)\n    return \"\\\\begin", "for line in lines[1:])\n    return \"\\\\begin", ("tests/test_show.py",), in_make_test=True),
    Mutant("optim: yogi starts at zero", OPTIM, "initial_accumulator: float = 1e-6,", "initial_accumulator: float = 0.0,", ("tests/test_catalog.py", *TORCH)),
    Mutant("optim: padam folded by default", OPTIM, 'p: float = 1 / 8,\n        decay: Literal["l2", "decoupled"] = "l2",\n        correction: Literal["none", "folded", "exact"] = "none"', 'p: float = 1 / 8,\n        decay: Literal["l2", "decoupled"] = "l2",\n        correction: Literal["none", "folded", "exact"] = "folded"', ("tests/test_catalog.py", *TORCH)),
    # --- problems.py, studies/
    Mutant("wilson: everybody's own features", "problems.py", "X[i, 3 + 5 * i : 3 + 5 * i + (1 if label > 0 else 5)] = 1",
           "X[i, 3 : 3 + (1 if label > 0 else 5)] = 1", ("tests/test_problems.py",)),
    Mutant("reddi: the large slope every time", "problems.py", "large if t % period == 1 else small", "large if t % period else small",
           ("tests/test_problems.py",)),
    Mutant("studies: a run is not kept", "studies/measuring.py", "        files.write(target, records.dumps(kept).encode(), exclusive=True)\n", "",
           STUDIES),
    Mutant("studies: ctrl-c is not heard between runs", "studies/measuring.py", "            if run.due():\n", "            if False:\n", STUDIES),
    Mutant("studies: ctrl-c is not heard between epochs", "studies/study.py", "if self.signals.asked:", "if False:", STUDIES),
    Mutant("studies: nothing is saved at a stop", "studies/study.py", "if run.folder and trainer.epoch > kept:", "if False:", STUDIES),
    Mutant("studies: a failed run is begun again and again", "studies/measuring.py", "else left[:1]))", "else ()))", STUDIES),
    Mutant("studies: a failed run takes its group along", "studies/measuring.py", "left if outcome.status == running.BUSY else left[:1]", "left", STUDIES),
    Mutant("studies: other settings go on", "studies/store.py", 'if (run.get("study"), run.get("fixed")) != (study.name, fixed):', "if False:", STUDIES),
    Mutant("studies: two at one run", "studies/measuring.py", "    with checkpoint.locked(run.folder):\n", "    if True:\n", STUDIES),
    Mutant("cost: evaluation is free", "training/cost.py", "train * trained + evaluate * (size.held_out + recipe.holdout + size.test)", "train * trained", ("tests/test_cost.py",)),
    Mutant("cost: of one step of a text", "training/cost.py", "_WORDS = 70", "_WORDS = 1", ("tests/test_cost.py",)),
    Mutant("plan: another network's speed", "running/cells.py", 'for name in ("dataset", "model", "train_size")', 'for name in ("dataset", "train_size")', ("tests/test_running.py",)),
    Mutant("runner: what follows is asked for too early", "running/local.py", "if not (self.todo or self.at_work or self.ending or self.complete):", "if not (self.todo or self.ending or self.complete):", RUNNING),
    Mutant("runner: something follows a stop", "running/local.py", "if not (self.todo or self.at_work or self.ending or self.complete):", "if not (self.todo or self.at_work or self.complete):", RUNNING),
    Mutant("runner: killed, it leaves its runs to themselves", "running/local.py", "    os.kill(os.getpid(), signal.SIGINT)\n", "", STUDIES),
    Mutant("runner: SIGHUP is caught though it was ignored", "running/local.py", "if signal.getsignal(number) != signal.SIG_IGN]", "if True]", RUNNING),
    Mutant("studies: every run says its device", "studies/store.py", "if len(devices) > 1 else ()", "if len(devices) > 2 else ()", STUDIES),
    Mutant("studies: nothing follows", "studies/study.py", "            known += new\n", "            break\n", STUDIES),
    Mutant("dial: the lower edge of the decays stays one", "studies/dial.py", "elif shrinkage == shrinkages[0] > 0:", "elif False:", DIAL),
    Mutant("dial: eps is not turned", "studies/dial.py", 'eps=setting.get("eps", _EPS),', "eps=_EPS,", DIAL),
    Mutant("decay factor: always a tenth", "studies/decay_factor.py", 'gamma=setting["factor"],', "gamma=0.1,", DECAY),
    Mutant("decay factor: the mean of all stages", "studies/decay_factor.py", "self.mean.n_averaged.zero_()", "pass", DECAY),
    Mutant("decay factor: a mean of one epoch more", "studies/decay_factor.py", "end - _LAST < epoch <= end", "end - _LAST <= epoch <= end", DECAY),
    Mutant("decay factor: means begin anew with a stop", "studies/decay_factor.py", 'self.mean.load_state_dict(state["mean"])', "pass", DECAY),
    Mutant("dial: an edge stays one", "studies/dial.py", "steps.append(steps[-1] + 1)", "steps.append(steps[-1])", DIAL),
    Mutant("dial: a shrinkage's edge stays one", "studies/dial.py", "if shrinkage == shrinkages[-1]:", "if False:", DIAL),
    Mutant("dial: seen pictures confirm", "studies/dial.py", "torch.arange(plan.train + plan.held_out, len(labels))", "torch.arange(len(labels))", DIAL),
    Mutant("dial: one training set for all seeds", "studies/dial.py", ".manual_seed(fresh)", ".manual_seed(0)", DIAL),
    Mutant("dial: chosen by one seed", "studies/dial.py", "mean = statistics.fmean(found)", "mean = min(found)", DIAL),
    Mutant("dial: a diverged run is chosen", "studies/dial.py", 'math.inf if result["diverged"][-1] else result', 'result', DIAL),
    Mutant("dial: weight decay for shrinkage", "studies/dial.py", 'setting["shrinkage"] / setting["lr"]', 'setting["shrinkage"]', DIAL),
    Mutant("changes are not theirs", "recipes/__init__.py", 'changes = dict(sorted((changes or {}).items()))', 'changes = {}', ("tests/test_recipes.py",)),
    Mutant("a change without a source", "recipes/__init__.py", "(value, COMMAND_LINE) for name", "(value, settings[name][1]) for name", ("tests/test_recipes.py",)),
    Mutant("a record's changes are forgotten", "recipes/__init__.py", 'kept.get("changes", {})', "{}", ("tests/test_recipes.py",)),
    Mutant("settings are checked when data are read", "training/run.py", "    _optimizer(recipe, [torch.zeros(1, requires_grad=True)])", "    ()",
           ("tests/test_cli.py",)),
    Mutant("runner: a failure stops the others", "running/local.py", "if outcome.status in _ENDS:", "if outcome.failed:", RUNNING),
    Mutant("runner: a stop is no stop", "running/local.py", "if outcome.status in _ENDS:", "if False:", RUNNING),
    Mutant("runner: the same failure for ever", "running/local.py", "if len(last) == ALIKE and", "if False and", RUNNING),
    Mutant("runner: a success is forgotten between failures", "running/local.py", "if outcome.failed else []", "if outcome.failed else self.alike", RUNNING),
    Mutant("runner: it does not look again", "running/local.py", "if (standing := job.standing()) is not None:", "if (standing := None) is not None:", RUNNING),
    Mutant("runner: an error of its own ends a slot", "running/local.py", "except Exception as error:  # ours", "except KeyError as error:  # ours", RUNNING),
    Mutant("runner: a closed stdout ends a slot", "running/local.py", "with contextlib.suppress(Exception):", "with contextlib.suppress(KeyError):", RUNNING),
    Mutant("runner: one card for all", "running/local.py", "names[slot % len(names)]", "names[0]", RUNNING),
    Mutant("runner: ctrl-c begins the next", "running/local.py", 'self.interrupted, self.ending = True, BY_SIGNAL', 'self.interrupted = True', RUNNING),
    Mutant("runner: every seed is wanted", "running/cells.py", "for kind, some in wanted.items())]", "for kind, some in wanted.items() if kind != 'seeds')]", ("tests/test_cli.py::test_only_some_runs_of_a_table_are_made",), in_make_test=True),
    Mutant("runner: changes are not handed on", "running/cells.py", "in cell.recipe.changes.items() for word", "in () for word", RUNNING),
    Mutant("nobody to speak to is an error", "cli/exits.py", "        except OSError:\n            nowhere", "        except KeyError:\n            nowhere", RUNNING),
    Mutant("sources: only what stands at the top", "training/provenance.py", "for node in ast.walk(ast.parse(path.read_text())):", "for node in ast.parse(path.read_text()).body:", PROVENANCE),
    Mutant("sources: the kernels in C are none", "training/provenance.py", 'if path.with_suffix(".c").exists()}', "if False}", PROVENANCE),
    Mutant("parts of one number are one file", "files.py", "-{secrets.token_hex(4)}.part", ".part", ("tests/test_resume.py",)),
    Mutant("a removed file keeps its bytes", "files.py", "        os.truncate(path, 0)\n", "        pass\n", ("tests/test_resume.py",)),
    Mutant("waiting threads spin", "__main__.py", 'os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")', "()", ("tests/test_cli.py",)),
    Mutant("one run changes the next", "studies/text_decay.py", "more = dict({name", "more = ({name", STUDIES),
    Mutant("studies: infinity is kept", "studies/measuring.py", "    return records.plain(value)", "    return value", STUDIES),
    Mutant("studies: a long run starts over", "studies/study.py", '        rows = saved["rows"]\n', "", STUDIES),
    Mutant("studies: movement is a length", "studies/study.py", "(weights(model) - before).norm().item() / before.norm().item()",
           "(weights(model) - before).norm().item()", STUDIES),
    Mutant("studies: a bin too far", "studies/moments.py", "- _LOW) * _PER_DECADE).floor()", "- _LOW) * _PER_DECADE).ceil()", STUDIES),
    Mutant("studies: v_hat is v", "studies/moments.py", 'v_hat = _all(states, "max_exp_avg_sq")', 'v_hat = _all(states, "exp_avg_sq") / 2', STUDIES,
           False),
    Mutant("studies: adamw's decay for another size", "studies/rates.py", "recipes.normalised(2.5e-2, lr, _BATCH, _TRAIN, _EPOCHS)",
           "recipes.normalised(2.5e-2, lr, _BATCH, _TRAIN, 60)", STUDIES),
    # --- the authors' loop
    Mutant("the closure forgotten", "training/authors.py", "            self.task.loss(self.model, batch)\n", "            pass\n", AUTHORS),
    Mutant("the further pass on the plain loop's generators", "training/authors.py", "self.task.batches(*self.further)",
           "self.task.batches(self.order, self.augmentation)", AUTHORS),
    Mutant("the further pass not resumed", "training/authors.py", "generator.set_state(saved)", "pass", AUTHORS),
    Mutant("the authors' recipe in the plain loop", "training/run.py", 'if recipe.loop == "authors" else Trainer', "if False else Trainer", AUTHORS),
    # --- evidence/statistics.py, evidence/verdicts.py, evidence/runs.py, tables.py
    Mutant("an interval by the normal", "evidence/statistics.py", "quantile(len(differences) - 1) * sd", "1.96 * sd", CLAIMS),
    Mutant("an interval of single runs", "evidence/statistics.py", "sd / math.sqrt(len(differences))", "sd", CLAIMS),
    Mutant("Welch's freedom as if spreads were equal", "evidence/statistics.py", "freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (base_n - 1)) if a + b else 1",
           "freedom = n + base_n - 2", CLAIMS),
    Mutant("a spread over n", "evidence/statistics.py", "statistics.stdev(", "statistics.pstdev(", CLAIMS),
    Mutant("pairs by place", "evidence/verdicts.py", "differences = [_minus(ones[seed][0], others[seed][0]) for seed in seeds]",
           "differences = [_minus(a[0], b[0]) for a, b in zip(ones.values(), others.values(), strict=False)]", CLAIMS),
    Mutant("the limit is inclusive", "evidence/verdicts.py", "if difference + half < limit:", "if difference + half <= limit:", CLAIMS, in_make_test=True),
    Mutant("single runs are exact", "evidence/verdicts.py", "sd, freedom = own\n", "sd, freedom = 0.0, own[1]\n", CLAIMS),
    Mutant("what overlaps fails", "evidence/verdicts.py", "return FAILS if difference - half >= limit else OPEN", "return FAILS if difference >= limit else OPEN", CLAIMS),
    Mutant("one network that holds is enough", "evidence/verdicts.py", "return HOLDS if found == {HOLDS} else OPEN", "return HOLDS if HOLDS in found else OPEN", CLAIMS),
    Mutant("a diverged run wins", "evidence/verdicts.py", "value = math.inf if run.diverged else metric(run)", "value = -math.inf if run.diverged else metric(run)", CLAIMS),
    Mutant("early is all before the decay", "evidence/metrics.py", "EARLY = 0.5", "EARLY = 1.0", CLAIMS),
    Mutant("a gain after the decay alone", "evidence/metrics.py", "before - after", "after", CLAIMS),
    Mutant("runs that cannot be compared", "evidence/runs.py", "in _UNUSABLE:", "in ():", CLAIMS),
    Mutant("a shortened full run counts", "evidence/runs.py", 'profile == "full" and not records.shortened(record)', 'profile == "full"', CLAIMS),
    Mutant("a diverged full run does not count", "evidence/runs.py", "if _diverged(record):", "if False:", CLAIMS),
    Mutant("two seeds are enough", "evidence/verdicts.py", "PAIRED = 3", "PAIRED = 2", CLAIMS),
    Mutant("the last epochs are steady", "evidence/verdicts.py", "if metric in BEST else []", "if False else []", CLAIMS),
    Mutant("the miniature borrows", "evidence/verdicts.py", 'if own is None and runs[0].source not in evidence.MINIATURES:', "if own is None:", CLAIMS),
    Mutant("texts are compared by perplexity", "evidence/metrics.py", "100 * math.log(run.last)", "run.last", TEXT_CLAIMS),
    Mutant("texts borrow from pictures", "evidence/verdicts.py", 'ours = dataset if dataset in ("imagenet", "ptb") else "cifar10"', 'ours = "cifar10"', TEXT_CLAIMS),
    Mutant("a range has the interval of one", "evidence/verdicts.py", "math.hypot(*(each.half for each in ranges))", "ranges[0].half", TEXT_CLAIMS),
    Mutant("a range over what one network has", "evidence/verdicts.py", "if all(_values(self.metric", "if any(_values(self.metric", TEXT_CLAIMS),
    Mutant("a range of some is whole", "evidence/verdicts.py", "len(names) < len(self.optimizers)", "False", TEXT_CLAIMS),
    Mutant("a rate is chosen after one epoch", "evidence/chosen.py", '["valid_loss"][-1]', '["valid_loss"][0]', TEXT_CLAIMS),
    Mutant("effective rates the wrong way up", "studies/text_dial.py", "effective * TYPICAL**p", "effective / TYPICAL**p", STUDIES),
    Mutant("writing forgets what was written", "models/sample.py", "logits, state = model(tokens, state)", "logits, _ = model(tokens, state)", SAMPLE),
    Mutant("temperature the wrong way up", "models/sample.py", "cpu() / temperature", "cpu() * temperature", SAMPLE),
    Mutant("a broken picture is kept", "data/packing.py", "states.append(_BROKEN)", "states.append(_KEPT)", PACKING),
    Mutant("pictures are cut from the corner", "data/packing.py", "(round((side - size) / 2) for side in rgb.size)", "(0, 0)", PACKING),
    Mutant("gaps stay open", "data/packing.py", "if old.size == size:", "if old is not None:", PACKING),
    Mutant("packed from anywhere", "data/packing.py", 'for key in ("size", "whole", "listing")', 'for key in ("size", "whole")', PACKING),
    Mutant("a misnamed picture goes unnamed", "data/packing.py", "path.suffix.lower()) != format_", "path.suffix.lower()) == format_", PACKING),
    Mutant("work is done again", "data/packing.py", "if noted.exists() and", "if False and", PACKING),
    Mutant("whole or not is the same", "data/packing.py", 'for key in ("size", "whole", "listing")', 'for key in ("size", "listing")', PACKING),
    Mutant("whole pictures are cut", "data/packing.py", "if not whole:", "if True:", PACKING),
    Mutant("the manifest is written first", "data/packing.py", '        manifest["parts"][part] = _finish(partial, part, source, folder, plan)\n    files.write(partial / "manifest.json", (json.dumps(manifest, indent=1, ensure_ascii=False) + "\\n").encode())\n',
           '        files.write(partial / "manifest.json", (json.dumps(manifest, indent=1, ensure_ascii=False) + "\\n").encode())\n        manifest["parts"][part] = _finish(partial, part, source, folder, plan)\n', PACKING),
    Mutant("a process that decodes goes on alone", "data/packing.py", "    parent.join()\n    os._exit(1)", "    parent.join()", PACKING),
    Mutant("colors share a plane", "data/whole.py", "places + colors * plane", "places + 0 * colors * plane", WHOLE),
    Mutant("everything goes to the card", "data/whole.py", "self if self.nbytes == len(self.pixels) else", "self if True else", WHOLE),
    Mutant("the corner of whole pictures is evaluated", "training/boxes.py", "((sides - size) / 2).round()", "(0 * sides)", WHOLE),
    Mutant("a download is not verified", "data/fetch.py", "pooch.retrieve(url, checksum,", "pooch.retrieve(url, None,", FETCH),
    Mutant("boxes read over their edge", "training/boxes.py", "torch.minimum(inside.clamp_min(0), lengths[:, None] - 1.0)", "inside", RESIZED),
    Mutant("boxes are square", "training/boxes.py", "(area / ratio).sqrt()", "(area * ratio).sqrt()", RESIZED),
    Mutant("the last box that fits", "training/boxes.py", "fits.int().argmax(0)", "fits.int().argmin(0)", RESIZED),
    Mutant("boxes are not mirrored", "training/boxes.py", "columns.flip(1), columns)", "columns, columns)", RESIZED),
    Mutant("the corner is evaluated", "training/boxes.py", "round((pictures.shape[-1] - size) / 2)", "0", RESIZED),
    Mutant("where no box fits it is in the corner", "training/boxes.py", "starts, free // 2)", "starts, 0)", RESIZED),
    Mutant("where no box fits it is all", "training/boxes.py", "torch.minimum(sides, largest.round())", "sides.double()", RESIZED),
    Mutant("few pictures at once on a card", "training/tasks.py", "min(2000, 500 * 224**2 // side**2)", "2000 * 32**2 // side**2", STREAMING),
    Mutant("the likeliest four", "training/tasks.py", "min(5, logits.shape[1])", "min(4, logits.shape[1])", RESIZED),
    Mutant("64 pixels at every pixel", "models/__init__.py", "1 if size <= 32 else 2", "1", LARGE),
    Mutant("every convolution of VGG halves", "models/vgg.py", "channels, stride = width * factor, 1", "channels = width * factor", LARGE),
    Mutant("VGG of 224 pixels with an average", "models/__init__.py", "        network.avgpool = torch.nn.Identity()\n", "        pass\n", LARGE),
    Mutant("VGG of 224 pixels without batch norm", "models/__init__.py", '"vgg16": "vgg16_bn"', '"vgg16": "vgg16"', LARGE),
    Mutant("a network for what is stored", "training/run.py", "data.resized or data.train[0].shape[-1]", "data.train[0].shape[-1]", IMAGENET),
    Mutant("a part of packed pictures is the first", "data/__init__.py", "if data.resized and cut < there:", "if False:", IMAGENET),
    Mutant("everything is read ahead", "training/prefetch.py", "if len(waiting) > AHEAD:", "if len(waiting) > 1000:", STREAMING),
    Mutant("the batch read last comes first", "training/prefetch.py", "            while waiting:\n                yield waiting.popleft()", "            while waiting:\n                yield waiting.pop()", STREAMING),
    Mutant("reading outlives training", "training/engine.py", "contextlib.closing(self.task.batches(self.order, self.augmentation))",
           "contextlib.nullcontext(self.task.batches(self.order, self.augmentation))", STREAMING),
    Mutant("packed pictures have one hash", "training/provenance.py", 'hashlib.sha256(" ".join(packed).encode())', "hashlib.sha256()", STREAMING),
    # --- training/workers.py, and what calls it
    Mutant("every process trains on everything", "training/workers.py", "return examples.tensor_split(self.count)[self.rank]", "return examples", DISTRIBUTED),
    Mutant("totals are not summed", "training/workers.py", "self.distributed.all_reduce(tensor)", "pass", DISTRIBUTED),
    Mutant("gradients are not shared", "training/workers.py", "return DistributedDataParallel(model, device_ids=cards)", "return model", DISTRIBUTED),
    Mutant("averages of its own", "training/workers.py", "self.distributed.broadcast(buffer, 0)", "pass", DISTRIBUTED),
    Mutant("all at once", "training/workers.py", "self.first(lambda: mine.append(call()))", "mine.append(call())", DISTRIBUTED),
    Mutant("a lost process is any error", "training/workers.py", "if not _is_of_the_connection(error):", "if True:", DISTRIBUTED),
    Mutant("every process speaks", "training/workers.py", "return rank() == 0 or", "return True or", DISTRIBUTED),
    Mutant("uneven shares weigh the same", "training/tasks.py", "len(share[1]) * self.group.count / len(whole)", "1.0", DISTRIBUTED),
    Mutant("evaluated by every process alone", "training/tasks.py", "self.group.total(totals) / len(labels)", "totals / len(labels)", DISTRIBUTED),
    Mutant("each process stops by its own clock", "training/run.py", "self.group.first(lambda: self._stop_if_due(signals, budget, begun))", "self._stop_if_due(signals, budget, begun)", DISTRIBUTED),
    Mutant("every process writes", "training/run.py", "self.group.first(self._save_if_due)", "self._save_if_due()", DISTRIBUTED),
    Mutant("another number of processes goes on", "training/run.py", '("precision", "processes")', '("precision",)', DISTRIBUTED),
    Mutant("texts are shared", "training/engine.py", "if group.count > 1:", "if False:", DISTRIBUTED),
    Mutant("more processes than pictures", "training/engine.py", "if fewest < self.group.count:", "if False:", DISTRIBUTED),
    Mutant("the error of process 0 is its own", "training/workers.py", "if self.told is not None:", "if self.told is not None and self.rank == 0:", DISTRIBUTED),
    Mutant("a card by the number among all", "training/workers.py", 'os.environ["LOCAL_RANK"]', 'os.environ["RANK"]', DISTRIBUTED),
    Mutant("as many cards as one likes", "training/workers.py", "if here > cards:", "if False:", DISTRIBUTED),
    Mutant("all drop out the same", "training/engine.py", "(self.seed, self.group.rank, self.epoch)", "(self.seed, self.epoch)", DISTRIBUTED),
    Mutant("dropout starts over", "training/engine.py", "(self.seed, self.group.rank, self.epoch)", "(self.seed, self.group.rank)", DISTRIBUTED),
    Mutant("dropout by chance", "training/engine.py", "            seed_generators(int(own[0]), self.device)\n", "", DISTRIBUTED),
    Mutant("whoever has a WORLD_SIZE is one of many", "training/workers.py", 'if "TORCHELASTIC_RUN_ID" in os.environ else 1', 'if "WORLD_SIZE" in os.environ else 1', DISTRIBUTED),
    Mutant("every command under torchrun", "cli/__init__.py", 'context.invoked_subcommand != "train"', "False", DISTRIBUTED),
    Mutant("a false start counts", "evidence/metrics.py", "if run.milestones and not run.false_start else", "if run.milestones else", CLAIMS),
    Mutant("the miniature at chosen rates borrows", "evidence/verdicts.py", "runs[0].source not in evidence.MINIATURES", 'runs[0].source != "small"', TEXT_CLAIMS),
    Mutant("pictures at chosen rates", "evidence/runs.py", "if run.text and run.optimizer in names", "if run.optimizer in names", TEXT_CLAIMS),
    Mutant("what was seen was not", "studies/miniature.py", "tuple(part[few] for part in data.train)", "tuple(part[few % 50] for part in data.test)", STUDIES),
    Mutant("five guesses are one", "evidence/runs.py", "last_top5=five[-1]", "last_top5=ends[-1]", CLAIMS),
    Mutant("the best of five guesses is the last", "evidence/metrics.py", "last_top5: best_top5", "last_top5: last_top5", CLAIMS),
    Mutant("ImageNet borrows from CIFAR", "evidence/verdicts.py", 'in ("imagenet", "ptb")', 'in ("ptb",)', CLAIMS),
    Mutant("a column for one optimizer", "evidence/tables/claim_tables.py", ") > 1", ") > 0", CLAIMS),
    Mutant("columns of table 2 swapped", "evidence/tables/experiments.py", 'network.replace("imagenet", "imagenet-subset")', 'network', RESULTS),
    Mutant("a lower rate is called a higher one", "evidence/tables/entries.py", "if value > plain else", "if value else", RESULTS),
    Mutant("AdamW's decay is told beside its rate", "evidence/tables/entries.py", 'changed.pop("weight_decay", None)', "pass", RESULTS),
    Mutant("the loop is no change", "evidence/tables/entries.py", "if recipe.loop != plain.loop:", "if False:", RESULTS),
    Mutant("best for last", "evidence/tables/entries.py", 'for at in ("last", "best")', 'for at in ("best", "best")', RESULTS, in_make_test=True),
    # --- models/lstm.py, text in training/tasks.py, the studies on text
    Mutant("activity from column to column", "models/lstm.py", "x.std(0).mean()", "x.std(1).mean()", TEXT),
    Mutant("a text is not read as fit is told", "training/loop.py", "        text=text,\n", "", TEXT),
    Mutant("one exponent for every Padam of the study", "studies/text_decay.py", 'if "p" in setting:', 'if "P" in setting:', STUDIES),
    Mutant("dropped words differ by place", "models/lstm.py", "torch.rand(len(weight), 1,", "torch.rand(*weight.shape,", TEXT),
    Mutant("locked dropout unlocked", "models/lstm.py", "torch.rand(1, *x.shape[1:],", "torch.rand(*x.shape,", TEXT),
    Mutant("locked dropout without its factor", "models/lstm.py", "device=x.device) >= share) / (1 - share)", "device=x.device) >= share)", TEXT),
    Mutant("weight drop of the input weights", "models/lstm.py", "dropout(layer.weight_hh_l0, share)\n    weights = [layer.weight_ih_l0, recurrent,",
           "dropout(layer.weight_ih_l0, share)\n    weights = [recurrent, layer.weight_hh_l0,", TEXT),
    Mutant("the activation of what is not dropped", "models/lstm.py", "regularisation.activation * dropped.square()", "regularisation.activation * x.square()", TEXT),
    Mutant("the change of what is dropped", "models/lstm.py", "(x[1:] - x[:-1])", "(dropped[1:] - dropped[:-1])", TEXT),
    Mutant("dropout while scoring", "models/lstm.py", "off = self.regularisation if self.training else Regularisation()", "off = self.regularisation", TEXT),
    Mutant("the penalty is not differentiated", "training/tasks.py", "(penalty - penalty.detach()) if", "0 * penalty if", TEXT),
    Mutant("the penalty is reported", "training/tasks.py", "(penalty - penalty.detach()) if", "penalty if", TEXT),
    Mutant("the padding is scored", "training/tasks.py", "(losses.double() * inside)", "losses.double()", TEXT),
    Mutant("the first word is not scored", "training/tasks.py", "text if self.first is None else _after(self.first, text)", "text", TEXT),
    Mutant("scoring forgets the state", "training/tasks.py", "logits, state = model(grid[begin:end], state)", "logits, state = model(grid[begin:end], None)", TEXT),
    Mutant("short windows never", "training/tasks.py", "< 0.95 else self.bptt / 2", "< 1.95 else self.bptt / 2", TEXT),
    Mutant("gradients not clipped", "training/engine.py", "if self.task.clip is not None:", "if False:", TEXT),
    Mutant("the rate of a short window not scaled", "training/engine.py", 'group["lr"] = group["lr"] * self.task.scale', "pass", TEXT),
    Mutant("the scaled rate stays", "training/engine.py", '                group["lr"] = rate\n', "                pass\n", TEXT),
    Mutant("the state is not detached", "training/tasks.py", "self.state = _detached(state)", "self.state = state", TEXT),
)  # fmt: skip


# All of the package but what starts a command; a mutant must fail a test, not an import.
IMPORTS = """
import importlib, pkgutil, sys, padam
assert padam.__file__.startswith(sys.argv[1])
for module in pkgutil.walk_packages(padam.__path__, "padam."):
    if module.name not in ("padam.__main__", "padam.optim.fused.triton"):  # the latter where there is Triton
        importlib.import_module(module.name)
"""


def run(mutant, folder):
    """Apply a mutant to a copy of the package in `folder` and run its tests: (killed by, seconds).

    Raises ValueError if the text to replace does not occur exactly once, or if the mutated package does not import.
    """
    package = Path(folder) / "padam"
    shutil.copytree(ROOT / "padam", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", Path(folder) / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("book", "data_scripts"):  # the bibliography and the scripts, which tests read
        (Path(folder) / name).symlink_to(ROOT / name)
    target = package / mutant.file
    text = target.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: its text occurs {text.count(mutant.old)} times in {mutant.file}, not once")
    target.write_text(text.replace(mutant.old, mutant.new))
    env = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    imported = warm.run("-c", IMPORTS, str(folder), env=env, cwd=folder)
    if imported.returncode:
        raise ValueError(f"{mutant.name}: the mutated package does not import: {imported.stderr[-300:]}")
    begun = time.perf_counter()
    for tests in mutant.tests:  # one file after the other, for the first often is enough
        tested = warm.suite(tests, "--no-header", "--tb=no", env=env, cwd=folder)
        failed = [line.split(" ")[1] for line in tested.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        if tested.returncode < 0:  # memory of somebody else was written
            return failed[0] if failed else f"{tests}: signal {-tested.returncode}", time.perf_counter() - begun
        if tested.returncode not in (0, 1) or (tested.returncode == 1 and not failed):
            raise ValueError(f"{mutant.name}: the tests did not run: {tested.stdout[-500:]}{tested.stderr[-500:]}")
        if failed:
            return failed[0], time.perf_counter() - begun
    return None, time.perf_counter() - begun


def part(text):
    """(k, n) of "k/n". Raises ValueError where k is not one of 1 to n."""
    number, count = map(int, text.split("/"))
    if not 1 <= number <= count:
        raise ValueError(text)
    return number, count


def chosen(names=(), of=(1, 1)):
    """The mutants with one of these words in their names, all without any; and of those the part (k, n).

    Neighbors in the table have the same tests, so a part is every n-th: all parts take about the same time.
    """
    found = [mutant for mutant in MUTANTS if not names or any(name in mutant.name for name in names)]
    return found[of[0] - 1 :: of[1]]


def verdict(mutant):
    """("killed", "SURVIVED" or "ERROR", the line to print) of a mutant that is run in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            killer, seconds = run(mutant, folder)
        except (ValueError, subprocess.TimeoutExpired) as error:
            return "ERROR", f"ERROR     {error}"
    word = "SURVIVED" if killer is None else "killed"
    return word, f"{word:8}  {mutant.name:45}  {seconds:5.1f} s  {killer or ''}"


def _kill_all():
    """End what is running: each process that `warm` has started leads a group of its own."""
    for process in multiprocessing.active_children():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def main(arguments=None):
    """Run mutants and print what killed each; exit 1 if one survives or could not be run, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="which mutants, by (part of) their names; default all")
    parser.add_argument("--part", type=part, default=(1, 1), metavar="K/N", help="the K-th of N equal parts of them")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many at once, a core each; default 1")
    parser.add_argument("--list", action="store_true", help="print their names and run none")
    given = parser.parse_args(arguments)
    wanted = chosen(given.names, given.part)
    if given.jobs < 1:
        parser.error(f"--jobs is a number from 1 on, not {given.jobs}")
    if not wanted:
        parser.error(f"no mutant's name has {' or '.join(given.names)} in it")
    if given.list:
        print("\n".join(mutant.name for mutant in wanted))
        return
    words = []
    with ThreadPoolExecutor(given.jobs) as pool:
        running = [pool.submit(verdict, mutant) for mutant in wanted]
        try:
            for finished in as_completed(running):
                word, line = finished.result()
                words.append(word)
                print(line, flush=True)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(each.done() for each in running):
                _kill_all()
                time.sleep(0.2)
            print(f"Interrupted after {len(words)} of {len(wanted)} mutants.")
            raise SystemExit(130) from None
    print(f"{words.count('killed')} of {len(words)} mutants killed")
    raise SystemExit(words.count("killed") < len(words))


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # the first is ignored by what a shell started in the background
        signal.signal(number, signal.default_int_handler)
    main()
