"""
The connection to a node: an HTTP endpoint, several as one, or a local chain in this process.

This module decides what is asked again and what is not. Reads are repeated, patiently, when the
node cannot be reached or asks for less; a transaction is sent once, because only its sender can
tell whether it arrived. An answer without the form of one is none. It knows nothing of contracts.
URLs may hold secrets, so messages name the host only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import requests
from web3 import Web3
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from oracle.chain.answers import makes_sense

IN_PROCESS = "eth-tester"
"""The URL of a local chain inside this process."""

ATTEMPTS = 6
FIRST_PAUSE = 0.25  # seconds, doubled after each attempt
LONGEST_PAUSE = 30.0
TIMEOUT = 30.0
SHORT_TIMEOUT = 10.0
"""Seconds that one of several nodes has for an answer."""
WRITES = frozenset({"eth_sendRawTransaction"})
_BUSY = frozenset({429, 502, 503, 504})
_SERVER_ERROR = 500
_INTERNAL_ERROR = -32603
_LIMIT_EXCEEDED = frozenset({-32005, 429})


class RpcUnreachable(Exception):
    """The node gave no usable answer, and asking again did not help."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"The node at {urlsplit(url).hostname or url} gave no answer: {reason}.")


class AgreementImpossible(Exception):
    """More nodes have to agree than there are."""

    def __init__(self, agree: int, nodes: int) -> None:
        super().__init__(f"{agree} nodes have to agree, and {nodes} are given.")


