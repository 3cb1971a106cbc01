"""Runs that do what the guide does not, made by the real client: `python -m ... ROOT`."""

from __future__ import annotations

import sys
from pathlib import Path

HOSTILE_NAME = "<script>alert(1)</script> | [red]../..\x1b[31m\u202e"
HOSTILE_TAG = "=cmd|' /C calc'!A0"


def odd(root: Path) -> None:
    """Nested, missing and infinite values, changes of mind, artifacts logged again."""
    import wandb

    run = wandb.init(
        project="odd-project",
        entity="some-team",
        id="odd",
        name=HOSTILE_NAME,
        tags=["first", HOSTILE_TAG],
        config={
            "model_name": "odd",
            "nested": {"a": 1, "b": {"c": [1, None]}, "e": {}},
            "lr": 1e-5,
            "none": {},
        },
        notes="two\nlines",
        group="g",
        job_type="training",
        dir=str(root),
        settings=wandb.Settings(sweep_id="sweep1"),
    )
    run.config.update({"lr": 3e-5}, allow_val_change=True)  # type: ignore[no-untyped-call]  # wandb
    run.define_metric("test/*", summary="max")
    for step in (1, 2, 5):
        run.log({"test/macro_f1": 1 / step, "test/f1_joy": step}, step=step)
        run.log({"loss": float("nan") if step == 2 else 1 / step, "up": float("inf")}, step=step)
        run.log({"inner": {"deep": {"x": step}}, "text": "naïve \U0001f600"}, step=step)
    run.log({"histogram": wandb.Histogram([1.0, 2.0, 2.0])}, step=9)
    run.summary["best"] = 3
    run.summary["gone"] = 4
    run.summary["null"] = None
    run.summary.update({"best": 5, "dict": {"q": 1}})
    del run.summary["gone"]  # type: ignore[no-untyped-call]  # wandb has no type here
    run.tags = (*(run.tags or ()), "added-later")

    path = root / "file.csv"
    for content, aliases in (("one", ["a"]), ("two", ["b"]), ("one", ["c"])):
        path.write_text(content)
        artifact = wandb.Artifact("thing", "dataset", metadata={"content": content})
        artifact.add_file(str(path))
        artifact.add_reference("https://example.org/elsewhere.bin", checksum=False)
        run.log_artifact(artifact, aliases=aliases)
    path.unlink()
    run.finish()


def many_files(root: Path) -> None:
    """An artifact whose manifest the client puts into a file of its own."""
    import wandb
    from wandb.sdk.interface import interface

    interface.MANIFEST_FILE_SIZE_THRESHOLD = 2
    run = wandb.init(project="odd-project", id="many", name="many", dir=str(root))
    artifact = wandb.Artifact("many-files", "dataset")
    for number in range(3):
        with artifact.new_file(f"folder/{number}.txt") as file:
            file.write(f"content {number}")
    run.log_artifact(artifact)
    run.finish()


def resumed(root: Path) -> None:
    """One run in three goes; the second repeats a step, the third fails."""
    import wandb

    for first, last, code in ((1, 3, 0), (3, 5, 0), (6, 6, 1)):
        with_name = {"name": "resumed run", "tags": ["final"]} if first == 1 else {}
        run = wandb.init(
            project="odd-project",
            id="resumed",
            resume="allow",
            dir=str(root / str(first)),
            config={"model_name": "m", "go": first},
            **with_name,  # type: ignore[arg-type]  # two kinds of value in one mapping
        )
        for step in range(first, last + 1):
            run.log({"go": first, f"only_{first}": step}, step=step)
        run.summary[f"went_{first}"] = True
        path = root / f"{first}.txt"
        path.write_text(str(first))
        artifact = wandb.Artifact("notes-resumed", "dataset")
        artifact.add_file(str(path), name="notes.txt")
        run.log_artifact(artifact)
        run.finish(exit_code=code)
        path.unlink()


if __name__ == "__main__":
    where = Path(sys.argv[1])
    for each in (1, 3, 6):
        (where / str(each)).mkdir()
    odd(where)
    many_files(where)
    resumed(where)
