#!/usr/bin/env python3
"""The peer of `train` on the same machine: PyTorch and transformers, same model, batch, dtype.

usage: transformers_135m.py MODEL [load|sft|decode]... [--dtype float32|bfloat16] [--device cpu|cuda] [--step ROWS TOKENS] [--threads N]

MODEL is a model folder, or a `config.json` alone for random weights in that shape. Prints one JSON line per measurement.
Needs torch and transformers.
"""

import argparse
import json
import statistics
import time


def report(name, **values):
    print(json.dumps({"peer": "transformers", "name": name, **values}), flush=True)


def settle(model):
    """Waits for what a GPU was asked to do."""
    import torch

    if model.device.type == "cuda":
        torch.cuda.synchronize()


def load(path, dtype):
    """Seconds from nothing to the first generated token, without the import of the libraries."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    begun = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
    model.eval()
    prompt = tokenizer("def add(a, b):", return_tensors="pt")
    with torch.no_grad():
        model.generate(prompt["input_ids"], max_new_tokens=1, do_sample=False, pad_token_id=0)
    report("load to first token", seconds=time.perf_counter() - begun)
    return model


def model_of(path, dtype):
    from transformers import AutoConfig, AutoModelForCausalLM

    if path.endswith(".json"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(path), dtype=dtype)
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype)


def sft(model, batch=4, tokens=512, steps=5):
    """Whole optimizer steps: forward, backward, clip, AdamW."""
    import torch

    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    vocab = model.config.vocab_size
    times = []
    for step in range(steps + 1):
        generator = torch.Generator().manual_seed(step)
        ids = torch.randint(0, vocab, (batch, tokens), generator=generator).to(model.device)
        begun = time.perf_counter()
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        settle(model)
        times.append(time.perf_counter() - begun)
    seconds = statistics.median(times[1:])
    report(f"sft {batch} x {tokens}", tokens_per_s=batch * tokens / seconds, seconds=seconds)


def decode(model, batch, prompt=64, new=64, rounds=3):
    """Greedy tokens per second after the prompt."""
    import torch

    model.eval()
    ids = torch.randint(0, model.config.vocab_size, (batch, prompt), generator=torch.Generator().manual_seed(0))
    ids = ids.to(model.device)
    settings = dict(do_sample=False, pad_token_id=0, eos_token_id=None)

    def seconds(count):
        begun = time.perf_counter()
        with torch.no_grad():
            model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count, **settings)
        settle(model)
        return time.perf_counter() - begun

    seconds(2)
    rates = [batch * (new - 1) / (seconds(new) - seconds(1)) for _ in range(rounds)]
    report(f"decode batch {batch}", tokens_per_s=statistics.median(rates))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("what", nargs="*", default=["load", "sft", "decode"])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--step", type=int, nargs=2, default=[4, 512], help="rows and tokens of an optimizer step")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    import torch

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    dtype = getattr(torch, arguments.dtype)
    if "load" in arguments.what:
        load(arguments.model, dtype)
    model = model_of(arguments.model, dtype).to(arguments.device)
    if "decode" in arguments.what:
        for batch in (1, 16) if arguments.device == "cpu" else (1, 16, 64):
            decode(model, batch)
    if "sft" in arguments.what:
        sft(model, *arguments.step)


if __name__ == "__main__":
    main()
