"""What `accelerate launch` and its configuration file ask for, by environment variables."""

from __future__ import annotations

import os

from goemo_report.errors import SettingsError

_NO = ("", "0", "false", "no", "none")
_ALWAYS: dict[str, tuple[str, ...]] = {  # what else than no is done
    "ACCELERATE_USE_DEEPSPEED": (),
    "ACCELERATE_USE_MEGATRON_LM": (),
    "ACCELERATE_USE_PARALLELISM_CONFIG": (),
    "ACCELERATE_MIXED_PRECISION": ("bf16",),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("1",),
    "ACCELERATE_DYNAMO_BACKEND": (),
}
_SHARDED = ("FSDP_OFFLOAD_PARAMS", "FSDP_ACTIVATION_CHECKPOINTING_OFFLOAD", "FSDP_IGNORED_MODULES")
_RESHARD = {"full_shard": True, "1": True, "true": True,
            "shard_grad_op": False, "2": False, "false": False}  # fmt: skip


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
    refused = [name for name, done in _ALWAYS.items() if _value(name) not in (*_NO, *done)]
    if wanted:
        refused += [name for name in _SHARDED if asks(name)]
        refused += [_strategy()] if _value(_strategy()) not in ("", *_RESHARD) else []
    if refused:
        raise SettingsError(
            f"accelerate sets {refused[0]}={os.environ[refused[0]]}, which goemo-train does not do",
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
