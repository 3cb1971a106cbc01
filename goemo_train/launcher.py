"""What `accelerate launch` and its configuration file ask for, by environment variables."""

from __future__ import annotations

import os

from goemo_report.errors import SettingsError

_ALWAYS = {  # what is done, or asks for nothing
    "ACCELERATE_USE_DEEPSPEED": ("false",),
    "ACCELERATE_USE_MEGATRON_LM": ("false",),
    "ACCELERATE_USE_PARALLELISM_CONFIG": ("false",),
    "ACCELERATE_MIXED_PRECISION": ("no", "bf16"),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("1",),
    "ACCELERATE_DYNAMO_BACKEND": ("no",),
}
_SHARDED = {
    "FSDP_OFFLOAD_PARAMS": ("false",),
    "FSDP_ACTIVATION_CHECKPOINTING_OFFLOAD": ("false",),
    "FSDP_IGNORED_MODULES": ("",),
}
_RESHARD = {"full_shard": True, "1": True, "true": True,
            "shard_grad_op": False, "2": False, "false": False}  # fmt: skip
_NO = ("", "0", "false", "no", "none")


def asks(name: str) -> bool:
    """Whether this variable is set to yes."""
    return _value(name) not in _NO


def mixed_precision() -> str:
    """`no` or `bf16`; empty: nothing is said."""
    return _value("ACCELERATE_MIXED_PRECISION")


def sharded() -> bool:
    """Whether FSDP is asked for.

    Raises:
        SettingsError: something is asked for that is not done here.

    """
    wanted = asks("ACCELERATE_USE_FSDP")
    done = {**_ALWAYS, **(_SHARDED | {_strategy(): tuple(_RESHARD)} if wanted else {})}
    for name, values in done.items():
        value = _value(name)
        if value not in values and not (value in _NO and values[0] in _NO) and value:
            raise SettingsError(
                f"accelerate sets {name}={os.environ[name]}, which goemo-train does not do",
                "Launch without it: DDP, fully sharded FSDP and bf16 are supported",
            )
    if wanted:  # or transformers would leave the weights of all but the first process empty
        os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    return wanted


def reshard() -> bool:
    """Whether FSDP parts each layer's weights again after its forward pass."""
    return _RESHARD[_value(_strategy()) or "true"]


def _strategy() -> str:
    old = (_value("FSDP_VERSION") or "1") == "1"
    return "FSDP_SHARDING_STRATEGY" if old else "FSDP_RESHARD_AFTER_FORWARD"


def _value(name: str) -> str:
    return os.environ.get(name, "").lower()
