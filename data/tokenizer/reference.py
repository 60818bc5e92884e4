"""Writes the reduced `tekken.json` files beside this script, and `reference.json`: the ids that `mistral-common` gives.

    python data/tokenizer/reference.py

Needs `mistral-common`, whose package data hold a whole `tekken.json`. With `--whole FILE` nothing is written; the ids of
every source of this repository go to standard output, one JSON list a file, to be compared with ours.
"""

import base64
import json
import sys
from pathlib import Path

import mistral_common
from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, ToolMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.tool_calls import Function, FunctionCall, Tool, ToolCall
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

HERE = Path(__file__).parent / "reference"
ROOT = Path(__file__).parents[2]
DATA = Path(mistral_common.__file__).parent / "data"
TOKENS = 1500

SPECIALS = {
    # Version 3 names none; the two others name theirs, version 7 fewer than there are.
    "v3": None,
    "v7": ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
           "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
           "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"],
}
SPECIALS["v13"] = SPECIALS["v11"] = SPECIALS["v7"] + ["[ARGS]", "[CALL_ID]"]

SNIPPETS = [
    "", " ", "\n", "def add(a, b):\n    return a + b\n", "class HTTPServerError(Exception):\n\tpass\r\n\r\n",
    "for i in range(0x1F, 1_000, 12345):\n        print(f\"{i:>10}\", end='')  # naïve\n",
    "    \n\n\n  if x != y and not (a<=b):\n\t\t\treturn None", "x = {'東京': '日本', 'emoji': '😀👩‍👩‍👧', 'ß': 'ẞ'}",
    "const f = async (x) => { await g(x?.y ?? 0); }; // TODO", "SELECT * FROM t WHERE id=42 AND name LIKE '%x%';",
    "<s>[INST] not special [/INST]</s><|im_end|>", "aAaAAAaaBBbb ThisIsCamelCase ALLCAPSWord snake_case_name __init__",
    "https://example.org/a/b/c?d=e&f=g#h", "3.14159e-10 0b1010 1,000,000", "a\u0301e\u0308 \u200b\ufeff \u00a0x",
    "é" * 50 + "Z" * 150 + " " * 90 + "//////" + "\n" * 5, "\t \t \n \t", "\u0000\u0001\x7f", "'s don't WE'LL i'm",
]


def reduced(version):
    whole = json.loads((DATA / "tekken_240911.json").read_text())
    names = SPECIALS[version]
    count = 24 if version != "v3" else 20
    config = dict(whole["config"], version=version, num_vocab_tokens=TOKENS, default_vocab_size=TOKENS - 100 + count,
                  default_num_special_tokens=count)
    small = {"config": config, "vocab": whole["vocab"][:TOKENS]}
    if names:
        small["special_tokens"] = [
            {"rank": rank, "token_str": name, "is_control": True} for rank, name in enumerate(names)]
    return small


def chats(path):
    tokenizer = MistralTokenizer.from_file(str(path))
    user, answer = UserMessage(content="fix\n it [INST]"), AssistantMessage(content="done\n")
    for messages in [[user], [SystemMessage(content="Be brief."), user], [user, answer, UserMessage(content=" why?")]]:
        ids = tokenizer.encode_chat_completion(ChatCompletionRequest(messages=messages)).tokens
        yield {"messages": [{"role": m.role, "content": m.content} for m in messages], "ids": ids}


def tool_chats(path):
    """Conversations in which tools are called; the arguments of calls are objects, as templates take them."""
    tokenizer = MistralTokenizer.from_file(str(path))
    tools = [
        Tool(function=Function(name="ls", description="Lists <é>", parameters={
            "type": "object", "required": ["path"], "properties": {"path": {"type": "string", "description": "where"}}})),
        Tool(function=Function(name="run", parameters={"type": "object", "properties": {}})),
    ]
    ls = ToolCall(id="call00001", function=FunctionCall(name="ls", arguments='{"path": ".", "b": [1, 2.5]}'))
    run = ToolCall(id="call00002", function=FunctionCall(name="run", arguments="{}"))
    said = [UserMessage(content="what is here?"), AssistantMessage(content="", tool_calls=[ls, run])]
    results = [ToolMessage(content="a.py é", tool_call_id="call00001"), ToolMessage(content="ok", tool_call_id="call00002")]
    turned = results[::-1]
    after = [AssistantMessage(content="done"), UserMessage(content="more?")]
    for messages in [said[:1], said + results, said + turned, [SystemMessage(content="S")] + said + results + after]:
        ids = tokenizer.encode_chat_completion(ChatCompletionRequest(messages=messages, tools=tools)).tokens
        yield {"messages": [turn(message) for message in messages], "given": {"tools": [tool.model_dump(
            exclude_none=True, exclude={"function": {"strict"}}) for tool in tools]}, "ids": ids}


def turn(message):
    fields = {"role": str(getattr(message.role, "value", message.role)), "content": message.content or ""}
    if getattr(message, "tool_call_id", None):
        fields["tool_call_id"] = message.tool_call_id
    if getattr(message, "tool_calls", None):
        fields["tool_calls"] = [{"id": call.id, "type": "function", "function": {
            "name": call.function.name, "arguments": json.loads(call.function.arguments)}} for call in message.tool_calls]
    return fields


def main():
    if sys.argv[1:2] == ["--whole"]:
        tokenizer = Tekkenizer.from_file(sys.argv[2])
        for path in sources():
            print(json.dumps([str(path.relative_to(ROOT)), tokenizer.encode(path.read_text(), False, False)]))
        return
    reference = {"snippets": SNIPPETS}
    for version in SPECIALS:
        path = HERE / f"tekken_{version}.json"
        small = reduced(version)
        if version != "v7":
            # The same merges: one file of them is enough.
            path.write_text(json.dumps({**small, "vocab": []}))
            small["vocab"] = reduced("v7")["vocab"]
            path = Path("/tmp") / path.name
        path.write_text(json.dumps(small, separators=(",", ":")))
        tokenizer = Tekkenizer.from_file(str(path))
        ids = [tokenizer.encode(text, False, False) for text in SNIPPETS]
        reference[version] = {"ids": ids, "chats": list(chats(path)), "tool_chats": list(tool_chats(path)) if version != "v3" else []}
    text = json.dumps(reference, separators=(",", ":"))
    Path(__file__).with_suffix(".json").write_text(text + "\n")
    assert base64.b64decode(small["vocab"][97]["token_bytes"]) == b"a"


def sources():
    return sorted(path for kind in ["*.rs", "*.py", "*.md", "*.toml"] for path in ROOT.rglob(kind)
                  if "target" not in path.parts)


if __name__ == "__main__":
    main()
