"""The planner's task as a Gymnasium environment, for learners that know nothing of radiotherapy: what a policy sees,
the changes it may make, and what they earn (docs/planner.md).

Needs the package gymnasium (extra 'train'); the product plans without it. Episodes come from a function that draws one
with the environment's own random numbers, so that a seed decides the cases too:

    environment = PlanningEnvironment(draw=lambda rng: PlanningEpisode(tps, goal_set, scorer))
    environments = gymnasium.make_vec(ENVIRONMENT_ID, num_envs=4, vectorization_mode="sync", draw=draw)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from appliance.contracts import Objectives, PlanningState
from appliance.errors import PlanningError
from appliance.execution.steering.changes import Change, objectives_at
from appliance.execution.steering.episode import PlanningEpisode, Reward
from appliance.execution.steering.observation import CONTEXT_FEATURES, LARGEST, TOKEN_FEATURES
from appliance.execution.steering.policy import STOP, Action, View

ENVIRONMENT_ID = "couchside/Planning-v0"
MOST_LEVERS = 96
"""Rows of the padded observation (chosen: OpenKBP and TG-119 cases have 10 to 40 levers; a case with more than these is
refused here, because a padded row costs every other case its time, while a policy outside Gymnasium takes any number).
"""

Draw = Callable[[np.random.Generator], PlanningEpisode]
Deliver = Callable[[PlanningEpisode, Objectives], PlanningState]
"""Makes the deliverable plan from the best objectives of an episode that has ended, on every voxel."""
Observed = dict[str, NDArray[Any]]
Act = np.integer[Any] | NDArray[np.integer[Any]] | int


class PlanningEnvironment(gymnasium.Env[Observed, Act]):
    """Action: with `Terms.changes` 1 one number, lever * 6 + change, and after the last lever the one that stops; with
    0 one change for each lever, then 1 to stop. `info["action_mask"]` and `action_masks()` say what is legal, in the
    order that sb3-contrib reads. What is not legal is not done: it counts in `info["refused"]`, or raises where
    `strict`.

    final: 'fluence', or 'deliverable', which `deliver` makes at the end of an episode; its score is the result in
    `info["result"]`, and its difference to the last fluence's is part of the last reward."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(
        self,
        draw: Draw,
        *,
        changes: int = 0,
        final: Literal["fluence", "deliverable"] = "fluence",
        deliver: Deliver | None = None,
        most_levers: int = MOST_LEVERS,
        strict: bool = False,
    ) -> None:
        """changes: as in the Terms of the episodes that are drawn. Raises PlanningError for other numbers than 0 and 1,
        and where a deliverable plan is wanted that nobody makes."""
        if changes not in (0, 1):
            raise PlanningError(f"the environment knows one change a call or any number (0), not {changes}")
        if (final == "deliverable") != (deliver is not None):
            raise PlanningError("'deliver' is needed for deliverable plans at the end, and for nothing else")
        self._draw, self._changes, self._deliver = draw, changes, deliver
        self._most, self._strict = most_levers, strict
        self._episode: PlanningEpisode | None = None
        self.observation_space = spaces.Dict(
            {
                "tokens": spaces.Box(-LARGEST, LARGEST, (most_levers, len(TOKEN_FEATURES)), np.float32),
                "present": spaces.MultiBinary(most_levers),
                "context": spaces.Box(-LARGEST, LARGEST, (len(CONTEXT_FEATURES),), np.float32),
                "legal": spaces.MultiBinary((most_levers, len(Change))),
            }
        )
        every = [len(Change)] * most_levers
        self.action_space = (
            spaces.Discrete(most_levers * len(Change) + 1) if changes else spaces.MultiDiscrete([*every, 2])
        )

    @property
    def episode(self) -> PlanningEpisode:
        """The one that is going on. Raises PlanningError before the first `reset`."""
        if self._episode is None:
            raise PlanningError("there is no episode yet; reset the environment first")
        return self._episode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observed, dict[str, Any]]:
        """Raises PlanningError for a case with more levers than rows, and for other Terms than those told."""
        super().reset(seed=seed)
        episode = self._draw(self.np_random)
        if len(episode.levers) > self._most:
            raise PlanningError(
                f"the case has {len(episode.levers)} objectives to steer, more than the {self._most} that the "
                "environment shows; leave out structures without goals, or ask for more rows"
            )
        if episode.terms.changes != self._changes:
            raise PlanningError(f"the episode allows {episode.terms.changes} changes, the environment {self._changes}")
        self._episode = episode
        view = episode.reset()
        return self._seen(view), self._told(view, refused=0)

    def step(self, action: Act) -> tuple[Observed, float, bool, bool, dict[str, Any]]:
        """An episode ends by its own rules, so it is never truncated."""
        episode = self.episode
        meant, refused = self._meant(action)
        if refused and self._strict:
            raise PlanningError(f"{refused} of the changes asked for are not legal now")
        view = episode.step(meant)
        told = self._told(view, refused=refused)
        if episode.done:
            told["result"] = self._concluded()
        told["reward"] = episode.earned
        return self._seen(view), episode.earned.total, episode.done, False, told

    def action_masks(self) -> NDArray[np.bool_]:
        """Flat: the changes of each lever in turn, then stopping; with many changes also not stopping."""
        mask = np.zeros((self._most, len(Change)), np.bool_)
        mask[:, Change.KEEP] = not self._changes
        legal = self.episode.view().observation.legal
        mask[: len(legal)] = legal
        return np.append(mask.reshape(-1), [True] if self._changes else [True, True])

    def _meant(self, action: Act) -> tuple[Action, int]:
        """The action without what is not legal, and how much that was."""
        wanted = np.full(self._most, Change.KEEP, np.int64)
        if self._changes:
            lever, change = divmod(int(action), len(Change))
            if lever == self._most:
                return STOP, 0
            wanted[lever] = change
        else:
            given = np.asarray(action, np.int64)
            if given[-1]:
                return STOP, 0
            wanted[:] = given[:-1]
        legal = self.episode.view().observation.legal
        own = wanted[: len(legal)]
        allowed = legal[np.arange(len(legal)), own]
        refused = int((~allowed).sum()) + int((wanted[len(legal) :] != Change.KEEP).sum())
        changes = tuple(Change(int(c)) if ok else Change.KEEP for c, ok in zip(own, allowed, strict=True))
        return Action(changes), refused

    def _seen(self, view: View) -> Observed:
        seen, count = view.observation, len(view.levers)
        tokens = np.zeros((self._most, len(TOKEN_FEATURES)), np.float32)
        present, legal = np.zeros(self._most, np.int8), np.zeros((self._most, len(Change)), np.int8)
        tokens[:count], present[:count], legal[:count] = seen.tokens, 1, seen.legal
        return {"tokens": tokens, "present": present, "context": seen.context, "legal": legal}

    def _told(self, view: View, *, refused: int) -> dict[str, Any]:
        return {
            "action_mask": self.action_masks(),
            "score": view.score,
            "hottest_gy": view.state.hottest_gy,
            "best_score": self.episode.best.score,
            "refused": refused,
            "reward": Reward(),
        }

    def _concluded(self) -> dict[str, Any]:
        """The result that counts: of the deliverable plan where one is made, else of the best fluence."""
        episode, best = self.episode, self.episode.best
        if self._deliver is None:
            return {"stage": "fluence", "score": best.score, "state": best.state}
        state = self._deliver(episode, objectives_at(episode.levers, best.setting))
        episode.conclude(state)
        return {"stage": "deliverable", "score": episode.scorer(state.goal_values), "state": state}


if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(ENVIRONMENT_ID, entry_point="appliance.execution.environment:PlanningEnvironment")