class WrongChain(Exception):
    """The node is on another chain than the one that was meant."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"Expected chain {expected}, but the node is on chain {found}.")
        self.expected = expected
        self.found = found


def connect(
    urls: str | Sequence[str],
    *,
    agree: int | None = None,
    chain_id: int | None = None,
    timeout: float = TIMEOUT,
    attempts: int = ATTEMPTS,
) -> Web3:
    """
    Return a `Web3` on the node at a URL, `http(s)://…` or `eth-tester`, or on several as one.

    Several are given one by one or with commas between; `agree` of them have to say alike what is
    settled on, by default more than half. Raises `RpcUnreachable`, and `WrongChain` unless the
    node is on `chain_id`.
    """
    given = [urls] if isinstance(urls, str) else urls
    each = [url for part in given for url in part.replace(" ", "").split(",") if url]
    if each == [IN_PROCESS]:
        from oracle.chain import devnet, devnet_rpc

        web3 = devnet_rpc.connect(devnet.Devnet())
    else:
        for url in each or [""]:
            if not url.startswith(("http://", "https://")):
                reason = f"its URL starts neither with http:// nor is it {IN_PROCESS}"
                raise RpcUnreachable(url, reason)
        if len(each) > 1:
            # The others answer meanwhile.
            timeout, attempts = min(timeout, SHORT_TIMEOUT), 1
        providers = [HttpProvider(url, timeout=timeout, attempts=attempts) for url in each]
        web3 = Web3(_together(providers, agree))
        # Some chains put more into `extraData` than web3 accepts by itself.
        web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    if chain_id is not None and (found := web3.eth.chain_id) != chain_id:
        raise WrongChain(chain_id, found)
    return web3


def _together(providers: list[HttpProvider], agree: int | None) -> JSONBaseProvider:
    if not 1 <= (agree or 1) <= len(providers):
        raise AgreementImpossible(agree or 1, len(providers))
    if len(providers) == 1:
        return providers[0]
    from oracle.chain.agreement import AgreeingProvider

    return AgreeingProvider(providers, agree)


class HttpProvider(JSONBaseProvider):
    """JSON-RPC over HTTP POST with the retries of this module."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self._url = url
        self._timeout = timeout
        self._attempts = attempts
        self._pause = pause
        self._sessions = threading.local()

    def __str__(self) -> str:
        return f"RPC connection to {self.host}"

    @property
    def host(self) -> str:
        """The name of the node, without what its URL may hold in secret."""
        return str(urlsplit(self._url).hostname)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Return the node's answer, an error of its own included; raise `RpcUnreachable`."""
        body = self.encode_rpc_request(method, params)
        answer = self._ask(body, repeatable=method not in WRITES)
        self._check(method, params, answer)
        return cast(RPCResponse, answer)

    def make_batch_request(
        self, batch_requests: list[tuple[RPCEndpoint, Any]]
    ) -> list[RPCResponse] | RPCResponse:
        """Return the answers in the order of the requests, or one error for all of them."""
        body = self.encode_batch_rpc_request(batch_requests)
        repeatable = WRITES.isdisjoint(method for method, _ in batch_requests)
        answer = self._ask(body, repeatable=repeatable)
        if not isinstance(answer, list):
            return cast(RPCResponse, answer)
        if not all(isinstance(each, dict) and isinstance(each.get("id"), int) for each in answer):
            raise RpcUnreachable(self._url, "its answer to a batch is none")
        answers = sorted(answer, key=lambda response: int(response["id"]))
        for (method, params), response in zip(batch_requests, answers, strict=False):
            self._check(method, params, response)
        return answers

    def is_connected(self, show_traceback: bool = False) -> bool:
        """Return whether the node answers."""
        try:
            self.make_request(RPCEndpoint("web3_clientVersion"), [])
        except RpcUnreachable:
            return False
        return True

    def _check(self, method: str, params: Any, response: Any) -> None:
        if not makes_sense(method, params, response):
            raise RpcUnreachable(self._url, f"what it says to {method} makes no sense")

    def _ask(self, body: bytes, *, repeatable: bool) -> Any:
        pause = FIRST_PAUSE
        attempt = 1
        while True:
            try:
                return self._ask_once(body)
            except _Unanswered as failure:
                if not (repeatable and failure.passing) or attempt == self._attempts:
                    raise RpcUnreachable(self._url, str(failure)) from None
                wait = pause if failure.retry_after is None else failure.retry_after
            if wait > LONGEST_PAUSE:
                raise RpcUnreachable(self._url, f"it asks to be left alone for {wait:.0f} s")
            self._pause(wait)
            pause = min(2 * pause, LONGEST_PAUSE)
            attempt += 1

    def _session(self) -> requests.Session:
        """Return the session of this thread; none is made for two."""
        session: requests.Session | None = getattr(self._sessions, "session", None)
        if session is None:
            session = self._sessions.session = requests.Session()
            session.headers["Content-Type"] = "application/json"
        return session

    def _ask_once(self, body: bytes) -> Any:
        try:
            response = self._session().post(self._url, data=body, timeout=self._timeout)
        except requests.Timeout:
            raise _Unanswered(f"no reply within {self._timeout:g} s", passing=True) from None
        except requests.RequestException as error:
            raise _Unanswered(type(error).__name__, passing=True) from None
        if response.status_code in _BUSY:
            retry_after = _seconds_until(response.headers.get("Retry-After"))
            raise _Unanswered(f"HTTP {response.status_code}", True, retry_after)
        may_pass = response.ok or response.status_code >= _SERVER_ERROR
        try:
            # As careful about nesting as `json_text`, and fast enough for a million logs.
            answer = orjson.loads(response.content)
        except ValueError:
            # A balancer's error page, an answer cut off: another one may be whole.
            raise _Unanswered(f"HTTP {response.status_code}, not JSON", may_pass) from None
        if _is_internal(answer):
            raise _Unanswered("it had an internal error", passing=True)
        if (
            isinstance(answer, dict)
            and _error_code(answer) in _LIMIT_EXCEEDED
            and not _too_wide(answer)
        ):
            raise _Unanswered("it limits its requests", passing=True)
        # Some nodes answer an error of theirs with HTTP 400: it is an answer all the same.
        if not response.ok and not (isinstance(answer, dict) and "error" in answer):
            raise _Unanswered(f"HTTP {response.status_code}", may_pass)
        return answer


class _Unanswered(Exception):
    def __init__(self, reason: str, passing: bool, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.passing = passing
        self.retry_after = retry_after


def _error_code(answer: dict[str, Any]) -> int | None:
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else None


def _is_internal(answer: Any) -> bool:
    """Return whether a node failed at a request, and not the request; some call reverts so too."""
    if not isinstance(answer, dict) or _error_code(answer) != _INTERNAL_ERROR:
        return False
    error = answer["error"]
    return not error.get("data") and "revert" not in str(error.get("message", "")).lower()


def _too_wide(answer: dict[str, Any]) -> bool:
    """Return whether a limit was on the blocks or logs of a range, which waiting does not mend."""
    message = str(answer["error"].get("message", "")).lower()
    return any(word in message for word in ("range", "results", "logs", "size"))


def _seconds_until(retry_after: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for: a number, or a date."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
