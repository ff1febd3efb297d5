#!/usr/bin/env bash
# Mutation testing of health, budget and classification: which changes of the code does
# no test notice? Takes about half an hour; leaves build/mutation, where
# `mutmut results` and `mutmut show NAME` tell of the survivors.
set -euo pipefail
cd "$(dirname "$0")/.."

python -m pip install --quiet 'mutmut>=3.8'
rm -rf build/mutation
mkdir -p build/mutation
# mutmut wants the package beside the tests.
cp -r server/majordomo tests scripts docs pyproject.toml build/mutation
cd build/mutation
cat >>pyproject.toml <<'CONFIG'

[tool.mutmut]
source_paths = ["majordomo"]
only_mutate = [
  "majordomo/chain/budget.py",
  "majordomo/chain/health.py",
  "majordomo/providers/classify.py",
]
pytest_add_cli_args_test_selection = [
  "tests/chain/test_changes.py",
  "tests/chain/test_explain.py",
  "tests/chain/test_health.py",
  "tests/chain/test_oracle.py",
  "tests/chain/test_policies.py",
  "tests/chain/test_walk.py",
  "tests/providers/test_classify.py",
  "tests/providers/test_retry_delay.py",
]
pytest_add_cli_args = ["-p", "no:cacheprovider"]
also_copy = ["majordomo", "tests", "docs", "scripts"]
debug = true
CONFIG
CI=1 PYTHONPATH="$PWD/mutants" mutmut run >run.log 2>&1 || true
mutmut results
killed=$(mutmut results --all true | grep -c ': killed' || true)
survived=$(mutmut results --all true | grep -c ': survived' || true)
echo "mutation: $killed killed, $survived survived"
