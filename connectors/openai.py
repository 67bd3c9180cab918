"""A model behind OpenAI's chat completions, of OpenAI or any compatible server: a recommendation, never a decision.

Least permission: a key that may call chat completions of one model. The model gets no tools and no credentials, and
its answer is read as a form (`connectors.advice_format`). It is asked within one total deadline; whoever waits goes
on without it. Servers differ in what output formats they take: the best that works is found once and remembered.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import replace
from typing import Any

from bot.core.request import Advice
from bot.errors import Fault
from bot.ports import Brief
from connectors.addresses import is_loopback
from connectors.advice_format import SCHEMA, Unusable, citable, messages, parse_advice

VENDOR = "openai"
CONNECT_SECONDS = 3.0
FORMATS: tuple[dict[str, Any], ...] = (
    {"response_format": {"type": "json_schema", "json_schema": {"name": "advice", "strict": True, "schema": SCHEMA}}},
    {"response_format": {"type": "json_object"}},
    {},
)
REPAIR = "This answer cannot be used: {problem}. Answer again with one JSON object of the form and nothing else."


class OpenAIAdviser:
    """Implements `bot.ports.Adviser` for one model at one server."""

    def __init__(self, base_url: str | None, api_key: str, model: str, *, deadline: float = 25.0) -> None:
        self._base_url = base_url or "https://api.openai.com/v1"
        self._api_key = api_key
        self._model = model
        self._deadline = deadline
        self._format = 0
        self._client: Any = None

    async def connect(self) -> None:
        """Load the package beside the loop; nothing is asked yet."""
        openai = await asyncio.to_thread(_openai)
        timeout = openai.Timeout(self._deadline, connect=CONNECT_SECONDS)
        http = openai.DefaultAsyncHttpxClient(trust_env=not is_loopback(self._base_url), timeout=timeout)
        self._client = openai.AsyncOpenAI(
            base_url=self._base_url, api_key=self._api_key, timeout=timeout, max_retries=0, http_client=http
        )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def ping(self) -> str:
        """One read, as a sentence for a health page."""
        models = await self._call(lambda client: client.models.list())
        known = {getattr(model, "id", "") for model in getattr(models, "data", None) or ()}
        return f"the model server answers and {'lists' if self._model in known else 'does not list'} {self._model}"

    async def advise(self, brief: Brief) -> Advice:
        """One recommendation, with one repair of an answer that cannot be used; a Fault when there is none in time."""
        try:
            async with asyncio.timeout(self._deadline):
                advice = await self._advise(brief)
        except TimeoutError:
            raise Fault(VENDOR, f"no answer within {self._deadline:.0f} s") from None
        digest = hashlib.sha256(brief.system.encode()).hexdigest()
        return replace(advice, model=self._model, prompt_digest=digest)

    async def _advise(self, brief: Brief) -> Advice:
        asked = messages(brief, secrets.token_hex(8))
        allowed, links = citable(brief), frozenset(one.url for one in brief.passages)
        answer = await self._ask(asked)
        try:
            return parse_advice(answer, allowed, links)
        except Unusable as problem:
            repair = REPAIR.format(problem=problem)
        asked += [{"role": "assistant", "content": answer[:2_000]}, {"role": "user", "content": repair}]
        try:
            return parse_advice(await self._ask(asked), allowed, links)
        except Unusable as problem:
            raise Fault(VENDOR, f"model output unusable: {problem}") from None

    async def _ask(self, asked: list[dict[str, str]]) -> str:
        """The model's whole answer, in the best format that the server takes."""
        while True:
            rung = self._format
            request = {"model": self._model, "messages": asked, **FORMATS[rung]}
            try:
                return _answer(await self._call(lambda client, sent=request: client.chat.completions.create(**sent)))
            except Fault as fault:
                if not (fault.status in (400, 422) and FORMATS[rung] and "response_format" in fault.what):
                    raise
                self._format = max(self._format, rung + 1)

    async def _call(self, call: Any) -> Any:
        """One call; every error of the package becomes a Fault."""
        if self._client is None:
            await self.connect()
        openai = _openai()
        try:
            return await call(self._client)
        except openai.APIStatusError as error:
            raise _refused(error) from error
        except (openai.OpenAIError, ValueError) as error:
            raise Fault(VENDOR, f"no readable answer ({type(error).__name__})") from error


def _openai() -> Any:
    """The package: about a second the first time."""
    import openai

    return openai


def _answer(completion: Any) -> str:
    """The text of the first choice. A cut or refused answer is one that no repair can help, as is none."""
    choices = getattr(completion, "choices", None)
    if not choices:
        raise Fault(VENDOR, "an answer that is not a chat completion")
    content = choices[0].message.content
    if choices[0].finish_reason in ("length", "content_filter") or not isinstance(content, str):
        raise Fault(VENDOR, f"no complete answer (finish reason {str(choices[0].finish_reason)[:40]})")
    return content


def _refused(error: Any) -> Fault:
    status = error.status_code
    retry_after = error.response.headers.get("retry-after", "")
    return Fault(
        VENDOR,
        f"{status} {error.message}"[:500],
        status=status,
        retry_after=float(retry_after) if status == 429 and retry_after.isdigit() else None,
        permanent=400 <= status < 500 and status not in (408, 409, 429),
    )
