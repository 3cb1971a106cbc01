"""Sweeps, as far as `wandb.sweep` and `wandb agent` need them: grid and random search.

Bayesian search is answered with random draws. Early stopping never stops a run.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import secrets
from collections.abc import Iterator
from typing import Any

import yaml

from tests.wandb_server import paging
from tests.wandb_server.errors import ApiError
from tests.wandb_server.resolvers.registry import Context, resolves
from tests.wandb_server.resolvers.runs import ordered_page
from tests.wandb_server.store import Agent, Project, Run, Sweep
from tests.wandb_server.values import opaque, stamp

Json = dict[str, Any]
# The parameter `input` of this package's mutations has the schema's name.


@resolves("Mutation.upsertSweep")
def upsert_sweep(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    sweep = _by_id(context, input["id"]) if input.get("id") else _create(context, input)
    if input.get("state"):
        sweep.state = input["state"]
    if input.get("displayName"):
        sweep.display_name = input["displayName"]
    return {"sweep": sweep, "configValidationWarnings": []}


def _create(context: Context, given: Json) -> Sweep:
    parsed = yaml.safe_load(given.get("config") or "")
    if not isinstance(parsed, dict) or not isinstance(parsed.get("parameters"), dict):
        raise ApiError("invalid sweep config: no parameters", 400)
    project, _ = context.store.make_project(given.get("entityName"), given.get("projectName"))
    name = secrets.token_hex(4)
    sweep = Sweep(project, name, given["config"], parsed)
    sweep.suggestions = _suggestions(parsed, seed=len(project.sweeps))
    project.sweeps[name] = sweep
    return sweep


def _by_id(context: Context, sweep_id: str) -> Sweep:
    for project in context.store.projects.values():
        for sweep in project.sweeps.values():
            if sweep_id in (sweep.id, sweep.name):
                return sweep
    raise ApiError(f"sweep {sweep_id} not found", 404)


def _suggestions(config: Json, seed: int) -> Iterator[Json]:
    parameters = config["parameters"]
    if config.get("method") == "grid":
        axes = [
            [(name, value) for value in spec.get("values", [spec.get("value")])]
            for name, spec in parameters.items()
        ]
        yield from (dict(point) for point in itertools.product(*axes))
        return
    generator = random.Random(seed)
    while True:
        yield {name: _draw(spec, generator) for name, spec in parameters.items()}


def _draw(spec: Json, generator: random.Random) -> Any:
    if "value" in spec:
        return spec["value"]
    if "values" in spec:
        return generator.choice(spec["values"])
    low, high = spec["min"], spec["max"]
    if isinstance(low, int) and isinstance(high, int):
        return generator.randint(low, high)
    if spec.get("distribution") == "log_uniform_values":
        return math.exp(generator.uniform(math.log(low), math.log(high)))
    return generator.uniform(low, high)


@resolves("Mutation.createAgent")
def create_agent(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    project = context.store.need_project(input.get("entityName"), input.get("projectName"))
    sweep = project.sweeps.get(input["sweep"])
    if sweep is None:
        raise ApiError(f"sweep {input['sweep']} not found", 404)
    agent = Agent(opaque("Agent", context.store.number()), input["host"])
    sweep.agents.append(agent)
    context.store.agents[agent.id] = (sweep, agent)
    return {"agent": agent}


@resolves("Mutation.agentHeartbeat")
def agent_heartbeat(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    if input["id"] not in context.store.agents:
        raise ApiError("agent not found", 404)
    sweep, agent = context.store.agents[input["id"]]
    running = json.loads(input.get("runState") or "{}")
    commands: list[Json] = []
    if sweep.state in ("CANCELED", "STOPPED", "FINISHED"):
        commands = [{"type": "exit"}]
    elif sweep.state == "RUNNING" and not running:
        commands = [_next(sweep, agent)]
    return {"agent": agent, "commands": json.dumps(commands)}


def _next(sweep: Sweep, agent: Agent) -> Json:
    point = next(sweep.suggestions, None)
    cap = sweep.parsed.get("run_cap")
    if point is None or (cap is not None and run_count(sweep, None) >= cap):
        sweep.state = "FINISHED"
        return {"type": "exit"}
    run_id = secrets.token_hex(4)
    agent.runs.append(run_id)
    args = {name: {"value": value} for name, value in point.items()}
    return {"type": "run", "run_id": run_id, "args": args, "program": sweep.parsed.get("program")}


# --- Reading ------------------------------------------------------------------------------


@resolves("Project.totalSweeps")
def total_sweeps(project: Project, context: Context) -> int:
    return len(project.sweeps)


@resolves("Project.sweeps")
def sweeps(
    project: Project,
    context: Context,
    after: str | None = None,
    first: int | None = None,
    filters: str | None = None,
) -> Json:
    if filters and json.loads(filters):
        raise ApiError(f"filters of sweeps are not supported: {filters}", 400)
    return paging.by_offset(list(project.sweeps.values()), after, first)


@resolves("Project.sweep")
def sweep_by_name(project: Project, context: Context, sweep_name: str) -> Sweep | None:
    return project.sweeps.get(sweep_name)


def _runs(sweep: Sweep) -> list[Run]:
    return [run for run in sweep.project.runs.values() if run.sweep_name == sweep.name]


@resolves("Sweep.runs")
def sweep_runs(
    sweep: Sweep, context: Context, after: str | None = None, first: int | None = None
) -> Json:
    return ordered_page(context, _runs(sweep), after, first, None)


@resolves("Sweep.runCount")
def run_count(sweep: Sweep, context: Context | None) -> int:
    return len(_runs(sweep))


@resolves("Sweep.runCountExpected")
def run_count_expected(sweep: Sweep, context: Context) -> int | None:
    if sweep.parsed.get("method") != "grid":
        return None
    return math.prod(len(s.get("values", [0])) for s in sweep.parsed["parameters"].values())


@resolves("Sweep.method")
def method(sweep: Sweep, context: Context) -> str:
    return str(sweep.parsed.get("method", "random"))


@resolves("Sweep.description")
def description(sweep: Sweep, context: Context) -> str | None:
    return sweep.parsed.get("description")


@resolves("Sweep.bestLoss")
def best_loss(sweep: Sweep, context: Context) -> float | None:
    metric = sweep.parsed.get("metric") or {}
    found = [run.summary.value.get(metric.get("name")) for run in _runs(sweep)]
    numbers = [float(value) for value in found if isinstance(value, (int, float))]
    if not numbers:
        return None
    return max(numbers) if metric.get("goal") == "maximize" else min(numbers)


@resolves("Sweep.createdAt", "Agent.createdAt")
def created_at(parent: Sweep | Agent, context: Context) -> str | None:
    return stamp(parent.created_at)


@resolves(
    "Sweep.updatedAt", "Sweep.heartbeatAt", "Sweep.controller", "Sweep.scheduler",
    "Sweep.earlyStopJobRunning", "Agent.heartbeatAt",
)  # fmt: skip
def nothing(parent: Any, context: Context) -> None:
    return None


@resolves("Sweep.agent")
def sweep_agent(sweep: Sweep, context: Context, agent_name: str) -> Agent | None:
    return next((agent for agent in sweep.agents if agent.id == agent_name), None)


@resolves("Sweep.agents")
def sweep_agents(sweep: Sweep, context: Context) -> Json:
    return {"edges": [{"node": agent} for agent in sweep.agents]}


@resolves("Agent.name")
def agent_name(agent: Agent, context: Context) -> str:
    return agent.id


@resolves("Agent.state")
def agent_state(agent: Agent, context: Context) -> str:
    return "RUNNING"


@resolves("Agent.totalRuns")
def agent_total_runs(agent: Agent, context: Context) -> int:
    return len(agent.runs)


@resolves("Agent.runs")
def agent_runs(
    agent: Agent,
    context: Context,
    after: str | None = None,
    before: str | None = None,
    first: int | None = None,
    last: int | None = None,
    order: str | None = None,
) -> Json:
    sweep, _ = context.store.agents[agent.id]
    found = [run for run in _runs(sweep) if run.name in agent.runs]
    return ordered_page(context, found, after, first, order)
