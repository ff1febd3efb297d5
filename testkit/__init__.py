"""What tests, benchmarks and scripts share: servers, providers, collectors to run.

No test itself, and no part of the wheel.
"""
