"""GenerationService: a request becomes a call, and a walk its answer."""

import logging
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, assert_never

from grpc.aio import ServicerContext

from majordomo.chain.call import Call, Policy
from majordomo.chain.engine import Engine
from majordomo.chain.events import Answered, AttemptEnded, Content, Restarted
from majordomo.durations import seconds
from majordomo.errors import (
    InvalidRequest,
    MalformedChain,
    ServerDraining,
    Violation,
)
from majordomo.registry import Catalog, Registry
from majordomo.rpc.pages import page_of
from majordomo.rpc.scope import current, current_record
from majordomo.rpc.validation import check
from majordomo.v1.attempt_pb2 import FAILURE_REASON_CREDENTIALS, Attempt
from majordomo.v1.generation_service_pb2 import Call as CallMessage
from majordomo.v1.generation_service_pb2 import (
    ChainOptions,
    ExplainRequest,
    ExplainResponse,
    GenerateRequest,
    GenerateResponse,
    ListTiersRequest,
    ListTiersResponse,
    Restart,
    StreamRequest,
    StreamResponse,
    Tier,
)
from majordomo.v1.generation_service_pb2_grpc import GenerationServiceServicer

_log = logging.getLogger("majordomo")


class GenerationService(GenerationServiceServicer):
    """Answers prompts by walking chains."""

    def __init__(self, engine: Engine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry
        self.draining = False
        """New calls are turned away."""

    async def Generate(  # noqa: N802 - gRPC's name
        self,
        request: GenerateRequest,
        context: ServicerContext[Any, Any],
    ) -> GenerateResponse:
        with self._registry.catalog as catalog:
            call = await self._call(request.call, context, catalog, stream=False)
            _observe(call)
            async with aclosing(self._engine.walk(call)) as events:
                async for event in events:
                    match event:
                        case Answered(answer):
                            return GenerateResponse(
                                message=answer.message, completion=answer.completion
                            )
                        case AttemptEnded(attempt):
                            _notice(attempt)
                        case Content() | Restarted():
                            pass
                        case _:
                            assert_never(event)
        raise AssertionError("a walk ends with an answer or a failure")

    async def Stream(  # noqa: N802 - gRPC's name
        self,
        request: StreamRequest,
        context: ServicerContext[Any, Any],
    ) -> AsyncGenerator[StreamResponse]:
        with self._registry.catalog as catalog:
            call = await self._call(request.call, context, catalog, stream=True)
            _observe(call)
            async with aclosing(self._engine.walk(call)) as events:
                async for event in events:
                    match event:
                        case Content(deltas):
                            for delta in deltas:
                                yield StreamResponse(part_delta=delta)
                        case Answered(answer):
                            yield StreamResponse(completion=answer.completion)
                        case Restarted(interrupted, target):
                            restart = Restart(interrupted=interrupted, target=target)
                            yield StreamResponse(restart=restart)
                        case AttemptEnded(attempt):
                            _notice(attempt)
                            if request.include_attempts:
                                yield StreamResponse(attempt_ended=attempt)
                        case _:
                            assert_never(event)

    async def Explain(  # noqa: N802 - gRPC's name
        self,
        request: ExplainRequest,
        context: ServicerContext[Any, Any],
    ) -> ExplainResponse:
        with self._registry.catalog as catalog:
            call = await self._call(
                request.call, context, catalog, stream=request.stream
            )
            return ExplainResponse(targets=await self._engine.explain(call))

    async def ListTiers(  # noqa: N802 - gRPC's name
        self,
        request: ListTiersRequest,
        context: ServicerContext[Any, Any],  # noqa: ARG002 - gRPC's signature
    ) -> ListTiersResponse:
        catalog = self._registry.catalog
        names, token = page_of(catalog.tiers, request)
        return ListTiersResponse(
            tiers=[
                Tier(name=name, targets=catalog.known_targets(name)) for name in names
            ],
            next_page_token=token,
            default_chain=catalog.default_chain,
        )

    async def _call(
        self,
        asked: CallMessage,
        context: ServicerContext[Any, Any],
        catalog: Catalog,
        *,
        stream: bool,
    ) -> Call:
        """What `asked`, a request's field `call`, asks for.

        Raises Refused: ServerDraining, InvalidRequest, PermissionDenied, UnknownName,
        ResolverFailed.
        """
        scope = current.get()
        call_id = scope.generation_id = f"{random.getrandbits(96):024x}"
        trace_id = scope.record.trace.trace_id if scope.record is not None else ""
        trailers = [("majordomo-generation-id", call_id)]
        if trace_id:
            trailers.append(("majordomo-trace-id", trace_id))
        context.set_trailing_metadata(tuple(trailers))
        if self.draining:
            raise ServerDraining
        check(asked)
        caller = scope.caller
        caller.terms.require_chain(asked.chain or catalog.default_chain)
        try:
            targets = await catalog.resolve(asked.chain)
        except MalformedChain as error:
            raise InvalidRequest([Violation("call.chain", str(error))]) from error
        return Call(
            generation_id=call_id,
            prompt=asked.prompt,
            chain=asked.chain or catalog.default_chain,
            targets=targets,
            stream=stream,
            policy=_policy(asked.options, catalog.policy),
            time_remaining=context.time_remaining(),
            labels=dict(asked.labels),
            trace_id=trace_id,
            caller=caller.name,
            memory=scope.account,
        )


def _notice(attempt: Attempt) -> None:
    """An attempt that failed, or a skip, while the call goes on."""
    record = current_record()
    if record is not None:
        record.on_attempt(attempt)
    if attempt.failure_reason == FAILURE_REASON_CREDENTIALS:
        # For anyone who runs this server to fix.
        _log.error(
            "%s refuses this server's credentials (HTTP %d, %s); fix its api_key",
            attempt.target,
            attempt.http_status_code,
            attempt.provider_error_code or "no code",
        )


def _observe(call: Call) -> None:
    """From here on the call is in the log, in metrics and on its span."""
    record = current_record()
    if record is not None:
        record.on_call(call)


def _policy(options: ChainOptions, server: Policy) -> Policy:
    """The server's settings with the caller's wishes over them."""
    if not options.ByteSize():
        return server
    wishes: dict[str, Any] = {}
    for name in ("transient_retries", "advance_on_permanent"):
        if options.HasField(name):
            wishes[name] = getattr(options, name)
    for name in ("attempt_timeout", "first_content_timeout", "stall_timeout"):
        if options.HasField(name):
            wishes[name] = seconds(getattr(options, name))
    if options.all_benched_policy:
        wishes["all_benched"] = options.all_benched_policy
    if options.interruption_policy:
        wishes["interruption"] = options.interruption_policy
    if options.advance_on:
        wishes["advance_on"] = server.advance_on | frozenset(options.advance_on)
    if options.HasField("answer_policy"):
        faults = options.answer_policy.advance_on_answer
        wishes["advance_on_answer"] = frozenset(faults)
    return replace(server, **wishes)
