"""What jobs ask of the machine that they run on, by a config that has been checked."""


def memory(wildcards, attempt):
    """MB of a job; what ran out of it is tried again with more, where the profile retries."""
    return config["mem_mb"] * attempt


def on_gpus(number):
    """Resources of a job on so many GPUs: `gpu` is SLURM's --gpus and Kubernetes' nvidia.com/gpu; on one machine,
    `gpu_machine` lets one such job run at a time."""
    return {"gpu": number, "gpu_manufacturer": "nvidia", "gpu_machine": 1} if number else {}


ON_GPUS, ON_ONE_GPU = on_gpus(config["gpus"]), on_gpus(min(config["gpus"], 1))
PROCESSES = f"--processes {config['gpus']}" if config["gpus"] > 1 else ""
"""A process for each GPU of a job."""


wildcard_constraints:
    k=r"\d+",
    family="[^/]+",
    system="[^/]+",
