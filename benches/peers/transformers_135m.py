#!/usr/bin/env python3
"""The peer of `train` on the same machine: PyTorch and transformers, same model, batch, dtype.

usage: transformers_135m.py MODEL_DIR [load|sft|decode]... [--dtype float32|bfloat16] [--threads N]

Prints one JSON line per measurement. Needs torch and transformers.
"""

import argparse
import json
import statistics
import time


def report(name, **values):
    print(json.dumps({"peer": "transformers", "name": name, **values}), flush=True)


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


def sft(model, batch=4, tokens=512, steps=5):
    """Whole optimizer steps: forward, backward, clip, AdamW."""
    import torch

    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    vocab = model.config.vocab_size
    times = []
    for step in range(steps + 1):
        generator = torch.Generator().manual_seed(step)
        ids = torch.randint(0, vocab, (batch, tokens), generator=generator)
        begun = time.perf_counter()
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - begun)
    seconds = statistics.median(times[1:])
    report(f"sft {batch} x {tokens}", tokens_per_s=batch * tokens / seconds, seconds=seconds)


def decode(model, batch, prompt=64, new=64, rounds=3):
    """Greedy tokens per second after the prompt."""
    import torch

    model.eval()
    ids = torch.randint(0, model.config.vocab_size, (batch, prompt), generator=torch.Generator().manual_seed(0))
    settings = dict(do_sample=False, pad_token_id=0, eos_token_id=None)

    def seconds(count):
        begun = time.perf_counter()
        with torch.no_grad():
            model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count, **settings)
        return time.perf_counter() - begun

    seconds(2)
    rates = [batch * (new - 1) / (seconds(new) - seconds(1)) for _ in range(rounds)]
    report(f"decode batch {batch}", tokens_per_s=statistics.median(rates))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("what", nargs="*", default=["load", "sft", "decode"])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    import torch
    from transformers import AutoModelForCausalLM

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    dtype = getattr(torch, arguments.dtype)
    if "load" in arguments.what:
        load(arguments.model, dtype)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=dtype)
    if "decode" in arguments.what:
        for batch in (1, 16):
            decode(model, batch)
    if "sft" in arguments.what:
        sft(model)


if __name__ == "__main__":
    main()
