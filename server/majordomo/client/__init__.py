"""The Python client of majordomo: thin over gRPC, in the contract's own messages.

    with Client("127.0.0.1:50051") as majordomo:
        response = majordomo.generate("What is a majordomo?", chain="fast")
        print(text_of(response.message))

`AsyncClient` has the same methods to be awaited. What can go wrong is in `errors`.
"""

from majordomo.client.aio import AsyncAnswer, AsyncClient, AsyncEvents
from majordomo.client.content import (
    code_execution,
    media,
    text_of,
    url_reading,
    user,
    web_search,
)
from majordomo.client.errors import (
    AllBenched,
    AnswerTooLarge,
    BenchedByProvider,
    ChainExhausted,
    ChainRateLimited,
    ContentRefused,
    DeadlineExceeded,
    Internal,
    InvalidRequest,
    MajordomoError,
    ModelNotFound,
    NotAnswered,
    PermissionDenied,
    ProviderCredentials,
    RequestCompressed,
    RequestRefused,
    RequestUnsupported,
    ResolverFailed,
    ServerDraining,
    ServerOverloaded,
    StreamInterrupted,
    TransportError,
    Unauthenticated,
    UnknownProvider,
    UnknownTier,
)
from majordomo.client.requests import PromptLike, PromptOptions
from majordomo.client.sync import Answer, Client, Events

__all__ = [
    "AllBenched",
    "Answer",
    "AnswerTooLarge",
    "AsyncAnswer",
    "AsyncClient",
    "AsyncEvents",
    "BenchedByProvider",
    "ChainExhausted",
    "ChainRateLimited",
    "Client",
    "ContentRefused",
    "DeadlineExceeded",
    "Events",
    "Internal",
    "InvalidRequest",
    "MajordomoError",
    "ModelNotFound",
    "NotAnswered",
    "PermissionDenied",
    "PromptLike",
    "PromptOptions",
    "ProviderCredentials",
    "RequestCompressed",
    "RequestRefused",
    "RequestUnsupported",
    "ResolverFailed",
    "ServerDraining",
    "ServerOverloaded",
    "StreamInterrupted",
    "TransportError",
    "Unauthenticated",
    "UnknownProvider",
    "UnknownTier",
    "code_execution",
    "media",
    "text_of",
    "url_reading",
    "user",
    "web_search",
]
