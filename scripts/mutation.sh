#!/usr/bin/env bash
# Mutation testing of health, budget and classification: which changes of the code does
# no test notice? Fails where less than 85 % are killed; docs/mutations.md sorts those
# that survive. Takes 4 to 12 minutes on two cores; leaves build/mutation,
# where `mutmut results` and `mutmut show NAME` tell of the survivors.
set -euo pipefail
cd "$(dirname "$0")/.."

python -m pip install --quiet 'mutmut~=3.8.1'
rm -rf build/mutation
# mutants/ is there before Python starts with it in its path: of a folder that is
# missing then, it remembers that there is nothing to import.
mkdir -p build/mutation/mutants
# mutmut wants the package beside the tests.
cp -r server/majordomo tests testkit scripts docs pyproject.toml build/mutation
cd build/mutation
cat >>pyproject.toml <<'CONFIG'

[tool.mutmut]
source_paths = ["majordomo"]
only_mutate = [
  "majordomo/chain/budget.py",
  "majordomo/chain/health.py",
  "majordomo/codec/errors/classify.py",
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
also_copy = ["majordomo", "tests", "testkit", "docs", "scripts"]
debug = true
CONFIG
CI=1 PYTHONPATH="$PWD/mutants" mutmut run >run.log 2>&1 || tail -n 20 run.log
mutmut results
mutmut results --all true | awk -F ': ' '
  NF == 2 { count[$2]++; all++ }
  END {
    for (status in count)
      if (status != "killed") printf "mutation: %d %s\n", count[status], status
    killed = all ? 100 * count["killed"] / all : 0
    printf "mutation: %d of %d killed (%.1f %%)\n", count["killed"], all, killed
    exit killed < 85
  }
'
