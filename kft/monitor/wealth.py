"""Evidence that a gauge has moved, which may be looked at as often as one likes.

Where new rows come from the source of the test rows, the next one falls into cell j with probability
(gaps[j] + counts[j]) / (sum of both): a Polya urn (Blackwell and MacQueen, 1973), whose gaps edges.py gives. Other laws
are set against it: the same cells with other shares, drawn freely, or pushed up, down, apart, together, or beyond all
that was seen. How much more probable they make what came, on average, is a test martingale: a fair game against
"nothing has changed". The chance that its wealth, 1 at first, ever reaches w is at most 1 / w (Ville, 1939; Ramdas et
al., 2023). So an alarm at 1 / alpha is false in at most alpha of all cases, over all looks together.

A change may come late. So the game is begun again after each window, with a part of the stake that was laid aside for
it (Shafer and Vovk, 2019). Every law is one of counts: the order of rows within a window does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy.special import gammaln, ndtri

FIRST = 0.5
"""Part of the stake for a change that was there from the beginning; the rest is for later ones."""
MOST_GAMES = 10
"""Games that are followed; of more, the one that has won least is given up, which can only lose wealth."""
FRESH = 4
"""The newest games are never given up: what they bet on may just have begun."""
PUSHES = (0.1, 0.2, 0.4, 0.8, 1.6)
"""How far a law pushes values up or down, in standard deviations."""
SPREADS = (-0.4, -0.2, 0.1, 0.2, 0.4)
"""How far a law draws values together or apart."""
BEYOND = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Shares of rows that a law puts beyond one end of all that was seen."""
CERTAIN = (30.0, 300.0)
"""Rows that a pushed law is worth: how closely shares are expected to follow it."""
FREE = (1.0, 4.0, 16.0)
"""Rows a cell that a law of freely drawn shares is worth."""


@dataclass(frozen=True, eq=False)
class Game:
    """One round of bets.

    Attributes:
        stake: Part of the whole.
        before: ``int64[cells]``: what had come when it began; it counts as known.
    """

    stake: float
    before: np.ndarray


@dataclass(frozen=True, eq=False)
class Wealth:
    """How much the bets against "nothing has changed" have won so far.

    Attributes:
        gaps: Of the edges.
        counts: ``int64[cells]``: all that came.
        windows: That held rows.
        games: Those that are followed.
        peak: The largest ``log`` at the end of any window.
    """

    gaps: np.ndarray
    counts: np.ndarray
    windows: int = 0
    games: tuple[Game, ...] = ()
    peak: float = 0.0

    def after(self, came: np.ndarray) -> Wealth:
        """Returns the wealth after a window.

        Args:
            came: ``int64[cells]``: its rows.
        """
        if not came.sum():
            return self
        games = _worth_following((*self.games, Game(stake_of(self.windows), self.counts)), self.gaps, self.counts)
        now = replace(self, counts=self.counts + came, windows=self.windows + 1, games=games)
        return replace(now, peak=max(self.peak, now.log))

    @cached_property
    def log(self) -> float:
        """The natural logarithm of the wealth; 0 where nothing was bet yet, less where bets were lost."""
        if not self.games:
            return 0.0
        terms = [np.log(game.stake) + won(self.gaps, game.before, self.counts) for game in self.games]
        # What is laid aside for later games is kept as it is.
        return float(np.logaddexp.reduce([*terms, np.log((1 - FIRST) / self.windows)]))

    def as_document(self) -> dict[str, Any]:
        """Returns what JSON can hold; without the gaps, which stand in the reference."""
        games = [{"stake": game.stake, "before": game.before.tolist()} for game in self.games]
        return {"counts": self.counts.tolist(), "windows": self.windows, "games": games, "peak": self.peak}


def stake_of(windows: int) -> float:
    """Returns the part of the stake for a game that begins after so many windows; over all it is 1.

    Example:
        >>> stake_of(0), stake_of(1), round(sum(map(stake_of, range(1000))), 2)
        (0.5, 0.25, 1.0)
    """
    return (1 - FIRST) / (windows * (windows + 1)) if windows else FIRST


