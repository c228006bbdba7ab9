"""What a solver keeps, within a phase, from phase to phase and in a checkpoint."""

from typing import Any

from ...hypergradient import BoundSolver, Solver


class SolverState:
    """The state of a solver while no phase holds it."""

    def __init__(self) -> None:
        # Of the phase that a resumed run continues.
        self._resumed: dict[str, Any] = {}
        # What one phase leaves to the next, between the two.
        self._carried: dict[str, Any] = {}

    def take(self, done_steps: int, of: str) -> dict[str, Any] | None:
        """What the solver of a phase begins with; None if there is nothing.

        A state within a phase belongs to one operator: that of the same phase,
        with the same settings.

        Args:
            done_steps (int): Steps of the phase that were taken already.
            of (str): The settings of the system.
        """
        resumed, self._resumed = self._resumed, {}
        carried, self._carried = self._carried, {}
        same = done_steps > 0 and resumed.get('of') == of
        return resumed['solver'] if same else carried or None

    def leave(self, solver: Solver, bound: BoundSolver) -> None:
        """Keep at the end of a phase what the next one can use."""
        # Others would copy what they kept for nothing.
        if solver.keeps_curvature:
            self._carried = solver.for_next_phase(bound.state_dict())

    def of_phase(self, bound: BoundSolver | None, of: str) -> dict[str, Any]:
        """For a checkpoint; empty if nothing is kept.

        Args:
            bound (BoundSolver, optional): The solver of the present phase, if its
                state holds for the next step.
            of (str): The settings of the system.
        """
        kept = {} if bound is None else bound.state_dict()
        if kept:
            return dict(solver=kept, of=of)
        return dict(carried=self._carried) if self._carried else {}

    def load(self, solver: Solver, state: dict[str, Any]) -> None:
        """Take up what :meth:`of_phase` gave."""
        self._resumed = state
        # A run may go on where a phase has just had its last step.
        self._carried = state.get('carried') or solver.for_next_phase(
            state.get('solver', {})
        )
