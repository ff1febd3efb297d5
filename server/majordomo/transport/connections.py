"""Which transport connects to a provider."""

from majordomo.transport.base import Transport
from majordomo.transport.egress import Egress
from majordomo.transport.httpx_transport import EgressTransport
from majordomo.transport.pool import PooledTransport


def connections(egress: Egress, url: str, connect_timeout: float) -> Transport:
    """Connections to `url`; `connect_timeout`, in seconds, bounds each.

    Those of the pool are the rule, for they cost least: httpx has what it has not.
    """
    proxy = egress.proxy_for(url)
    if proxy is None and not egress.trust.http2:
        return PooledTransport(connect_timeout, egress.trust.context)
    return EgressTransport(egress.trust, connect_timeout, proxy)
