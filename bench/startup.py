"""What commands cost until they are there: `python -m bench.startup`.

CPU, user and system, of a whole process; medians of interleaved rounds, beside an
interpreter that does nothing and one that imports grpc.
"""

import resource
import socket
import statistics
import subprocess
import sys

ROUNDS = 15
PYTHON = [sys.executable]
MAJORDOMO = [sys.executable, "-m", "majordomo"]


def subjects(port: int) -> dict[str, list[str]]:
    nobody = ["--address", f"127.0.0.1:{port}"]
    return {
        "python": [*PYTHON, "-c", "pass"],
        "import grpc": [*PYTHON, "-c", "import grpc"],
        "majordomo --help": [*MAJORDOMO, "--help"],
        "majordomo ready": [*MAJORDOMO, "ready", *nobody],
        "majordomo health": [*MAJORDOMO, "health", *nobody],
        "majordomo check": [*MAJORDOMO, "check"],
    }


def cpu(command: list[str]) -> float:
    """Milliseconds of CPU that a process took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1000 * spent


def main() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers
        commands = subjects(unused.getsockname()[1])
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                taken[name].append(cpu(command))
    for name, times in taken.items():
        print(f"{name:20} {statistics.median(times):5.0f} ms")


if __name__ == "__main__":
    main()
