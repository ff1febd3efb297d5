"""What refusals are about, as data: the families that classify.py knows.

A family is a kind of fault, not a vendor's sentence. It is known by codes that mean
one thing, or by words: an expression that tells by itself, or two that stand in one
sentence, in either order. The first family that fits decides, so that the more telling
stand before the wider. docs/providers.md shows this table.

Words are sought in lower case, without what stands in quotes: that is the request's
own, and a caller could say anything in it. What ends a call (credentials, content, a
request that is wrong at any vendor) is determined by narrow words only.
"""

import re
from dataclasses import dataclass

from majordomo.v1.attempt_pb2 import (
    FAILURE_REASON_CONTENT_REFUSED,
    FAILURE_REASON_CONTEXT_TOO_LONG,
    FAILURE_REASON_CREDENTIALS,
    FAILURE_REASON_INVALID_REQUEST,
    FAILURE_REASON_MALFORMED_RESPONSE,
    FAILURE_REASON_MODEL_NOT_FOUND,
    FAILURE_REASON_OVERLOADED,
    FAILURE_REASON_QUOTA_EXHAUSTED,
    FAILURE_REASON_RATE_LIMITED,
    FAILURE_REASON_TIMEOUT,
    FAILURE_REASON_UNSUPPORTED,
    FailureReason,
)


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of fault."""

    what: str
    """In plain words."""

    reason: FailureReason

    codes: str = ""
    """Codes that mean this whatever is reported beside them, however they are spelt."""

    wide_codes: str = ""
    """Codes that mean this unless the words beside them say more."""

    says: tuple[str, ...] = ()
    """Expressions, each of which tells."""

    beside: tuple[tuple[str, str], ...] = ()
    """Pairs of expressions that show where they stand in one sentence."""

    counts: str = ""
    """An expression of what is counted: it tells beside two numbers."""

    unless: str = ""
    """An expression that texts of this family do not have."""


def _any(*expressions: str) -> str:
    return "|".join(expressions)


_PACE = _any(
    r"rate.?limit",
    r"per[ -](?:second|minute|min|hour)\b",
    r"\b[rt]pm\b",
    r"too many requests",
    r"requests? rate",
    r"throttl",
    r"please (?:wait|slow)",
    r"(?:try|again) (?:later|in \d)",
    r"retry (?:in|after)\b",
)
"""How fast requests come, and not what is in them."""

OUTPUT = re.compile(
    _any(
        r"max_?(?:new_|completion_|output_)?tokens",
        r"(?:output|completion) tokens?",
        r"(?:length of )?max(?:imum)? (?:output|completion|new)[ \w]*tokens?",
    )
)
"""How long the answer may be: not what a prompt's length is determined by."""

