"""The child process in which llama.cpp runs, so that its faults are not the server's.

    python -m majordomo.providers.local.llama_server --model FILE --socket PATH ...

Serves llama.cpp's own HTTP endpoints on a Unix socket. Says `ready` in a line on
stdout once the model is loaded, and logs errors only, to stderr. It lives as long as
its stdin stays open: that is how its parent ends it, and why it ends with its parent.
"""

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import sys
from pathlib import Path

_READY = b"ready\n"

_ERRORS_ONLY = 1
"""llama.cpp's log level; its verbose ones quote prompts."""

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Load the model, serve until stdin ends, and leave no socket behind."""
    parser = argparse.ArgumentParser(prog="llama_server")
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file")
    parser.add_argument("--alias", required=True, help="its name in answers")
    parser.add_argument(
        "--socket", type=Path, required=True, help="in a folder of its own"
    )
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument(
        "--context", type=int, required=True, help="tokens of one call, answer included"
    )
    parser.add_argument("--slots", type=int, required=True, help="calls at once")
    parser.add_argument("--nice", type=int, required=True)
    options = parser.parse_args()

    # llama.cpp may print: stdout is the parent's alone.
    to_parent = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    os.nice(options.nice)
    # Loading holds the interpreter, so that the end of stdin would go unseen.
    _when_parent_dies(signal.SIGKILL)
    if _parent_is_there():
        server = _serve(options)  # noqa: F841 -- it serves while it is referred to
        _when_parent_dies(0)
        with contextlib.suppress(BrokenPipeError):
            os.write(to_parent, _READY)
        os.close(to_parent)
        sys.stdin.buffer.read()
    shutil.rmtree(options.socket.parent, ignore_errors=True)
    # Answers in the making are not waited for: their readers are gone.
    os._exit(0)


def _parent_is_there() -> bool:
    """Nothing is ever written to stdin: what can be read there is its end."""
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    return not readable


def _serve(options: argparse.Namespace) -> object:
    """llama.cpp's server, with the model loaded; it runs in threads of its own."""
    import xllamacpp  # noqa: PLC0415 -- the parent imports this module too

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.alias}
    params.hostnames = [str(options.socket)]
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.n_parallel = options.slots
    params.n_ctx = options.context * options.slots
    params.ctx_shift = False  # too long is an error, never a silent truncation
    params.cache_ram_mib = 0  # else up to 8 GiB of old prompts
    params.endpoint_slots = False  # they show prompts
    params.ui = False
    params.verbosity = _ERRORS_ONLY
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        # llama.cpp has logged why.
        sys.exit(f"llama.cpp does not start with {options.model}: {error}")


def _when_parent_dies(number: int) -> None:
    """Have Linux send us signal `number` then; 0 for none. See prctl(2)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


if __name__ == "__main__":
    main()
