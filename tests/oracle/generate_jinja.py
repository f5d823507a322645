#!/usr/bin/env python3
"""Writes jinja.json: what transformers' sandbox makes of templates.

Run with transformers==5.23.0 and jinja2==3.1.6 installed:

    python tests/oracle/generate_jinja.py

jinja.json holds the templates of jinja_cases.py with their output, or that they
fail and with what; and for each of chat_templates/*.jinja the conversations of
chat_conversations.py, by number, with digests of their renderings and some in
full.
"""

import datetime
import hashlib
import json
import pathlib

import jinja2
from transformers.utils import chat_template_utils

import chat_conversations
import jinja_cases

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2025, 3, 7, 14, 5, 9)


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def byte_spans(text, spans):
    return [[len(text[:i].encode()) for i in span] for span in spans]


def render(template, context):
    """{"out", "spans"}, or {"refused"}, or {"error"}: the kind and the message."""
    chat_template_utils.datetime = FixedTime
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        blocks, spans = [], []
        with compiled.environment.activate_tracker(blocks, spans):
            for block in compiled.generate(**context):
                blocks.append(block)
        text = "".join(blocks)
        text.encode()
    except jinja2.TemplateError as error:
        if type(error) is jinja2.TemplateError:
            return {"refused": str(error.message)}
        return {"error": type(error).__name__, "message": str(error.message)}
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}
    result = {"out": text}
    if spans:
        result["spans"] = byte_spans(text, spans)
    return result


def cases():
    expressions = ["{{ %s }}" % line for line in jinja_cases.EXPRESSIONS.strip().splitlines()]
    for template in expressions + jinja_cases.STATEMENTS:
        result = render(template, jinja_cases.CONTEXT)
        if result.get("error") != "UndefinedError":
            result.pop("message", None) # words are Python's
        yield {"template": template, **result}


def chats(conversations):
    for path in sorted((HERE / "chat_templates").glob("*.jinja")):
        source = path.read_bytes().decode()
        rows = []
        for i, context in enumerate(conversations):
            result = render(source, context)
            if "out" in result and i % 16 != 0:
                digest = hashlib.sha256(result["out"].encode()).hexdigest()
                result = {"sha256": digest[:16], **({"spans": result["spans"]} if "spans" in result else {})}
            result.pop("message", None)
            rows.append(result)
        yield {"template": path.name, "results": rows}


def main():
    conversations = chat_conversations.make()
    data = {
        "context": jinja_cases.CONTEXT,
        "cases": list(cases()),
        "conversations": conversations,
        "chats": list(chats(conversations)),
    }
    text = json.dumps(data, ensure_ascii=False, indent=None, separators=(",", ":"))
    # A line for each case keeps changes readable.
    (HERE / "jinja.json").write_text(text.replace("},{\"template\"", "},\n{\"template\"") + "\n")


if __name__ == "__main__":
    main()