def start(gaps: np.ndarray) -> Wealth:
    """Returns the wealth before anything came.

    Example:
        >>> wealth = start(np.array([1, 50, 50]))
        >>> wealth.after(np.array([0, 0, 200])).log > 20, wealth.after(np.array([2, 98, 100])).log < 0
        (True, True)
    """
    return Wealth(gaps, np.zeros_like(gaps))


def from_document(gaps: np.ndarray, document: Mapping[str, Any]) -> Wealth:
    """Reads what ``as_document`` gave.

    Args:
        gaps: Of the same edges.
        document: As it was.
    """
    games = tuple(Game(each["stake"], np.array(each["before"], np.int64)) for each in document["games"])
    return Wealth(gaps, np.array(document["counts"], np.int64), document["windows"], games, document["peak"])


def last_began(wealth: Wealth) -> np.ndarray:
    """Returns what had come when the bets that have won most were laid, ``int64[cells]``."""
    best = max(
        wealth.games,
        key=lambda game: np.log(game.stake) + won(wealth.gaps, game.before, wealth.counts),
        default=Game(1.0, np.zeros_like(wealth.counts)),
    )
    return best.before


def won(gaps: np.ndarray, before: np.ndarray, counts: np.ndarray) -> float:
    """Returns the log of what one unit has become in a game.

    Args:
        gaps: ``int64[cells]``.
        before: ``int64[cells]``: what had come when the game began.
        counts: ``int64[cells]``: what has come by now.
    """
    urns, held, first = _urns((gaps + before).astype(np.float64).tobytes())
    came = counts - before
    # The log probability of the counts under each Dirichlet-multinomial law, up to what is the same for all.
    likely = gammaln(urns + came).sum(axis=1) - gammaln(held + came.sum()) + first
    return float(np.logaddexp.reduce(likely[:-1]) - np.log(len(likely) - 1) - likely[-1])


@lru_cache(maxsize=4096)
def _urns(known: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns what is the same at each look at a game.

    Args:
        known: ``float64[cells]`` of what is known where it begins.

    Returns:
        What each urn holds of each cell at first, ``float64[laws + 1, cells]``, the last that which is known; how much
        it holds; and the part of its log probability that does not hang on what comes.
    """
    shares = np.frombuffer(known, np.float64)
    urns = np.concatenate([_laws(shares), shares[None]])
    held = urns.sum(axis=1)
    return urns, held, gammaln(held) - gammaln(urns).sum(axis=1)


def _laws(known: np.ndarray) -> np.ndarray:
    """Returns the urns that are set against the one that is known, ``float64[laws, cells]``."""
    held = known.sum()
    shares = known / held
    middle = ndtri(np.clip(np.cumsum(shares) - shares / 2, 1e-6, 1 - 1e-6))
    bent = np.outer((*PUSHES, *(-push for push in PUSHES)), middle)
    bent = np.concatenate([bent, np.outer(SPREADS, np.minimum(middle**2, 9.0))])
    pushed = shares * np.exp(bent)
    pushed /= pushed.sum(axis=1, keepdims=True)
    ends = [(1 - part) * shares + part * np.eye(len(shares))[end] for part in BEYOND for end in (0, -1)]
    free = [shares * per_cell * len(shares) for per_cell in FREE]
    pushed = np.concatenate([pushed, ends])
    return np.concatenate([*(pushed * certain for certain in CERTAIN), pushed * held, free])


def _worth_following(games: Sequence[Game], gaps: np.ndarray, counts: np.ndarray) -> tuple[Game, ...]:
    """Returns the games without the one that has won least, where there are too many."""
    if len(games) <= MOST_GAMES:
        return tuple(games)
    old = games[1 : len(games) - FRESH]
    least = min(range(len(old)), key=lambda at: np.log(old[at].stake) + won(gaps, old[at].before, counts)) + 1
    return (*games[:least], *games[least + 1 :])
