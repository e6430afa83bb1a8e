"""Stands in for SLURM: `sbatch` and its relatives as one program, which runs each job at once on this machine.

It writes down what sbatch was given, one line a job, in sbatch.txt of the folder it is called in.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path


def sbatch(words: list[str]) -> None:
    with open("sbatch.txt", "a") as file:
        number = file.tell()
        file.write(shlex.join(word for word in words if not word.startswith("--wrap")) + "\n")
    wrapped = next(word for word in words if word.startswith("--wrap=")).removeprefix("--wrap=")
    log = words[words.index("--output") + 1].replace("%j", str(number))
    with open(log, "w") as file:
        code = subprocess.run(
            ["sh", "-c", wrapped], cwd=words[words.index("-D") + 1], stdout=file, stderr=subprocess.STDOUT,
            env=os.environ | {"SLURM_JOB_ID": str(number), "SLURM_JOB_NAME": "x"},
        ).returncode  # fmt: skip
    Path(f"{number}.state").write_text("FAILED" if code else "COMPLETED")
    print(number)


def srun(words: list[str]) -> None:
    at = next(i for i, word in enumerate(words) if not word.startswith("-"))
    os.execvp(words[at], words[at:])


def sacct(words: list[str]) -> None:
    if "-X" in words:
        for file in Path().glob("*.state"):
            print(f"{file.stem}|{file.read_text()}")
    else:
        print("lab")


def main() -> None:
    name, words = Path(sys.argv[0]).name, sys.argv[1:]
    if name in ("sbatch", "srun", "sacct"):
        {"sbatch": sbatch, "srun": srun, "sacct": sacct}[name](words)
    elif name == "sacctmgr":
        print("lab")
    elif name == "scontrol":
        print("MaxArraySize = 1001\nMinJobAge = 300 sec")
    elif name == "sinfo":
        print("short*")


main()
