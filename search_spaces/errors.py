"""Every error that paretomerge raises on purpose.

    ParetomergeError
    ├── UserError                      the user's mistake: exit code 2
    │   ├── SpecificationError         (ValueError)  a key of the specification
    │   ├── CheckpointError            (ValueError)  a folder that holds no readable checkpoint
    │   │   ├── IncompatibleModelsError              base and experts do not fit together
    │   │   └── MisplacedModelError                  a node of the cluster lacks a model, or has another
    │   ├── ExampleSetError            (ValueError)  a set that is empty or malformed
    │   ├── RecipeError                (ValueError)  a merge recipe that cannot be
    │   ├── SelectionError             (LookupError) no such study, trial or constraint
    │   │   └── MissingError                         nothing of that name, number or id
    │   ├── AccessError                (PermissionError) out of a client's reach
    │   └── StateError                 (RuntimeError) not in the state that a search is in
    └── FailureError                   nobody's mistake: exit code 1
        ├── DatabaseError              (ConnectionError)
        │   └── DatabaseLostError                    it did answer, and may come back
        ├── PoolError                  (RuntimeError) no worker could be started
        ├── CandidateError             (ArithmeticError) one candidate could not be made or scored
        ├── GenerationError            (RuntimeError) a generator, guard or judge gives no answers
        ├── SynthesisError             (RuntimeError) too few usable examples could be made
        ├── ServiceError               (ConnectionError) a remote service does not answer as it should
        └── ExportError                (OSError)

A message says what must hold, what was given (with the key or name) and what to do.
"""

from __future__ import annotations


class ParetomergeError(Exception):
    """Base of all errors that a person may see without a traceback."""

    exit_code = 1


class UserError(ParetomergeError):
    """Something that the user gave must be changed."""

    exit_code = 2


class SpecificationError(UserError, ValueError):
    """A key of the specification is unknown, missing or has an impossible value."""


class CheckpointError(UserError, ValueError):
    """A folder does not hold a safetensors checkpoint that can be read."""


class IncompatibleModelsError(CheckpointError):
    """Base and experts differ in architecture, tensor names, shapes or vocabulary."""


class MisplacedModelError(CheckpointError):
    """A node of the cluster does not hold a model's files, or holds others where they should be."""


class ExampleSetError(UserError, ValueError):
    """A set is missing, empty, or has a malformed line."""


class RecipeError(UserError, ValueError):
    """A merge recipe, or a mergekit file, cannot be expressed."""


class SelectionError(UserError, LookupError):
    """A study, a trial or a point that satisfies the constraint does not exist."""


class MissingError(SelectionError):
    """Nothing is there under the name, number or id that was given."""


class AccessError(UserError, PermissionError):
    """The service does not let a client reach this: a path outside its roots, an endpoint that it was not told of."""


class StateError(UserError, RuntimeError):
    """What was asked does not fit the state of a search, such as stopping one that has ended."""


class FailureError(ParetomergeError):
    """Something outside the user's files went wrong."""


class DatabaseError(FailureError, ConnectionError):
    """The database cannot be reached, started or used."""


class DatabaseLostError(DatabaseError):
    """The database did answer and does not now, or takes no writes: it may be waited for."""


class PoolError(FailureError, RuntimeError):
    """The workers could not be started, or all of them were lost."""


class CandidateError(FailureError, ArithmeticError):
    """One candidate could not be made or scored; `reason` is stored with its trial.

    Args:
        reason: a word of `workers.evaluation.FailureReason`.
        message: what happened, for a person.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)  # both, so that it survives pickling
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[1])


class ServiceError(FailureError, ConnectionError):
    """A remote service cannot be reached, or refuses what was asked of it."""


class GenerationError(FailureError, RuntimeError):
    """A generator, guard or judge gives no answers: it is down, refuses, or cannot be loaded."""


class SynthesisError(FailureError, RuntimeError):
    """Too few usable examples could be made; what was answered so far is kept."""


class ExportError(FailureError, OSError):
    """The merged model could not be written; nothing is left under the final name."""
