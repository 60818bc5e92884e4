"""What Jinja2 makes of chat templates as public families of models have them; writes `families.json` beside this file.

Run: python data/template/families.py   (needs jinja2; written with 3.1.6)

The templates in `families/` are short ones of our own that keep what each family does in the language: its loops, tests,
filters, macros, slices, namespaces and refusals. The settings are those of `transformers`. The expressions below come
from comparing some ten thousand that were drawn at random.
"""

import datetime
import json
import pathlib

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
DAY = datetime.datetime(2024, 7, 26)


class Generation(jinja2.ext.Extension):
    """`{% generation %}`, which writes what stands in it."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

    def _same(self, caller):
        return caller()


class Refused(jinja2.TemplateError):
    pass


def refuse(said):
    raise Refused(said)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = to_json
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = DAY.strftime
    return made


NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "edit",
            "description": "Edits a file, e.g. <a> & 'b'.",
            "parameters": {
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "where"},
                    "lines": {"type": "array", "items": {"type": "integer"}},
                    "mode": {"type": "string", "enum": ["add", "cut"], "default": "add"},
                },
                "required": ["path"],
            },
        },
    },
    {
        "type": "function",
        "function": {"name": "test", "description": "Runs all.", "parameters": {"type": "object", "properties": {}}},
    },
]


# What expressions are about, and the expressions: one for each way in which template engines differ.
VALUES = {
    "i": 3, "j": -2, "z": 0, "f": 1.5, "h": -0.25, "y": True, "x": False, "n": None,
    "s": "Hello World", "t": "a,b,,c", "u": " pad \n", "e": "", "q": "it's", "w": 'é"ß', "nl": "l1\nl2\n\nl4",
    "l": [1, 2, 3], "m": ["b", "a", "C"], "o": [], "d": {"b": 1, "a": [1, None, True], "k": "v"}, "p": {},
    "r": [{"n": "x", "v": 2, "on": True}, {"n": "y", "v": 1}, {"n": "x", "v": 3, "on": False}],
}  # fmt: skip
EXPRESSIONS = """
{{ n is iterable }}{{ und is iterable }}{{ s is iterable }}{{ d is iterable }}{{ i is iterable }}{{ y is iterable }}
{{ n is sequence }}{{ s is sequence }}{{ l is sequence }}{{ d is sequence }}{{ i is sequence }}{{ und is sequence }}
{{ (l + l) is sequence }}{{ l[1:] is sequence }}{{ (1, 2) is sequence }}{{ d is mapping }}{{ s is mapping }}
{{ i is callable }}{{ range is callable }}{{ 'aB1' is lower }}{{ 'a1' is lower }}{{ 1 is lower }}{{ 'A1' is upper }}
{{ y is ge(1) }}{{ i is gt(2) }}{{ 'a' is lt('b') }}{{ i is divisibleby(3) }}{{ 'l' is in(s) }}{{ n is sameas(none) }}
{{ '%s' % s }}|{{ '%s and %d' % ('a', 3) }}|{{ '%5.2f|%-4d|%04d|%+d|%x|%r|%%' % (f, 3, 7, 2, 255, 'a') }}
{{ '%s' % n }}|{{ '%s' % [l] }}|{{ '%s %s' % (y, d) }}|{{ '%(b)s %(k)s' % d }}|{{ '%d' % f }}|{{ '%d' % y }}|{{ '%r' % q }}
{{ '%s' % l | length }}|{{ 'a%s' % 'b' ~ 'c' }}|{{ '%s' % (1 + 2) * 2 }}
{{ '%s %s' % 'a' }}
{{ 'a' % 1 }}
{{ '%d' % 'a' }}
{{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ -7 % -3 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }} {{ y % 2 }} {{ j % i }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 // -2 }} {{ 7.5 // 2 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 3 }} {{ 2 ** -1 }} {{ 2 ** 0.5 }}
{{ 1 % 0 }}
{{ 1 // 0 }}
{{ 1 / 0 }}
{{ s % n }}
{{ l % 2 }}
{{ l[::-1] }} {{ l[:0:-1] }} {{ l[2:0:-1] }} {{ l[-2:] }} {{ l[:-1] }} {{ l[5:] }} {{ l[-99:2] }} {{ l[::2] }} {{ l[::-2] }} {{ o[::-1] }}
{{ s[::-1] }} {{ s[:0:-1] }} {{ s[3:0:-1] }} {{ s[-3:-1] }} {{ w[1:] }} {{ e[::-1] }}| {{ (1, 2, 3)[1:] }} {{ (1, 2)[:1] }}
{{ s[i:] }} {{ s[j:] }} {{ s[:j] }} {{ l[n:2] }} {{ l[true:] }}
{{ und[1:] }}
{{ n[1:] }}
{{ d[1:] }}
{{ l[::0] }}
{{ l['a':] }}
{{ none }} {{ true }} {{ [none, true, 'a', 1.0, {'k': none}] }} {{ und }} {{ 1.0 }} {{ 1e3 }} {{ (1,) }} {{ () }} {{ {} }}
{{ "it's" }} {{ ["it's", 'a"b', 'new\\nline', 'é'] }} {{ d }} {{ n ~ y ~ 1.5 ~ l }} {{ 'a' 'b' }} {{ '\\x41\\u00e9' }}
{% for c in 'ab' %}{{ c }}{{ loop.index }}{{ loop.revindex }}{{ loop.last }}{{ loop.length }},{% endfor %}
{% for c in l if c > 1 %}{{ c }}{{ loop.index0 }}{{ loop.first }}{{ loop.previtem }}{{ loop.nextitem }};{% else %}no{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for a, b in [(1, 2), (3, 4)] %}{{ a + b }}{% endfor %}
{% for c in n %}{{ c }}{% endfor %}
{% for c in 3 %}{{ c }}{% endfor %}
{% for c in und %}{{ c }}{% else %}none{% endfor %}
{% for a in l %}{% for b in m %}{{ loop.index }}{% endfor %}{{ loop.cycle('x', 'y') }}{{ loop.changed(a) }}{% endfor %}
{% set z = 1 %}{% for a in l %}{% set z = a %}{% endfor %}{{ z }}{% set ns = namespace(a=1) %}{% for b in l %}{% set ns.a = ns.a + b %}{% endfor %}{{ ns.a }}
{% set v %}a{{ i }}b{% endset %}{{ v }}{{ v | length }}{% set a, b = 1, 2 %}{{ a }}{{ b }}{% filter upper %}x{% endfilter %}
{% set (a, b), c = [(1, 2), 3] %}{{ a }}{{ b }}{{ c }}{% with a = 5, b = 6 %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% macro g(a, b='B') %}[{{ a }}{{ b }}]{% endmacro %}{{ g('x') }}{{ g(b=1, a=2) }}{% macro k() %}<{{ caller() }}>{% endmacro %}{% call k() %}in{% endcall %}
{% for a in l %}{% if a == 2 %}{% continue %}{% endif %}{{ a }}{% if a == 3 %}{% break %}{% endif %}{% endfor %}{% if i > 2 and not x or n %}T{% elif y %}E{% else %}F{% endif %}
{{ 'T' if y else 'F' }}{{ 'T' if x }}{{ (1 if x else 2) + 1 }}{{ 1 < 2 < 3 }}{{ 3 > 2 > 2 }}{{ y >= 1 }}{{ x < f }}{{ [1, 2] < [1, 3] }}{{ 'a' <= 'b' }}
{{ 'a' < 1 }}
{{ n > 1 }}
{{ 'l' in s }}{{ 'a' in d }}{{ 2 in l }}{{ 9 not in l }}{{ true in l }}{{ 'a' in und }}{{ 'x' not in 'abc' }}{{ n in [none] }}
{{ n in s }}
{{ 1 in s }}
{{ 'a' in n }}
{{ -y }}{{ -i }}{{ -f }}{{ - -i }}{{ 1 - -1 }}{{ -i | abs }}
{{ -s }}
{{ 'a' + 1 }}
{{ 'a' + none }}
{{ und + 'a' }}
{{ und.a }}
{{ n.a }}{{ d.zz }}{{ d['zz'] }}{{ l[9] }}{{ s.zz }}{{ d.a[0] }}{{ d['a'][-1] }}{{ s[0] }}{{ s[-1] }}
{{ d.items() | list }}{{ d.keys() | list }}{{ d.get('zz') }}{{ d.get('zz', 1) }}{{ d | dictsort }}{{ d | items | list }}
{{ t.split(',') }}{{ t.split(',', 1) }}{{ u.split() }}{{ s.split(maxsplit=1) }}{{ t.rsplit(',', 1) }}{{ s.split('o')[-1] }}{{ 'a  b '.split(none, 1) }}
{{ t.partition(',') }}{{ t.rpartition(',') }}{{ t.partition('x') }}{{ 'ab'.removeprefix('a') }}{{ 'ab'.removesuffix('b') }}{{ q.title() }}{{ q | title }}{{ s.swapcase() }}
{{ 'x'.ljust(3) }}|{{ 'x'.rjust(3, '.') }}|{{ 'x'.center(4) }}|{{ 'x'.center(5) }}|{{ 'xy'.center(5) }}|{{ '-7'.zfill(4) }}|{{ i | center(4) }}|
{{ nl.splitlines() }}{{ nl.splitlines(true) }}{{ 'a\\r\\nb\\n'.splitlines() }}{{ s.find('o') }}{{ s.rfind('o') }}{{ s.index('o') }}{{ s.count('l') }}{{ m.index('a') }}
{{ s.startswith(('x', 'H')) }}{{ s.endswith('d') }}{{ 'xxaxx'.strip('x') }}{{ u.lstrip() }}|{{ u.rstrip() }}|{{ s.replace('l', 'L', 1) }}{{ '{} {b}'.format(1, b=2) }}{{ ', '.join(m) }}
{{ s | replace('l', 'L', 1) }}{{ 'a' | replace('', '-') }}{{ i | replace(3, 4) }}{{ s | truncate(8) }}{{ s | truncate(5, true, '', 0) }}{{ nl | wordcount }}
{{ nl | indent }}|{{ nl | indent(2, true) }}|{{ nl | indent(2, blank=true) }}|{{ u | indent }}|{{ e | indent(2, true) }}|{{ nl | indent('> ') }}
{{ 2.5 | round }}{{ 3 | round(0, 'floor') }}{{ f | round(1, 'ceil') }}{{ 'a' | int }}{{ '3.7' | int }}{{ 'x' | int(5) }}{{ 'x' | float }}{{ n | int }}{{ y | abs }}
{{ '<a> & "b"' | e }}{{ q | escape }}{{ '<' | safe }}{{ m | sort }}{{ m | sort(case_sensitive=true) }}{{ r | sort(attribute='v') | map(attribute='v') | list }}
{{ r | map(attribute='n') | unique | list }}{{ r | selectattr('on') | list | length }}{{ r | rejectattr('n', 'equalto', 'x') | list }}{{ r | groupby('n') | map('first') | list }}{{ r | sum(attribute='v') }}
{{ l | batch(2) | list }}{{ l | slice(2) | list }}{{ m | join('-') }}{{ r | join('-', attribute='n') }}{{ l | first }}{{ l | last }}{{ l | reverse | list }}{{ s | reverse }}{{ l | min }}{{ m | max }}
{{ und | default('D') }}{{ e | default('D', true) }}{{ n | default('D') }}{{ und | length }}{{ und | first }}{{ und | list }}{{ e | length }}{{ d | length }}
{{ n | length }}
{{ i | length }}
{{ {'b': [1, 'é', none, true, 1.0], 'a': {}} | tojson }}{{ {'b': [], 'a': {'c': [1]}} | tojson(indent=2) }}{{ ['é', '😀'] | tojson(ensure_ascii=true) }}
{{ {'b': 1, 'a': {'d': 1, 'c': 2}} | tojson(sort_keys=true) }}{{ {'b': [1, 2]} | tojson(separators=(',', ':')) }}{{ '<a>' | tojson }}
{{ und | tojson }}
{{ not i is none }}{{ not n }}{{ i is not none and 1 or 2 }}{{ 1 + 2 * 3 - 4 / 2 }}{{ (1 + 2) * 3 }}{{ 'a' ~ 1 + 2 ~ 'b' }}{{ 2 * 'ab' }}{{ 'a' * 0 }}|{{ [0] * 3 }}
a{#- c -#} b {{- ' c ' -}} d {% raw %}{{ x }}{% endraw %} {{ '{{' }} {% if true -%} e {%- endif %} { {% if y %}{{ '{' }}{% endif %}
""".strip().splitlines()


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


SYSTEM = {"role": "system", "content": "Be brief.\n"}
CALL = {
    "id": "abcdefghi",
    "type": "function",
    "function": {"name": "edit", "arguments": {"path": "a.py", "lines": [1, 2], "é": None, "f": 1.0, "b": True}},
}
RESULT = {"role": "tool", "name": "edit", "tool_call_id": "abcdefghi", "content": "done: 1 < 2"}
PARTS = [{"type": "text", "text": "look"}, {"type": "image"}, {"type": "text", "text": "and say "}]
CONVERSATIONS = [
    ([user("hi")], {}),
    ([SYSTEM, user(" what is\n\n1 + 1? "), assistant("2\n"), user("é\tand?")], {}),
    ([user("a"), assistant("<think>\nwhy\n</think>\n\nbecause"), user("b"), assistant("<think>x</think>y")], {}),
    ([SYSTEM, user("fix it"), assistant("", tool_calls=[CALL]), RESULT, assistant("fixed"), user("sure?")], {"tools": TOOLS}),
    ([user("fix it"), assistant("I will.", tool_calls=[CALL, CALL]), RESULT, RESULT], {"tools": TOOLS}),
    ([SYSTEM, user("plan"), assistant("ok", reasoning_content="deep")], {"enable_thinking": False, "thinking": True}),
    ([{"role": "system", "content": [{"type": "text", "text": "see"}]}, {"role": "user", "content": PARTS}], {}),
    ([assistant("first"), user("then"), user("twice")], {"reasoning_effort": "low", "thinking_budget": 600}),
]


def written(template, messages, given, prompt):
    """The text, what a template says when it refuses, or that it fails."""
    everything = {"tools": None, "documents": None, **NAMES, **given, "messages": messages}
    try:
        return {"text": template.render(**everything, add_generation_prompt=prompt)}
    except Refused as refused:
        return {"refused": str(refused)}
    except Exception as error:  # whatever Python says, it is no text
        return {"fails": type(error).__name__}


def evaluated(made, text):
    """What an expression is; none where it is an error."""
    try:
        return made.from_string(text).render(**json.loads(json.dumps(VALUES)))
    except Exception:
        return None


def main():
    made = environment()
    templates = {}
    for file in sorted((HERE / "families").glob("*.jinja")):
        template = made.from_string(file.read_text(encoding="utf-8"))
        templates[file.stem] = [
            [written(template, messages, given, prompt) for prompt in (False, True)]
            for messages, given in CONVERSATIONS
        ]
    told = [{"messages": messages, "given": given} for messages, given in CONVERSATIONS]
    expressions = [[text, evaluated(made, text)] for text in EXPRESSIONS]
    whole = {"names": list(NAMES.items()), "conversations": told, "templates": templates}
    whole |= {"values": VALUES, "expressions": expressions}
    text = json.dumps(whole, ensure_ascii=False, indent=1)
    (HERE / "families.json").write_text(text + "\n", encoding="utf-8")
    kinds = [kind for rows in templates.values() for row in rows for one in row for kind in one]
    print(len(templates), "templates:", {kind: kinds.count(kind) for kind in sorted(set(kinds))})


if __name__ == "__main__":
    main()
