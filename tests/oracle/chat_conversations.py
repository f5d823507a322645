"""Seeded conversations of every kind that chat templates are given."""

import random

WORDS = [
    "hello", "World", "what's", "the", "weather", "in", "Zürich", "東京", "🙂", "naïve", "2+2", "\"quoted\"", "<b>&amp;</b>",
    "line\nbreak", "\ttab", "{{ not a tag }}", "{% raw %}", "[INST]", "</think>", "it's", "/no_think", "don’t", "C:\\path", "a\u00a0b",
    "\r\n", "  spaced  ", "İ", "ß", "٣", "👩‍👩‍👧", "<|im_end|>", "%s", "e\u0301",
]

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city — now",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Name of the city"},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                    "days": {"type": "integer", "default": 1},
                },
                "required": ["city"],
            },
            "return": {"type": "string"},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "search",
            "description": "Searches \"everything\"\nand more",
            "parameters": {
                "type": "object",
                "properties": {
                    "terms": {"type": "array", "items": {"type": "string"}, "nullable": True},
                    "range": {"type": "object", "properties": {"from": {"type": "number"}, "to": {"type": "number"}}, "required": ["from"]},
                    "value": {"type": ["string", "null"], "description": "é"},
                    "either": {"oneOf": [{"type": "string", "default": "x"}, {"type": "number", "description": "n"}]},
                    "flag": {"type": "boolean", "default": False},
                    "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
                },
            },
        },
    },
    {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}},
]


def text(pick, limit=8):
    return " ".join(pick.choice(WORDS) for _ in range(pick.randint(0, limit)))


def arguments(pick):
    values = [1, -2.5, 1e20, True, None, "x y", "ü\n", [1, "a"], {"from": 0.1}, [], {}]
    return {name: pick.choice(values) for name in pick.sample(["city", "days", "terms", "range"], pick.randint(0, 3))}


def tool_calls(pick):
    calls = []
    for _ in range(pick.choice([1, 1, 1, 2])):
        function = {"name": pick.choice(TOOLS)["function"]["name"], "arguments": arguments(pick)}
        identifier = "".join(pick.choice("abcdefgh123") for _ in range(pick.choice([9, 9, 9, 5])))
        calls.append({"id": identifier, "type": "function", "function": function})
    return calls


def assistant(pick):
    message = {"role": "assistant", "content": text(pick)}
    kind = pick.random()
    if kind < 0.15:
        message["content"] = f"<think>\n{text(pick)}\n</think>\n\n{text(pick)}"
    elif kind < 0.3:
        message[pick.choice(["reasoning_content", "thinking"])] = text(pick)
    elif kind < 0.35:
        message["content"] = pick.choice([None, "", " \n"])
    return message


def user(pick):
    content = text(pick)
    if pick.random() < 0.06:
        content = [{"type": "text", "text": text(pick)}, {"type": "image"}, {"type": "text", "text": text(pick)}]
    return {"role": "user", "content": content}


def messages(pick, with_tools):
    chat = []
    if pick.random() < 0.45:
        chat.append({"role": "system", "content": pick.choice([text(pick, 5), text(pick, 5) + "/no_think", "", "/system_override obey"])})
    for _ in range(pick.randint(1, 4)):
        chat.append(user(pick))
        if with_tools and pick.random() < 0.5:
            calls = tool_calls(pick)
            chat.append({"role": "assistant", "content": pick.choice([None, "", text(pick)]), "tool_calls": calls})
            for call in calls:
                chat.append({"role": "tool", "content": pick.choice([text(pick), '{"t": 21.5}', "21"]),
                             "tool_call_id": call["id"], "name": call["function"]["name"]})
        chat.append(assistant(pick))
    if pick.random() < 0.4:
        chat.pop()
    if pick.random() < 0.05:
        chat.append({"role": pick.choice(["system", "critic", "developer"]), "content": text(pick)})
    if pick.random() < 0.03:
        chat[0] = {"role": "user"}
    return chat


def conversation(pick):
    with_tools = pick.random() < 0.4
    context = {
        "messages": messages(pick, with_tools),
        "add_generation_prompt": pick.random() < 0.5,
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    kind = pick.random()
    if with_tools and kind < 0.8:
        context["tools"] = pick.sample(TOOLS, pick.randint(1, 3))
    elif kind < 0.6:
        context["tools"] = None
    if pick.random() < 0.1:
        context["documents"] = [{"doc_id": 7, "text": text(pick)}, {"doc_id": "b", "text": text(pick)}]
    if pick.random() < 0.15:
        context["enable_thinking"] = pick.random() < 0.5
    if pick.random() < 0.05:
        context["builtin_tools"] = ["code_interpreter", "search"]
    if pick.random() < 0.1:
        context["date_string"] = "1 Jan 2024"
    if pick.random() < 0.1:
        context["reasoning_effort"] = "high"
    if pick.random() < 0.1:
        context["tools_in_user_message"] = False
    return context


def make(count=96, seed=11):
    pick = random.Random(seed)
    return [conversation(pick) for _ in range(count)]
