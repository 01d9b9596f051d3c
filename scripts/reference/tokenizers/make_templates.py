"""Writes src/text/reference/templates.json: chat templates with the features of published ones, rendered by Jinja2.

pip install jinja2==3.1.6, then python3 scripts/reference/tokenizers/make_templates.py

The environment is set up as Hugging Face's transformers does it: sandboxed, blocks trimmed, loop controls, `generation` blocks,
`tojson` without escapes of HTML, `raise_exception` and `strftime_now`.
"""

import datetime
import json
import os

from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

TARGET = os.path.join(os.path.dirname(__file__), "..", "..", "..", "src", "text", "reference", "templates.json")
DATE = datetime.datetime(2024, 7, 4, 15, 5, 9)

TEMPLATES = {
    "turns between marks": """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "default system": """{%- if messages[0]['role'] == 'system' -%}
    {%- set system = messages[0]['content'] -%}{%- set rest = messages[1:] -%}
{%- else -%}
    {%- set system = 'Be brief.' -%}{%- set rest = messages -%}
{%- endif -%}
{{ bos_token }}<<{{ system | trim }}>>
{%- for message in rest %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
    {%- if loop.first %}!{% endif %}[{{ message.role | upper }}] {{ message.content | trim }}{{ eos_token if loop.last else ';' }}
{%- endfor %}""",
    "tools as json": """{%- macro describe(tool) -%}{{ tool | tojson }}{%- endmacro -%}
{%- if tools is defined and tools is not none %}Tools:{% for tool in tools %}
{{ describe(tool.function if 'function' in tool else tool) }}{% endfor %}
{{ tools | map(attribute='type') | list | length }}
{{ tools[0] | tojson(indent=2) }}{% endif %}
{%- for m in messages %}{% if m.tool_calls is defined and m.tool_calls %}{% for call in m.tool_calls %}<call>{"name": "{{ call.name }}", "arguments": {{ call.arguments | tojson }}}</call>{% endfor %}{% else %}{{ m.content }}{% endif %}
{% endfor %}""",
    "last query and thinking": """{%- set ns = namespace(last=messages | length - 1, open=true) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if ns.open and message.role == 'user' and not (message.content.startswith('<r>') and message.content.endswith('</r>')) %}
        {%- set ns.open = false %}{%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if '</think>' in content %}
        {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- if loop.index0 > ns.last %}{{ '(' + thought + ')' }}{% endif %}
    {%- endif %}
    {{- message.role ~ ':' ~ content ~ '|' ~ loop.index ~ '/' ~ loop.length }}
{% endfor %}
{%- if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}""",
    "dates": """{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{% endif -%}
Cutting Knowledge Date: December 2023
Today Date: {{ date_string }} {{ strftime_now("%Y-%m-%d %H:%M") }}""",
    "neighbours and breaks": """{%- for m in messages %}
{%- if m.role == 'stop' %}{% break %}{% endif %}
{%- if m.role == 'skip' %}{% continue %}{% endif %}
{%- if loop.previtem is defined and loop.previtem.role == m.role %}+{% endif %}{{ m.role[0] }}{% if loop.nextitem is defined %}>{{ loop.nextitem.role }}{% endif %};
{%- endfor %}""",
    "generation blocks": """{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}

{% endfor %}""",
    "parts of content": """{%- for m in messages %}<{{ 'model' if m.role == 'assistant' else m.role }}>
{%- if m.content is string %}{{ m.content | trim }}
{%- elif m.content is iterable %}{% for part in m.content %}{% if part['type'] == 'text' %}{{ part['text'] | trim }}{% elif part.type == 'image' %}<image>{% endif %}{% endfor %}
{%- endif %}</>
{% endfor %}""",
    "filters and tests": """{{ ' a ' | trim | upper }}|{{ 'x' | default('d') }}|{{ missing | default('d') }}|{{ [3,1,2] | sort | join('-') }}|{{ [1,2,3] | first }}{{ [1,2,3] | last }}|{{ {'b': 1, 'a': [true, none]} | tojson }}|{{ 'a,b'.split(',') | length }}|{{ 'aXb' | replace('X', '-') }}|{{ 7 // 2 }}{{ 7 % 4 }}{{ -7 // 2 }}|{{ '5' | int + 1 }}|{{ 1.5 | string }}|{{ 'hello world' | capitalize }}|{{ 'hello world' | title }}|{{ 1 if (1 in [1,2]) and not ('z' in 'abc') else 2 }}|{{ 1 if none is none and {} is mapping and 1 is number and 'a' is string and [] is iterable else 2 }}|{{ 'abc'[1:] }}{{ 'abc'[::-1] }}{{ 'abc'[-1] }}""",
    "dictionaries": """{% for key, value in {'one': 1, 'two': {'x': 'y'}}.items() %}{{ key }}={{ value.get('x', '-') if value is mapping else value }};{% endfor %}{{ (messages | selectattr('role', 'equalto', 'user') | list | length) }}{{ (messages | rejectattr('role', 'equalto', 'user') | map(attribute='role') | join('+')) }}""",
    "set blocks and indents": """{% set body %}
  line one
  line two
{% endset %}
{{- body | trim | indent(4) }}
{% if true %}
    kept
{% endif %}
  {# a comment #}
end""",
    "counting": """{% set n = namespace(value=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set n.value = n.value + 1 %}{% endif %}{% endfor %}{{ n.value }}{% for i in range(2, 6, 2) %} {{ i }}{% endfor %}{% for x in [] %}{% else %} none{% endfor %}""",
    "strings": """{{ "it's \\"quoted\\"" }} {{ 'tab\\there' }} {{ 'a' 'b' }} {{ 'Ab'.lower() + 'Ab'.upper() + '  s '.strip() + 'x y'.title() }} {{ 'a-b-c'.replace('-', '+') }} {{ 'k: v: w'.split(': ', 1) | join('/') }} {{ 'äß' | length }}""",
}

# Templates that expect contents in parts.
READ_PARTS = ["parts of content", "counting"]


class Generation(Extension):
    """`{% generation %}` marks the assistant's tokens; the text between is printed as it is."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.Scope(body, lineno=line)


def raise_exception(message):
    raise ValueError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def conversations():
    said = lambda role, content, **more: {"role": role, "content": content, **more}  # noqa: E731
    tools = [
        {"name": "add", "description": "Adds <a> & 'b'", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}, "required": []}},
        {"type": "function", "function": {"name": "größe", "strict": True, "n": 1.5, "none": None}},
    ]
    yield "one", [said("user", " Hi ")], {}
    yield "several", [said("system", " Be kind.\n"), said("user", "A <b> & \"c\" 'd'"), said("assistant", "Ünïcode 🙂"), said("user", "")], {}
    calls = [{"name": "add", "arguments": {"a": 1, "b": [1.5, None, True], "c": "é\"\n"}}]
    yield (
        "tools",
        [said("user", "1+1?"), said("assistant", "", tool_calls=calls), said("user", "<r>2</r>"), said("assistant", "<think>\nhm\n</think>\n\n2")],
        {"tools": tools, "enable_thinking": False},
    )
    yield "odd", [said("user", "a"), said("user", "b"), said("skip", "c"), said("assistant", "d"), said("stop", "e"), said("user", "f")], {}
    yield "parts", [said("user", [{"type": "text", "text": " look "}, {"type": "image"}])], {}


def main():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = DATE.strftime
    cases = []
    for name, source in TEMPLATES.items():
        template = environment.from_string(source)
        for about, messages, variables in conversations():
            if about == "parts" and name not in READ_PARTS:
                continue
            try:
                text = template.render(
                    messages=messages, bos_token="<s>", eos_token="</s>", add_generation_prompt=True, **variables
                )
            except Exception:  # noqa: BLE001 - any failure of the template is a refusal
                text = None
            cases.append({"template": name, "conversation": about, "text": text})
    listed = [{"name": name, "messages": messages, "variables": variables} for name, messages, variables in conversations()]
    with open(TARGET, "w", encoding="utf-8") as file:
        json.dump({"templates": TEMPLATES, "conversations": listed, "rendered": cases}, file, indent=1)
        file.write("\n")
    print(len(cases), "renderings,", sum(case["text"] is None for case in cases), "refusals")


if __name__ == "__main__":
    main()
