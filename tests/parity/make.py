"""Makes the references of `parity.rs`: `python make.py` beside this file, with torch and transformers 4.57.

For each architecture a folder with a tiny random model as Hugging Face lays it out, and what transformers computes:
`reference.json` (prompts, loss) and `reference.safetensors` (logits of each prompt alone, every gradient).
The loss is the mean over every next token of all prompts. The script itself checks that prompts padded on the left
and on the right give the logits of single ones.

`python make.py MODEL OUT` writes such a reference for the model in the folder MODEL, without gradients, and in f64: the
logits of a large model differ by more than 1e-4 for rounding alone. `rounding` is how far transformers is in f32.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

HERE = Path(__file__).parent
LENGTHS = [24, 17, 9]
SIZES = dict(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=100.0, tie_word_embeddings=False,
    attn_implementation="eager",
)
STRETCHED = dict(factor=4.0, original_max_position_embeddings=8)

# name: model type, changes, dtype on disk
CASES = {
    "llama3": ("llama", dict(
        attention_bias=True, mlp_bias=True, eos_token_id=[2, 3],
        rope_scaling=dict(rope_type="llama3", low_freq_factor=1.0, high_freq_factor=4.0, **STRETCHED)), "float32"),
    "linear": ("llama", dict(
        tie_word_embeddings=True, num_key_value_heads=4, rope_scaling=dict(rope_type="linear", factor=2.5)), "bfloat16"),
    "yarn": ("llama", dict(rope_scaling=dict(rope_type="yarn", **STRETCHED)), "bfloat16"),
    "yarn_mscale": ("llama", dict(rope_scaling=dict(
        rope_type="yarn", mscale=1.3, mscale_all_dim=0.4, beta_fast=4.0, truncate=False, **STRETCHED)), "bfloat16"),
    "mistral": ("mistral", dict(head_dim=16, sliding_window=None), "bfloat16"),
    "mistral_window": ("mistral", dict(sliding_window=6), "bfloat16"),
    "mistral3": ("mistral", dict(head_dim=16, sliding_window=None), "bfloat16"),
    "qwen2": ("qwen2", dict(tie_word_embeddings=True), "float16"),
    "qwen2_window": ("qwen2", dict(use_sliding_window=True, sliding_window=5, max_window_layers=1), "bfloat16"),
    "qwen3": ("qwen3", dict(head_dim=16), "bfloat16"),
}


def model_of(kind, changes, dtype, seed):
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **{**SIZES, **changes})
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            around = 1.0 if "norm" in name else 0.0
            # What is on disk in few bits is computed with in f32 by both sides.
            weight.copy_((around + 0.3 * torch.randn_like(weight)).to(getattr(torch, dtype)))
    return model.float().eval()


def prompts(seed, vocab=64):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randint(0, vocab, (length,), generator=draw).tolist() for length in LENGTHS]


def padded(rows, left):
    longest = max(map(len, rows))
    ids, mask, positions = [], [], []
    for row in rows:
        pad = [0] * (longest - len(row))
        ones = [1] * len(row)
        places = list(range(len(row)))
        ids.append(pad + row if left else row + pad)
        mask.append(pad + ones if left else ones + pad)
        positions.append(pad + places if left else places + pad)
    return tuple(torch.tensor(each) for each in (ids, mask, positions))


def single_logits(model, rows):
    with torch.no_grad():
        return [model(torch.tensor([row]), use_cache=False).logits[0] for row in rows]


def logits_of(model, rows):
    single = single_logits(model, rows)
    with torch.no_grad():
        for left in (True, False):
            ids, mask, positions = padded(rows, left)
            out = model(ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
            for row, alone, every in zip(rows, single, out):
                real = every[-len(row):] if left else every[: len(row)]
                assert (real - alone).abs().max() < 1e-4, "padding changes the logits"
    return single


def loss_of(model, rows):
    total, count = 0.0, 0
    for row in rows:
        logits = model(torch.tensor([row]), use_cache=False).logits[0, :-1]
        total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(row[1:]), reduction="sum")
        count += len(row) - 1
    return total / count


def to_own_rotation(weight, heads):
    """Rows of Hugging Face's half rotation in the order of Mistral's own files."""
    rows, width = weight.shape
    return weight.view(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width).contiguous()


def write_own(folder, state, config):
    """The layout of Mistral's own releases."""
    own = {}
    parts = {
        "self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
        "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2",
        "mlp.up_proj": "feed_forward.w3", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
    }
    outer = {"model.embed_tokens": "tok_embeddings", "model.norm": "norm", "lm_head": "output"}
    heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
    for name, weight in state.items():
        stem = name.removesuffix(".weight")
        if stem in outer:
            own[f"{outer[stem]}.weight"] = weight
            continue
        _, _, layer, part = stem.split(".", 3)
        weight = to_own_rotation(weight, heads[part]) if part in heads else weight
        own[f"layers.{layer}.{parts[part]}.weight"] = weight
    own["vision_encoder.patch_conv.weight"] = torch.zeros(4, 3, 2, 2, dtype=torch.bfloat16)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    save_file(own, folder / "consolidated.safetensors")
    params = dict(
        dim=config.hidden_size, n_layers=config.num_hidden_layers, head_dim=config.head_dim,
        hidden_dim=config.intermediate_size, n_heads=config.num_attention_heads, n_kv_heads=config.num_key_value_heads,
        norm_eps=config.rms_norm_eps, vocab_size=config.vocab_size, rope_theta=config.rope_theta,
        max_seq_len=config.max_position_embeddings, vision_encoder=dict(hidden_size=4),
    )
    (folder / "params.json").write_text(json.dumps(params, indent=1) + "\n")


