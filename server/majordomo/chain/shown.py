"""A target's health as operators are shown it."""

from majordomo.chain.changes import View
from majordomo.chain.clock import Clock
from majordomo.chain.health import Health
from majordomo.v1.operator_service_pb2 import TargetHealth


def shown(name: str, view: View, health: Health | None, clock: Clock) -> TargetHealth:
    """How `name` stands by `view`, with the counts of its `health`, if it has any."""
    found = TargetHealth(target=name, state=view.state)
    if view.bench is not None:
        view.bench.write(found.bench, clock)
    if health is None:
        return found
    found.consecutive_failures = health.consecutive_failures
    found.active_attempts = health.running
    found.total_attempts = health.total_attempts
    found.total_failures = health.total_failures
    if health.last_success is not None:
        found.last_success_time.CopyFrom(clock.timestamp(health.last_success))
    if health.last_failure is not None:
        found.last_failure.CopyFrom(health.last_failure)
    return found