FAMILIES = (
    Family(
        "the answer asked for costs more than is left",
        FAILURE_REASON_UNSUPPORTED,
        says=(r"fewer max_tokens",),
    ),
    Family(
        "a sample of the model went wrong at the provider",
        FAILURE_REASON_MALFORMED_RESPONSE,
        codes="""
            tool_use_failed json_validate_failed output_parse_failed
            malformed_function_call malformed_response""",
        says=(
            r"failed to call a function",
            r"malformed function call",
            r"tool call (?:validation|parsing) failed",
            r"pars(?:e|ing) tool[ _]calls?\b",
            r"failed to (?:validate|generate) json",
        ),
        beside=(
            (
                r"\bmodel (?:generated|produced|returned|output)|generated tool",
                r"\b(?:invalid|malformed|unparsable|not valid)\b|could not be parsed",
            ),
        ),
    ),
    Family(
        "the money, the plan or its window is used up",
        FAILURE_REASON_QUOTA_EXHAUSTED,
        codes="""
            insufficient_quota credit_balance_exhausted billing_error
            organization_spend_limit_exceeded project_spend_limit_exceeded
            organization_usage_limit_exceeded enforced_spend_limit_reached
            contract_spend_limit_reached billing_hard_limit_reached billing_not_active
            exceeded_current_quota_error insufficient_balance insufficient_funds
            insufficient_credits usage_limit_reached usage_limit_exceeded
            usage_not_included budget_exceeded spend_limit_exceeded arrearage
            free_quota_exceeded payment_required account_overdue_error
            set_limit_exceeded 1113 1304 1308 1309 1310""",
        says=(
            r"balance (?:is )?too low",
            r"(?:insufficient|not enough)[ _](?:\w+ )?(?:balance|credits?|funds|quota)",
            r"requires more credits",
            r"spend(?:ing)?[ -](?:limit|cap)",
            r"(?<!thinking )(?<!token )budget (?:has been |was )?(?:exceed|exhaust)ed",
            r"exceeded ?budget|over budget",
            r"exceeded your current quota(?![^\n]*(?:please retry in|ai\.google\.dev))",
            r"[ -]per[ -](?:\w+ )?(?:day|week|month)\b|\b[rt]pd\b",
            r"billing (?:hard )?limit",
            r"overdue|in arrears|account is in good standing|please recharge",
            r"payment required",
            r"欠费|余额不足|使用上限|额度[^。]{0,6}(?:用尽|用完|不足)|请充值",
        ),
        beside=(
            (
                r"\bcredits?\b",
                r"used (?:all|up)|out of|deplet|exhaust|exceeded|\bno remaining",
            ),
            (
                r"(?<!check )\b(?:quota|allowance|plan|subscription)\b",
                r"\bused up\b|\bexhausted\b|\bexpired\b",
            ),
            (
                r"\b(?:limit|quota|cap)\b",
                r"\b(?:today|tomorrow|for the (?:day|week|month)|until next)\b",
            ),
            (
                _any(
                    r"\b(?:usage|session|hourly|daily|weekly|monthly) (?:limit|cap)",
                    r"[0-9][ -](?:hour|day)\b[^.\n]{0,20}\b(?:limit|quota|window)\b",
                    r"\b(?:plan|subscription|billing|daily|weekly|monthly|free)\b"
                    r"[^.\n]{0,30}\b(?:limits?|quota|allowance|cap|allocation)\b",
                    r"\binference limit\b",
                ),
                r"\b(?:reached|exceeded|exhausted|hit|used(?: up)?)\b",
            ),
        ),
        unless=r"\(not your",
    ),
    Family(
        "the model is not there, or not for this account",
        FAILURE_REASON_MODEL_NOT_FOUND,
        codes="""
            model_not_found deployment_not_found model_decommissioned invalid_model
            model_not_supported model_not_exist model_not_available model_not_active
            model_not_open 1211 1311""",
        says=(
            r"\b(?:models?|deployment)\b[^\n]{0,200}?(?:\bnot found|not exist)",
            r"\bmodels?\b[^\n]{0,200}?\b(?:deprecated|decommissioned|retired)",
            r"\bmodels?\b[^\n]{0,200}?\bno longer available",
            r"\b(?:invalid|unknown|no such|unsupported|unrecognized) model\b",
            r"not a valid model",
            r"model (?:identifier|id|name) (?:is )?(?:invalid|not valid)",
            r"no endpoints (?:found|available) (?:for|matching)",
            r"unable to access (?:non-serverless )?model",
            r"^(?:the )?(?:requested )?model\b[^\n]{0,80}\bis not supported",
            r"^model: \S+$",
            r"not yet include access",
            r"模型(?:不存在|未找到)",
        ),
        beside=(
            (
                r"\bmodels?\b",
                _any(
                    r"(?:not|n't|no)\b[^.\n]{0,30}\baccess\b",
                    r"access[^.\n]{0,20}\bdenied",
                ),
            ),
        ),
        unless=r"temporar|at the moment|overload",
    ),
    Family(
        "the key, or the account behind it, is not accepted",
        FAILURE_REASON_CREDENTIALS,
        codes="""
            invalid_api_key api_key_invalid incorrect_api_key incorrect_api_key_error
            wrong_api_key service_disabled iam_permission_denied consumer_suspended
            invalid_authentication_error unsupported_country_region_territory
            token_expired token_invalidated account_deactivated
            unrecognized_client_exception expired_token_exception
            invalid_signature_exception""",
        wide_codes="authentication_error unauthenticated",
        says=(
            r"user location is not supported",
            r"country, region,? or territory not supported",
            r"not authorized to perform",
            r"\bno auth credentials",
            r"allow unregistered callers",
            r"security token included in the request is",
            r"\b(?:account|organi[sz]ation)\s+(?:has been|is) (?:disabled|locked)",
            r"\b(?:account|project|consumer)\s+(?:has been|is) (?:suspended|banned)",
            r"(?:disabled|suspended) in this account",
            r"(?:token|身份验证)[^。]{0,6}(?:非法|已过期|失败)",
        ),
        beside=(
            (
                _any(
                    r"(?<![\w.])(?:x-)?api[ _-]?keys?(?![\w.\[])",
                    r"bearer token",
                    r"(?:access|auth(?:entication|orization)?|oauth) tokens?\b",
                    r"authori[sz]ation header",
                    r"(?:auth\w*|api) credentials",
                ),
                _any(
                    r"\b(?:invalid|incorrect|missing|expired|revoked|wrong|leaked)\b",
                    r"\bnot (?:valid|found|provided|authorized|recogni[sz]ed|exist)",
                    r"\b(?:no|unknown|disabled|deactivated|suspended|blocked|rejected)\b",
                    r"\b(?:required|malformed)\b|does not have permission",
                ),
            ),
            (r"\bauthentication\b", r"\bfail|\binvalid\b"),
            (r"\btoken\b", r"\b(?:expired|revoked)\b"),
        ),
        unless=r"schema|propert(?:y|ies)\b|\btools?\b|\bfunctions?\b",
    ),
    Family(
        "the prompt is longer than the model or the account takes",
        FAILURE_REASON_CONTEXT_TOO_LONG,
        codes="""
            context_length_exceeded exceed_context_size_error too_many_prompt_tokens
            request_too_large context_window_exceeded
            model_max_prompt_tokens_exceeded tokens_limit_reached 1261""",
        says=(
            r"(?:prompt|input|request|conversation) (?:is )?too (?:long|large)",
            r"messages? (?:is |are )?too long",
            r"too many (?:prompt |input )?tokens",
            r"range of input length",
            r"超长",
        ),
        beside=(
            (
                _any(
                    r"context(?: window| length| size| limit)?\b|\bn_ctx\b",
                    r"\btoken limit|number of tokens",
                    r"(?:prompt|input) (?:is |length|tokens?|size)",
                    r"maximum (?:prompt|input|model|context)",
                    r"max(?:imum)? (?:length|tokens allowed)",
                    r"length of the (?:messages|input|prompt)",
                ),
                _any(
                    r"exceed|longer|larger|greater|more than|over(?:flow|runs|size)",
                    r"too (?:long|large|big|many)|not enough|cannot fit|reduce",
                    r"maximum|out of (?:context|range)|\bonly\b|limit reached",
                ),
            ),
            (
                r"\b(?:prompt|inputs?|context|conversation|history|sequence)\b|max_prompt",
                r"exceed|too (?:long|large|many)|longer|larger|beyond|overflow|not fit",
            ),
        ),
        counts=r"tokens?\b|\blength\b|context|prompt|\binputs?\b",
        unless=_any(_PACE, r"\bdeadline\b"),
    ),
    Family(
        "what was said, or would be, is refused for its content",
        FAILURE_REASON_CONTENT_REFUSED,
        codes="""
            content_filter content_filtered content_policy_violation
            content_policy_violation_error responsible_ai_policy_violation
            invalid_prompt bio_policy misalignment_policy_violation
            image_content_policy_violation data_inspection_failed
            content_moderation moderation_blocked moderation_error prohibited_content
            unsafe_content sensitive_content_detected 1301""",
        says=(
            r"content (?:management |filtering |moderation |safety |usage )?polic",
            r"(?<!fair )usage (?:polic|guideline)",
            r"safety (?:system|filter|reason|polic|check|guardrail)",
            r"content (?:filter|moderation|exists risk)",
            r"considered high risk",
            r"(?:unsafe|harmful|inappropriate|objectionable|offensive) content",
            r"prohibited content",
            r"(?<!case[ -])sensitive (?:content|material|language|words?)",
            r"flagged (?:as|by|for)|(?:was|been) flagged",
            r"guardrail (?:intervened|blocked|violation)",
            r"不安全或敏感|敏感内容|违规内容",
        ),
        beside=(
            (
                r"\b(?:content|prompt|inputs?|outputs?|text|response|completion)\b",
                _any(
                    r"\b(?:inappropriate|unsafe|harmful|flagged|blocked|filtered)\b",
                    r"\bmoderat(?:ed|ion)\b",
                ),
            ),
            (r"\bmoderation\b", r"\b(?:rejected|refused|blocked|flagged|failed)\b"),
            (r"violat", r"\bguidelines?\b|acceptable use|(?:usage|content) polic"),
        ),
        unless=r"data policy|robots\.txt",
    ),
    Family(
        "no vendor can take it: media that is broken, a conversation without a turn",
        FAILURE_REASON_INVALID_REQUEST,
        codes="invalid_base64_image empty_image_file image_parse_error",
        says=(
            r"(?:invalid|not valid|illegal|malformed) base64",
            r"base64[^.\n]{0,30}(?:invalid|not valid|incorrect padding|decod)",
            r"messages?:? (?:is |are |must not be |cannot be )empty",
            r"at least one message is required|messages must be non-?empty",
        ),
        beside=(
            (
                r"\b(?:image|audio|video|file|document|pdf)\b",
                r"\b(?:corrupt(?:ed)?|truncated|empty)\b|is damaged",
            ),
        ),
    ),
    Family(
        "the model or the vendor does not take something that others may",
        FAILURE_REASON_UNSUPPORTED,
        codes="""
            unsupported_parameter unsupported_value unsupported_file invalid_image_url
            failed_to_download_image unsupported_image_media_type extra_forbidden
            array_above_max_length integer_above_max_value integer_below_min_value
            decimal_above_max_value decimal_below_min_value invalid_function_parameters
            invalid_schema parameter_unknown unknown_parameter unsupported_model_feature
            invalid_image_format image_too_large image_too_small
            image_file_too_large""",
        says=(
            r"no endpoints found that",
            r"error while downloading",
            r"(?:failed to|unable to|could not|cannot) (?:download|fetch)",
            r"not a multimodal model",
            r"(?:not|n't) support",
            r"unsupported",
            r"extra inputs are not permitted",
            r"missing a thought_signature",
            r"requires --",
        ),
    ),
    Family(
        "the provider is too busy",
        FAILURE_REASON_OVERLOADED,
        codes="""
            server_is_overloaded capacity_exceeded engine_overloaded
            engine_overloaded_error insufficient_system_resource queue_exceeded
            service_unavailable_exception model_not_ready_exception server_overloaded
            1305 1312""",
        wide_codes="overloaded_error unavailable_error unavailable service_unavailable",
        says=(
            r"\boverload",
            r"capacity exceeded",
            r"(?:at|over|insufficient|no|out of) capacity",
            r"high demand|heavy load|high load|high traffic|too busy|is busy",
            r"loading model|model (?:is )?(?:currently )?loading",
            r"temporarily unavailable",
            r"访问量过大",
        ),
    ),
    Family(
        "requests come too fast",
        FAILURE_REASON_RATE_LIMITED,
        codes="slow_down ramp_limit_exceeded throttling_exception 1302 1303 1313",
        wide_codes="""
            rate_limit_exceeded rate_limit_error rate_limit_reached rate_limited
            rate_limit_reached_error too_many_requests too_many_requests_error
            request_limit_exceeded throttling throttling_error throttled""",
        says=(
            r"rate[ -]?limit",
            r"too many (?:requests|concurrent)",
            r"per[ -](?:second|minute)",
            r"throttl",
            r"concurren(?:t|cy)[^.\n]{0,40}(?:limit|exceed|high|reached)",
            r"(?:limit|exceed|reached|high)[^.\n]{0,40}concurren",
            r"(?:并发|频率)[^。]{0,8}过高",
        ),
    ),
    Family(
        "it took too long",
        FAILURE_REASON_TIMEOUT,
        wide_codes="""
            timeout_error deadline_exceeded request_timeout model_timeout_exception""",
        says=(r"timed? ?out\b",),
    ),
)
