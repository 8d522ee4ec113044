"""What every question is written with; beside it are `arm`, `loads` and `worlds`."""

from bench.engine.design import Design
from bench.engine.experiment import Experiment, run
from bench.engine.measured import Measured
from bench.engine.result import outcome_of
from bench.engine.store import Outcome

__all__ = ["Design", "Experiment", "Measured", "Outcome", "outcome_of", "run"]
