"""A strategy file that is wrong is told with every mistake and its line, whoever reads it.

What counts as a mistake belongs to the tests of the domain.
"""

from __future__ import annotations

from refusals import RUN, WRONG, refused

FIVE_MISTAKES = """{
  "label_horizon": "four",
  "colour": "red",
  "feature_sets": [
    { "generator": "talib", "config": { "columns": ["close"], "functions": ["NOSUCH"], "windows": [3] } },
    { "generator": "talib", "config": { "columns": ["close"], "functions": ["SMA"], "windows": [3] } }
  ],
  "label_sets": [
    { "generator": "highlow2", "config": { "columns": ["close", "high", "low"], "function": "sideways",
      "thresholds": [0.4], "tolerance": 0.05, "horizon": 4, "names": ["high_040_4"] } }
  ],
  "train_features": ["close_SMA_3", "close_RSI_14"],
  "labels": ["high_040_4"],
  "algorithms": [ { "name": "lgbm", "algo": "lgbm", "train": {} } ]
}
"""
FIVE_LINES = (
    "2:20: label_horizon: expected a valid integer, found text",
    "3:3: unknown key 'colour'",
    "5:5: talib: NOSUCH is not a function of TA-Lib",
    "9:5: highlow2: config.function: input should be 'high' or 'low', found 'sideways'",
    "12:37: no feature_sets entry makes feature 'close_RSI_14'",
)


def test_a_strategy_with_five_mistakes(itb):
    """All five are told at once, each with its line, whoever reads the file."""
    folder = itb.folder / "strategies"
    folder.mkdir()
    (folder / "mine.jsonc").write_text(FIVE_MISTAKES)
    for said in (
        itb("strategies", "check", str(folder / "mine.jsonc")),
        itb(*RUN, ITB_STRATEGIES_DIR=str(folder)),
        itb("status", ITB_STRATEGIES_DIR=str(folder)),
    ):
        refused(said, WRONG, "mine.jsonc", "5 problems found")
        for line in FIVE_LINES:
            assert line in said.err, said
    assert not itb.root.exists()


def test_a_strategies_folder_that_cannot_be_read(itb):
    folder = itb.folder / "strategies"
    refused(
        itb(*RUN, ITB_STRATEGIES_DIR=str(folder)), WRONG, "is not a folder: expected one that holds *.jsonc"
    )
    (folder / "a_folder.jsonc").mkdir(parents=True)
    (folder / "latin.jsonc").write_bytes('{"description": "ação"}'.encode("latin-1"))
    said = itb(*RUN, ITB_STRATEGIES_DIR=str(folder))
    refused(said, WRONG, "a_folder.jsonc: cannot be read", "latin.jsonc: cannot be read: not UTF-8 text")
    assert not itb.root.exists()
