"""Tells a failed step at once, from the process in which it failed; the sensor would some seconds later.

Both give one cause the same id, so that it counts once. A hook of Dagster's would write an event for every
step that goes well; this looks at the events of a run as they pass by, and costs nothing until one is bad.
A process that is killed tells nothing: the sensor does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from itb_assets.observability.logs import get_logger, redact
from itb_assets.orchestration.alerts.events import Told, occurrences_of
from itb_assets.orchestration.alerts.subjects import RunFacts

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext  # no public name
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode
    from dagster._core.execution.step_dependency_config import StepDependencyConfig

    from itb_assets.domain.alerts import Occurrence
    from itb_assets.observability.alerts.catalogue import Language
    from itb_assets.orchestration.alerts.subjects import Subjects

URGENT = (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
Tell = Callable[["Occurrence", datetime], None]


class TellingExecutor(dg.Executor):
    """Runs steps as another executor does, and tells what fails; telling never fails a step."""

    def __init__(self, inner: dg.Executor, told: Callable[[dg.DagsterEvent, dg.DagsterRun], None]) -> None:
        """Wrap an executor."""
        self._inner = inner
        self._told = told

    @property
    def retries(self) -> RetryMode:
        """Whether steps are tried again, as the other executor has it."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """When a step may begin, as the other executor has it."""
        return self._inner.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Yield the other executor's events."""
        with closing(self._inner.execute(plan_context, execution_plan)) as events:  # type: ignore[type-var]
            for event in events:
                if event.event_type in URGENT:
                    self._told(event, plan_context.dagster_run)
                yield event


class FastTeller:
    """Tells one event of a run; whatever goes wrong with that is logged, and left to the sensor."""

    def __init__(self, tell: Tell, subjects: Subjects, ui_url: str, language: Language = "en") -> None:
        """Take the way to the database, what steps compute, where the UI is, and the messages' language."""
        self._tell = tell
        self._subjects = subjects
        self._ui_url = ui_url
        self._language = language
        self._away = False

    def __call__(self, event: dg.DagsterEvent, run: dg.DagsterRun) -> None:
        """Tell what is wrong; what is over can wait. After one failure it is silent: a run is not slowed."""
        if self._away:
            return
        try:
            now = datetime.now(UTC)
            facts = RunFacts.of(run, self._ui_url)
            told = Told(event, now, facts, self._subjects, language=self._language)
            for each in occurrences_of(told):
                if not each.resolves:
                    self._tell(each, now)
        except Exception as error:  # noqa: BLE001 - an alert may never make a step fail
            self._away = True
            said = str(error).partition("\n")[0]
            get_logger().warning("alert left to the sensor: {}", redact(f"{type(error).__name__}: {said}"))


def telling_executor(teller: Callable[[], FastTeller | None]) -> dg.ExecutorDefinition:
    """Return Dagster's executor in process with a look at what fails; `teller` is made in a run's process."""
    plain = dg.in_process_executor

    def in_process(context: dg.InitExecutorContext) -> dg.Executor:
        made = plain.executor_creation_fn
        if made is None:
            raise TypeError("Dagster's executor in process cannot be made: expected version 1.13")
        inner = made(context)
        found = _made(teller)
        return inner if found is None else TellingExecutor(inner, found)

    schema: Any = plain.config_schema
    return dg.ExecutorDefinition(plain.name, schema, executor_creation_fn=in_process)


def _made(teller: Callable[[], FastTeller | None]) -> FastTeller | None:
    try:
        return teller()
    except Exception as error:  # noqa: BLE001 - a wrong configuration of alerts stops no run
        get_logger().warning("alerts are left to the sensor: {}", redact(str(error)))
        return None
