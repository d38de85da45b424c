"""FeatureExtraction of OpenFace 2 as a program: found, started, ended where it takes too long."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from ...cache.errors import BadCall, BadInput

#: Exit status of a shell or loader that found no program or no library.
NOT_RUN = (126, 127)


def run_program(command: Sequence[str], timeout: float) -> str:
    """Run a program in a group of its own; the last line that it printed.

    Raises:
        BadInput: it left with an error, or took too long and was ended with all its children.
        BadCall: it cannot be started, or lacks a library.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise BadCall(f"openface2: {command[0]} cannot be run: {error.strerror}") from error
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise BadInput(
                f"FeatureExtraction took more than {timeout:g} s and was ended"
            ) from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(max(output.tell() - 4096, 0))
        lines = output.read().decode(errors="replace").strip().splitlines()
    said = lines[-1].strip()[:300] if lines else ""
    if status in NOT_RUN:
        raise BadCall(f"openface2: {command[0]} did not start: {said or f'exit status {status}'}")
    if status:
        how = f"was ended by signal {-status}" if status < 0 else f"left with status {status}"
        raise BadInput(f"FeatureExtraction {how}; the last it said: {said or '-'}")
    return said


def filled(word: str, places: Mapping[str, str]) -> str:
    """A word with the names of places in it replaced by the places."""
    for name, place in places.items():
        word = word.replace(name, place)
    return word


def command_words(line: str) -> list[str]:
    """A command line as words, as a shell splits it.

    Raises:
        BadCall: a quotation is not closed.
    """
    try:
        return shlex.split(line)
    except ValueError as error:
        raise BadCall(f"openface2: '{line}' is no command line: {error}") from error


def program_path(word: str) -> str:
    """Where a program lies.

    Raises:
        BadCall: there is none.
    """
    found = shutil.which(os.path.expanduser(word))
    if found is None:
        raise BadCall(
            f"openface2: there is no program '{word}'; set command to the path of OpenFace's "
            "FeatureExtraction or to a container command, or folder to CSVs that it wrote"
        )
    return found
