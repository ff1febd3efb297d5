"""The clients: one language each, with what makes, checks and tests it.

A language's folder is `clients/<name>`. Its commands are run there, in the order of the
fields of `Language`, as a newcomer would type them; each must end with 0. Its tests
find the servers in the environment (see `harness`) and are named after `CASES` in the
language's own idiom: TestCancelLocal, cancelLocal and cancel_local are one case.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

CLIENTS = Path(__file__).parent.parent.parent / "clients"

CASES = {
    "success": "Generate answers; who did is in its Completion",
    "stream": "the answer comes in pieces, and they make the whole",
    "tools": "a call of a tool, its result, and the answer made of it",
    "conversation": "a turn goes back unchanged, its provider_state with it",
    "sources": "sources, 1.5 MB of image, an opaque part: the stream makes the whole",
    "cancel": "a stream that is cancelled; the provider's connection is closed",
    "failover": "the second target answers, and the first one's failure is told",
    "exhausted": "UNAVAILABLE, unpacked: reason, attempts, delay",
    "interrupted": "a stream that breaks: what came is kept, the attempts are told",
    "restart": "a stream that another target begins again",
    "deadline": "the server's own DEADLINE_EXCEEDED, with its attempts",
    "image": "8 MB of image in a request",
    "tls": "a server whose certificate is our authority's",
    "token": "a token, a wrong one, and none",
    "trace": "the trace that the call is part of is the caller's",
    "retry": "a server that cannot take the call is asked again, a failed chain not",
    "success_local": "Generate and Stream by the embedded model",
    "tools_local": "it cannot call tools, which is told; the next target can",
    "cancel_local": "the embedded model stops with its caller",
}
"""What each client is shown to do."""

Results = dict[str, bool]
"""Whether a case passed, by its name; what is no case is left out."""

Read = Callable[[str, Path], Results]
"""Results from what the tests wrote to stdout, and from the language's folder."""


@dataclass(frozen=True)
class Language:
    """A client, and how it is made. No shell runs its commands."""

    name: str
    """Its folder, and the end of the names of its targets at `upstream`."""

    title: str
    tools: tuple[str, ...]
    """Programs that must be there; without one of them its tests are skipped."""

    install: tuple[str, ...]
    """Fetch what is not of this repository."""

    generate: str
    """Write the stubs: `buf generate`; "" where the build does."""

    generated: str
    """The folder of stubs that are committed, and so must be fresh; "" without."""

    build: tuple[str, ...]
    lint: tuple[str, ...]
    test: str
    results: Read

    example: str = ""
    """The program that holds a conversation with a tool: CHAIN QUESTION..."""


def junit(pattern: str) -> Read:
    """Results in JUnit's XML files, such as Surefire, pytest and CTest write."""

    def read(_: str, folder: Path) -> Results:
        return _cases(
            (case.get("name", ""), not any(part.tag in _WRONG for part in case))
            for path in folder.glob(pattern)
            for case in ET.parse(path).iter("testcase")  # noqa: S314 - ours
        )

    return read


def go_test(stdout: str, _: Path) -> Results:
    """Results in the lines of `go test -json`."""
    events = [json.loads(line) for line in stdout.splitlines() if line[:1] == "{"]
    return _cases(
        (event["Test"], event["Action"] == "pass")
        for event in events
        if "Test" in event and event["Action"] in ("pass", "fail", "skip")
    )


def cargo_test(stdout: str, _: Path) -> Results:
    """Results in the lines of `cargo test`: test failover ... ok."""
    lines = re.findall(r"^test (\S+) \.\.\. (\w+)", stdout, re.MULTILINE)
    return _cases((name, word == "ok") for name, word in lines)


_WRONG = {"failure", "error", "skipped"}


def _cases(reported: Iterator[tuple[str, bool]]) -> Results:
    """The cases among tests; one that ran twice passed if it did so each time."""
    results: Results = {}
    for name, passed in reported:
        case = _case(name)
        if case in CASES:
            results[case] = passed and results.get(case, True)
    return results


def _case(name: str) -> str:
    """The name of a test as a case's: majordomo::TestCancelLocal() is cancel_local."""
    last = re.split(r"[.:/ ]", name.partition("[")[0].removesuffix("()"))[-1]
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last).lower()
    return words.removeprefix("test_")


GO = Language(
    name="go",
    title="Go",
    tools=("go",),
    install=("go mod download",),
    generate="buf generate ../..",
    generated="majordomo/v1",
    build=("go build ./...",),
    lint=(
        "go vet ./...",
        "go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...",
    ),
    test="go test -json -count=1 ./...",
    results=go_test,
    example="go run ./cmd/tools",
)

RUST = Language(
    name="rust",
    title="Rust",
    tools=("cargo",),
    install=(
        "cargo install --locked --root build protoc-gen-prost@0.5.0",
        "cargo install --locked --root build protoc-gen-tonic@0.5.0",
    ),
    generate="buf generate",
    generated="src/generated",
    build=("cargo test --no-run",),
    lint=(
        "cargo fmt --check",
        "cargo clippy --all-targets -- --deny warnings",
    ),
    test="cargo test --no-fail-fast",
    results=cargo_test,
    example="cargo run --quiet --example tools --",
)

TYPESCRIPT = Language(
    name="typescript",
    title="TypeScript",
    tools=("node", "npm"),
    install=("npm ci --no-audit --no-fund",),
    generate="buf generate",
    generated="src/generated",
    build=("npm run build",),
    lint=("npm run lint",),
    test="npm test",
    results=junit("build/junit.xml"),
    example="node build/src/tools.js",
)

PYTHON = Language(
    name="python",
    title="Python",
    tools=("python",),
    install=(),
    generate="",  # the stubs are the server's own
    generated="",
    build=(),
    lint=(
        "ruff check .",
        "ruff format --check .",
        "mypy --config-file ../../pyproject.toml ask.py tools.py test_client.py",
    ),
    test="python -m pytest --junitxml build/junit.xml test_client.py",
    results=junit("build/junit.xml"),
    example="python tools.py",
)

JAVA = Language(
    name="java",
    title="Java",
    tools=("java", "mvn"),
    install=(),
    generate="",
    generated="",
    build=(
        "mvn --batch-mode --quiet -DskipTests install",
        "mvn --batch-mode --quiet --file ask/pom.xml package",
    ),
    lint=("mvn --batch-mode --quiet spotless:check",),
    test="mvn --batch-mode --quiet test",
    results=junit("target/surefire-reports/TEST-*.xml"),
    example="java -cp ask/target/ask.jar Tools",
)

CPP = Language(
    name="cpp",
    title="C++",
    tools=("sh",),  # the script installs the rest
    install=("./install-deps.sh",),
    generate="",
    generated="",
    build=("cmake -S . -B build", "cmake --build build --parallel 2"),
    lint=("cmake --build build --target lint",),
    test="build/client_test --gtest_output=xml:build/client_test.xml",
    results=junit("build/client_test.xml"),
    example="build/tools",
)

LANGUAGES = (GO, TYPESCRIPT, PYTHON, RUST, JAVA, CPP)
