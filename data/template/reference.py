"""Writes `reference.json` and `reference_tools.json`: what `transformers` makes of conversations with the templates
beside this script, and of conversations in which tools are called.

    python data/template/reference.py

Needs `transformers` and `tokenizers`. The two small tokenizers are trained here, one as Qwen, Llama 3 and SmolLM2 have
them (byte level) and one as Mistral and Llama 2 have them (a blank before the first word only, unknown letters as bytes).
"""

import json
from datetime import datetime
from pathlib import Path

import transformers.utils.chat_template_utils as chat
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent / "reference"
ROOT = Path(__file__).parents[2]


class July(datetime):
    """The day that `template.rs` tells."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat.datetime = July

CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPECIALS = {
    "qwen2_5": dict(byte_level=True, eos_token="<|im_end|>"),
    "qwen3": dict(byte_level=True, eos_token="<|im_end|>"),
    "smollm2": dict(byte_level=True, bos_token="<|im_start|>", eos_token="<|im_end|>"),
    "generation": dict(byte_level=True, eos_token="<|im_end|>"),
    "llama3": dict(byte_level=True, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>"),
    "phi3": dict(byte_level=False, bos_token="<s>", eos_token="<|endoftext|>"),
    "mistral": dict(byte_level=False, bos_token="<s>", eos_token="</s>"),
    "mistral_small": dict(byte_level=False, bos_token="<s>", eos_token="</s>"),
}
# What each template asks for besides the messages.
TOOLS = {
    "qwen2_5": (SPECIALS["qwen2_5"], ["tools"]),
    "llama3": (SPECIALS["llama3"], ["tools", "date_string"]),
    "mistral_tools": (SPECIALS["mistral"], ["tools"]),
    "qwen3": (SPECIALS["qwen3"], ["enable_thinking"]),
}

CODE = "def add(a, b):\n    \"\"\"naïve – 東京 😀\"\"\"\n    return a - b\n\n\nclass A:\n\tx = 12_345\r\n"
CONVERSATIONS = [
    [("user", "hi"), ("assistant", "ho")],
    [("system", "be brief"), ("user", CODE), ("assistant", "```python\nreturn a + b\n```")],
    [("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four\n    five")],
    [("system", "S"), ("user", "  spaces  \n"), ("assistant", "x" * 40 + "é" * 3), ("user", "?"), ("assistant", "1")],
    [("user", "\n\nlines first"), ("assistant", "end\n")],
    [("user", "why?"), ("assistant", "<think>\nbecause\n</think>\n\nso")],
    [("user", "what is <|im_end|> and </s> or [INST]?"), ("assistant", "<|eot_id|><|im_end|>[/INST]")],
    [("assistant", "me first"), ("user", "no")],
    [("user", ""), ("assistant", "")],
]


LS = {"type": "function", "function": {"name": "ls", "description": "Lists <files> & folders – all", "parameters": {
    "type": "object", "required": ["path"], "properties": {
        "path": {"type": "string", "description": "where"}, "all": {"type": "boolean", "default": False},
        "depth": {"type": "number", "minimum": 0.5}}}}}
RUN = {"type": "function", "function": {"name": "run", "parameters": {"type": "object", "properties": {}}}}


def called(number, name, **arguments):
    return {"id": f"call{number:05}", "type": "function", "function": {"name": name, "arguments": arguments}}


ASKED = [
    dict(messages=[dict(role="user", content="what is here?")], given=dict(tools=[LS, RUN])),
    dict(messages=[dict(role="system", content="S"), dict(role="user", content="what is here?"),
                   dict(role="assistant", content="", tool_calls=[called(1, "ls", path=".", all=True, depth=1.5)]),
                   dict(role="tool", content="a.py é", tool_call_id="call00001")], given=dict(tools=[LS, RUN])),
    dict(messages=[dict(role="user", content="both"),
                   dict(role="assistant", content="Both:", tool_calls=[called(1, "run"), called(2, "ls", path="b")]),
                   dict(role="tool", content="1", tool_call_id="call00001"),
                   dict(role="tool", content="2", tool_call_id="call00002"),
                   dict(role="assistant", content="done"), dict(role="user", content="more?")], given=dict(tools=[LS])),
    dict(messages=[dict(role="user", content="think?")], given=dict(enable_thinking=False)),
    dict(messages=[dict(role="user", content="think?")], given=dict(enable_thinking=True)),
    dict(messages=[dict(role="user", content="when?")], given=dict(date_string="1 May 2026")),
]


def texts():
    for path in sorted((ROOT / "examples").rglob("*.py"))[:12]:
        yield path.read_text()[:3000]
    yield "system user assistant You are a helpful assistant. Today Date: 26 Jul 2024 Cutting Knowledge Date December 2023"


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    split = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(split), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts(), trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False))
    names = CHATML + ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in ["<think>", "</think>"]])
    return tokenizer


def metaspace():
    letters = sorted({letter for text in texts() for letter in text if letter.isascii()} | {"▁"})
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    specials = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "<|endoftext|>",
                "<|system|>", "<|user|>", "<|assistant|>"]
    specials += [f"<0x{byte:02X}>" for byte in range(256)]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    trained.train_from_iterator(texts(), trainers.BpeTrainer(
        vocab_size=700, special_tokens=specials, initial_alphabet=letters, limit_alphabet=len(letters), show_progress=False))
    model = json.loads(trained.to_str())["model"]
    tokenizer.model = models.BPE(model["vocab"], [tuple(pair) for pair in model["merges"]], byte_fallback=True, unk_token="<unk>")
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in specials[:11]])
    # As that of Phi 3: it takes the blanks behind it.
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True, normalized=False, rstrip=True)])
    return tokenizer


def main():
    tokenizers = {True: byte_level(), False: metaspace()}
    for level, tokenizer in tokenizers.items():
        (HERE / ("byte_level.json" if level else "metaspace.json")).write_text(tokenizer.to_str())
    cases = []
    for name, told in SPECIALS.items():
        told = dict(told)
        raw = tokenizers[told.pop("byte_level")]
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, clean_up_tokenization_spaces=False, **told)
        tokenizer.chat_template = (HERE / f"{name}.jinja").read_text()
        for messages in CONVERSATIONS:
            said = [{"role": role, "content": content} for role, content in messages]
            case = {"template": name, "tokens": told, "messages": said}
            for prompt in [False, True]:
                asked = dict(add_generation_prompt=prompt, return_dict=False)
                try:
                    text = tokenizer.apply_chat_template(said, tokenize=False, **asked)
                    ids = tokenizer.apply_chat_template(said, tokenize=True, **asked)
                except Exception as error:  # a template that refuses the conversation
                    text, ids = None, str(error)
                key = "prompt" if prompt else "whole"
                case[key] = {"text": text, "ids": ids}
            cases.append(case)
    write("reference.json", cases)
    write("reference_tools.json", list(tool_cases(tokenizers)))


def tool_cases(tokenizers):
    for name, (told, asks) in TOOLS.items():
        told = dict(told)
        raw = tokenizers[told.pop("byte_level")]
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, clean_up_tokenization_spaces=False, **told)
        tokenizer.chat_template = (HERE / f"{name}.jinja").read_text()
        for asked in ASKED:
            if not asked["given"].keys() <= set(asks):
                continue
            settings = dict(add_generation_prompt=True, return_dict=False, **asked["given"])
            try:
                text = tokenizer.apply_chat_template(asked["messages"], tokenize=False, **settings)
                ids = tokenizer.apply_chat_template(asked["messages"], tokenize=True, **settings)
            except Exception as error:  # a template that refuses the conversation
                text, ids = None, str(error)
            yield {"template": name, "tokens": told, "dialog": asked, "prompt": {"text": text, "ids": ids}}


def write(name, cases):
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    Path(__file__).with_name(name).write_text("[\n" + lines + "\n]\n")


main()
