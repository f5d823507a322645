#!/usr/bin/env python3
"""Writes jinja.json: what transformers' sandbox makes of templates.

Run with transformers==5.23.0 and jinja2==3.1.6 installed:

    python tests/oracle/generate_jinja.py

jinja.json holds the templates of jinja_cases.py with their output, or that they
fail and with what; and for each of chat_templates/*.jinja, and for the real ones
of ../shared/tokenizers if that is there, what they make of the conversations of
chat_conversations.py: length and CRC-32, every 16th in full.
"""

import datetime
import json
import pathlib
import zlib

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
        message = result.pop("message", "")
        # Other messages are in the words of Python, or name its classes.
        if result.get("error") == "UndefinedError" and "jinja2." not in message and "transformers." not in message:
            result["message"] = message
        yield {"template": template, **result}


def sources():
    """Name, folder it comes from if that is not here, and text."""
    for path in sorted((HERE / "chat_templates").glob("*.jinja")):
        yield path.name, None, path.read_bytes().decode()
    for path in sorted((HERE / "../../../shared/tokenizers").glob("*/tokenizer_config.json")):
        template = json.loads(path.read_text()).get("chat_template")
        if template:
            yield path.parent.name, path.parent.name, template


def chats(conversations):
    for name, shared, source in sources():
        rows = []
        for i, context in enumerate(conversations):
            row = render(source, context)
            row.pop("message", None)
            if "out" in row and i % 16 != 0:
                text = row.pop("out").encode()
                row = {"bytes": len(text), "crc32": zlib.crc32(text), **row}
            rows.append(row)
        yield {"template": name, **({"shared": shared} if shared else {}), "results": rows}


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
