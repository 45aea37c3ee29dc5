"""Search for better numbers of a plan.

In: a plan, a data set, what may be tried.  Out: a study that workers share, the best plan.
Never: data, recipe or split changed between trials. The folds tried are ``split.only``, the first otherwise:
what is found was chosen by them, so they judge it too well.

The space is TOML, a table for each word: ``low`` and ``high`` (with ``log`` or ``step``), or ``choices``::

    [training.learning_rate]
    low = 1e-4
    high = 1e-2
    log = true

    [network.kind]
    choices = ["resnet", "densenet"]
"""

from __future__ import annotations

import fcntl
import json
import logging
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from wetread.errors import InvalidPlan, TrainingDiverged
from wetread.lab.checkpoint import save_text
from wetread.lab.fit import Job, fit
from wetread.lab.items import Items, prepare_items, read_parts
from wetread.lab.plan import Plan, Task, parse_plan
from wetread.lab.run import plan_content
from wetread.lab.splits import Split, split_by_patient
from wetread.lab.train import Told
from wetread.registry.toml_text import to_toml

_SAMPLERS = ("tpe", "random", "grid")
_WORDS = {"low", "high", "log", "step", "choices"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What a search found."""

    plan_file: Path
    score: float
    trials: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Search:
    content: Mapping[str, Any]
    space: Mapping[str, Mapping[str, Any]]
    items: Items
    split: Split
    out: Path
    told: Told


def tune(
    plan: Plan,
    data: Path,
    out: Path,
    *,
    space: Path,
    trials: int = 20,
    sampler: str = "tpe",
    labels: Path | None = None,
    told: Told = lambda *_: None,
) -> Tuned:
    """Try plans until ``trials`` are done, by all workers that were given the same folder together.

    Parameters
    ----------
    space
        TOML, see the module. What is tried must not change data, recipe or split.
    sampler
        ``tpe`` (Bayesian), ``random`` or ``grid``. Trials worse than the median so far are cut short.

    Returns
    -------
    Tuned
        With the path of ``plan.toml``, the best plan so far.

    Raises
    ------
    InvalidPlan
        If the space or sampler is not valid.
    """
    words = read_space(space)
    items = prepare_items(read_parts(data, plan.data.parts, labels), plan)
    classes = len(plan.data.classes) if plan.task is Task.CLASSIFICATION else 0
    split = split_by_patient([one.sample for one in items.items], plan.split.folds, plan.split.seed, classes)
    out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(logging.WARNING)
    study = _open_study(plan.name, out)
    # Workers that begin later draw otherwise.
    study.sampler = _sampler(sampler, words, plan.training.seed + len(study.trials))
    search = _Search(content=plan_content(plan), space=words, items=items, split=split, out=out, told=told)
    over = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    limit = optuna.study.MaxTrialsCallback(trials, states=over)
    if sum(one.state in over for one in study.trials) < trials:
        study.optimize(lambda trial: _try(search, trial), callbacks=[limit], catch=(TrainingDiverged,))
    return _write_best(study, search)


def read_space(path: Path) -> dict[str, dict[str, Any]]:
    """Read what may be tried: ``section.word`` -> its table.

    Raises
    ------
    InvalidPlan
        If a word has neither ``choices`` nor ``low`` and ``high``.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidPlan(f"The space cannot be read: {error}", file=path.name) from error
    found: dict[str, dict[str, Any]] = {}
    for section, words in content.items():
        for word, table in words.items() if isinstance(words, dict) else ():
            is_whole = isinstance(table, dict) and ("choices" in table or {"low", "high"} <= table.keys())
            if not is_whole or table.keys() - _WORDS:
                raise InvalidPlan(f"{section}.{word} of the space needs choices, or low and high.")
            found[f"{section}.{word}"] = table
    if not found:
        raise InvalidPlan("The space names nothing to try.", file=path.name)
    return found


def _open_study(name: str, out: Path) -> optuna.Study:
    """Open the study of a folder; workers that start at once would both make its tables, so one at a time."""
    with (out / "study.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return optuna.create_study(
            study_name=name,
            storage=f"sqlite:///{(out / 'study.db').resolve()}?timeout=60",
            load_if_exists=True,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3),
        )


def _sampler(name: str, space: Mapping[str, Mapping[str, Any]], seed: int) -> optuna.samplers.BaseSampler:
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name != "grid":
        raise InvalidPlan(f"sampler must be one of {', '.join(_SAMPLERS)}, not {name!r}.")
    if not all("choices" in table for table in space.values()):
        raise InvalidPlan("A grid needs choices for each word of the space.")
    return optuna.samplers.GridSampler({word: table["choices"] for word, table in space.items()}, seed=seed)


def _try(search: _Search, trial: optuna.Trial) -> float:
    plan = _suggest(search, trial)
    folder = search.out / f"trial-{trial.number}"
    folder.mkdir(exist_ok=True)
    scores: list[float] = []
    items = search.items.items
    for order, fold in enumerate(plan.split.only or (0,)):
        job = Job(
            plan=plan,
            trained_on=[items[at] for at in search.split.trained_on(fold)],
            held_out=[items[at] for at in search.split.held_out(fold)],
            seed=plan.training.seed,
            run_digest=f"trial {trial.number} fold {fold}",
        )

        def told(epoch: int, record: dict[str, float], step: int = order * plan.training.epochs) -> None:
            search.told(f"trial {trial.number}", epoch, plan.training.epochs, record)
            trial.report(record["score"], step + epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            scores.append(fit(job, folder, told).scores["score"])
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)
    folder.rmdir()
    return sum(scores) / len(scores)


def _suggest(search: _Search, trial: optuna.Trial) -> Plan:
    content = json.loads(json.dumps(search.content))
    for name, table in search.space.items():
        section, word = name.split(".")
        content[section][word] = _draw(trial, name, table)
    return parse_plan(content, search.out)


def _draw(trial: optuna.Trial, name: str, table: Mapping[str, Any]) -> Any:
    if "choices" in table:
        return trial.suggest_categorical(name, table["choices"])
    low, high, step = table["low"], table["high"], table.get("step")
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, step=step or 1, log=bool(table.get("log", False)))
    return trial.suggest_float(name, low, high, step=step, log=bool(table.get("log", False)))


def _write_best(study: optuna.Study, search: _Search) -> Tuned:
    done = [one for one in study.trials if one.state is optuna.trial.TrialState.COMPLETE]
    if not done:
        raise TrainingDiverged("No trial came to its end: narrow the space.")
    content = json.loads(json.dumps(search.content))
    for name, value in study.best_params.items():
        section, word = name.split(".")
        content[section][word] = value
    path = search.out / "plan.toml"
    save_text(path, to_toml(content))
    return Tuned(plan_file=path, score=float(study.best_value), trials=len(study.trials))