def nest(folder, config):
    """As Mistral-Small-3.1 lies on the hub: the language model inside one that sees images."""
    state = {f"language_model.{name}": weight for name, weight in load_file(folder / "model.safetensors").items()}
    state["vision_tower.patch_conv.weight"] = torch.zeros(4, 3, 2, 2, dtype=torch.bfloat16)
    state["multi_modal_projector.norm.weight"] = torch.zeros(4, dtype=torch.bfloat16)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    text = {key: value for key, value in config.items() if key not in ("architectures", "dtype", "transformers_version")}
    outer = dict(
        architectures=["Mistral3ForConditionalGeneration"], model_type="mistral3", dtype="bfloat16",
        text_config=text, vision_config=dict(model_type="pixtral", hidden_size=4), image_token_index=10,
    )
    (folder / "config.json").write_text(json.dumps(outer, indent=1) + "\n")


def write_reference(folder, rows, loss, tensors, **more):
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "reference.safetensors")
    (folder / "reference.json").write_text(json.dumps(dict(prompts=rows, loss=loss.item(), **more)) + "\n")


def real(source, folder):
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    rows = prompts(7, model.config.vocab_size)
    rounded = single_logits(model, rows)
    model = model.double()
    exact = single_logits(model, rows)
    rounding = max((one - other).abs().max().item() for one, other in zip(exact, rounded))
    largest = max(logits.abs().max().item() for logits in exact)
    print(f"transformers in f32 is off by up to {rounding:.2e} from itself in f64, of logits up to {largest:.1f}")
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"logits.{at}": logits.float() for at, logits in enumerate(exact)}
    write_reference(folder, rows, loss_of(model, rows), tensors, rounding=rounding)


def main():
    for seed, (name, (kind, changes, dtype)) in enumerate(CASES.items()):
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        model = model_of(kind, changes, dtype, seed)
        rows = prompts(100 + seed)
        reference = {f"logits.{at}": logits for at, logits in enumerate(logits_of(model, rows))}
        loss = loss_of(model, rows)
        loss.backward()
        reference |= {f"gradient.{at}": weight.grad for at, weight in model.named_parameters()}
        # Several shards for one of them.
        shards = "20KB" if name == "mistral" else "5GB"
        saved = model_of(kind, changes, dtype, seed).to(getattr(torch, dtype))
        saved.save_pretrained(folder, max_shard_size=shards)
        (folder / "generation_config.json").unlink()
        config = json.loads((folder / "config.json").read_text())
        if name == "mistral3":
            write_own(HERE / "mistral3_own", load_file(folder / "model.safetensors"), model.config)
            nest(folder, config)
        write_reference(folder, rows, loss, reference)
        print(f"{name}: loss {loss.item():.4f}")


if len(sys.argv) == 3:
    real(sys.argv[1], Path(sys.argv[2]))
else:
    main()
