"""A ComfyUI that runs, spoken to by its HTTP interface, and example workflows as the prompts that its page sends."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LINKED = ("IMAGE", "MASK", "VIDEO", "AUDIO")  # types without a widget


class Server:
    """``address``: http://127.0.0.1:8188."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, path: str, content: Any = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.address}/{path}", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None
        return json.loads(body) if body else None

    def wait_until_it_answers(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                self.ask("system_stats")
                return
            except OSError:
                assert time.monotonic() < until, "ComfyUI does not answer"
                time.sleep(1)

    def send(self, prompt: Mapping[str, Any]) -> str:
        return self.ask("prompt", {"prompt": prompt})["prompt_id"]

    def history(self, number: str, seconds: float) -> dict[str, Any]:
        """What became of a prompt, once it is over."""
        until = time.monotonic() + seconds
        while number not in (found := self.ask(f"history/{number}")):
            assert time.monotonic() < until, "the prompt does not end"
            time.sleep(0.5)
        return found[number]

    def prompt_of(self, workflow: Path, **changes: Mapping[str, Any]) -> dict[str, Any]:
        """An example workflow with other values, by node type and widget."""
        flow = json.loads(workflow.read_text(encoding="utf-8"))
        sources = {link[0]: [str(link[1]), link[2]] for link in flow["links"]}
        prompt = {}
        for node in flow["nodes"]:
            about = self.ask(f"object_info/{node['type']}")[node["type"]]["input"]
            linked = {i["name"]: sources[i["link"]] for i in node["inputs"] if i["link"] is not None}
            values = dict(zip(_widgets(about), node["widgets_values"], strict=False))
            inputs = values | changes.get(node["type"], {}) | linked
            prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
        return prompt


def _widgets(about: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("required", "optional"):
        for name, (shape, *_) in about.get(kind, {}).items():
            if isinstance(shape, list) or shape not in LINKED:
                yield name
