"""A model behind OpenAI's chat completions, of OpenAI or any compatible server: it advises and answers, never decides.

Least permission: a key that may call chat completions of one model. The model gets no tools and no credentials, and
its answer is read as a form (`connectors.advice_format`, `knowledge.answer`), of which sentences may be heard while it
is written. It is asked within one total deadline; whoever waits goes on without it. Servers differ in what output
formats they take: the best that works is found once and remembered.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from bot.core.question import Said
from bot.core.request import Advice
from bot.core.strict_json import Unusable
from bot.errors import Fault
from bot.ports import Asked, Brief, Heard
from connectors import advice_format
from connectors.addresses import is_loopback
from connectors.openai_stream import VENDOR, Listen, Listening, complete, read_stream

CONNECT_SECONDS = 3.0
FORMATS = ("json_schema", "json_object", "")
T = TypeVar("T")
REPAIR = "This answer cannot be used: {problem}. Answer again with one JSON object of the form and nothing else."


class OpenAIModel:
    """Implements `bot.ports.Adviser` and `bot.ports.Answerer` with one model at one server."""

    def __init__(self, base_url: str | None, api_key: str, model: str, *, deadline: float = 25.0) -> None:
        self._base_url = base_url or "https://api.openai.com/v1"
        self._api_key = api_key
        self.model = model
        self._deadline = deadline
        self._format = 0
        self._streams = True
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
        return f"the model server answers and {'lists' if self.model in known else 'does not list'} {self.model}"

    async def advise(self, brief: Brief) -> Advice:
        """One recommendation; a Fault when there is none in time."""
        allowed, links = advice_format.citable(brief), frozenset(one.url for one in brief.passages)
        asked = advice_format.messages(brief, secrets.token_hex(8))
        advice = await self._in_time(
            self._form(
                "advice", advice_format.SCHEMA, asked, lambda text: advice_format.parse_advice(text, allowed, links)
            )
        )
        digest = hashlib.sha256(brief.system.encode()).hexdigest()
        return replace(advice, model=self.model, prompt_digest=digest)

    async def answer(self, asked: Asked, heard: Heard | None = None) -> Said:
        """What the model says, unchecked; a Fault when there is no usable answer in time."""
        from knowledge import answer as answer_format

        told = answer_format.messages(asked, secrets.token_hex(8))
        listen = Listening(answer_format.finished, heard) if heard else None
        form = self._form("answer", answer_format.SCHEMA, told, answer_format.parse_answer, listen)
        return await self._in_time(form)

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._deadline):
                return await work
        except TimeoutError:
            raise Fault(VENDOR, f"no answer within {self._deadline:.0f} s") from None

    async def _form(
        self,
        name: str,
        schema: dict[str, Any],
        asked: list[dict[str, str]],
        read: Callable[[str], T],
        listen: Listen | None = None,
    ) -> T:
        """A form filled in, with one repair of an answer that cannot be used."""
        answer = await self._ask(name, schema, asked, listen)
        try:
            return read(answer)
        except Unusable as problem:
            repair = REPAIR.format(problem=problem)
        asked += [{"role": "assistant", "content": answer[:2_000]}, {"role": "user", "content": repair}]
        try:
            return read(await self._ask(name, schema, asked))
        except Unusable as problem:
            raise Fault(VENDOR, f"model output unusable: {problem}") from None

    async def _ask(
        self, name: str, schema: dict[str, Any], asked: list[dict[str, str]], listen: Listen | None = None
    ) -> str:
        """The model's whole answer, in the best format that the server takes."""
        while True:
            rung, streams = self._format, listen if self._streams else None
            request = {"model": self.model, "messages": asked, **_response_format(FORMATS[rung], name, schema)}
            try:
                return str(await self._call(lambda client, sent=request, to=streams: _answered(client, sent, to)))
            except Fault as fault:
                if fault.status not in (400, 422):
                    raise
                if FORMATS[rung] and "response_format" in fault.what:
                    self._format = max(self._format, rung + 1)
                elif streams and "stream" in fault.what:
                    self._streams = False
                else:
                    raise

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


def _response_format(kind: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if kind == "json_schema":
        return {"response_format": {"type": kind, kind: {"name": name, "strict": True, "schema": schema}}}
    return {"response_format": {"type": kind}} if kind else {}


def _openai() -> Any:
    """The package: about a second the first time."""
    import openai

    return openai


async def _answered(client: Any, request: dict[str, Any], listen: Listen | None) -> str:
    if listen is not None:
        return await read_stream(await client.chat.completions.create(**request, stream=True), listen)
    return _answer(await client.chat.completions.create(**request))


def _answer(completion: Any) -> str:
    """The text of the first choice. A cut or refused answer is one that no repair can help, as is none."""
    choices = getattr(completion, "choices", None)
    if not choices:
        raise Fault(VENDOR, "an answer that is not a chat completion")
    return complete(choices[0].message.content, choices[0].finish_reason)


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
