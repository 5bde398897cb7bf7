"""What operators say: tasks in their order, missions, words of control, and refusals that say why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from legion_core.bundle import PolicyBundle
from legion_core.control import Control
from legion_core.embedding import InstructionEncoder
from legion_core.lexicon import Lexicon
from legion_core.mission import load_missions
from legion_core.phrases import Phrases, phrases_for
from legion_core.tasks import task_names
from legion_core.understanding import Interpreter, MissionCall, Refused, Tasks

DATA = Path(__file__).parent / "data"
FILES = sorted(DATA.glob("*_sentences*.yaml"))
LEAST_SEQUENCES_RIGHT, LEAST_IMPOSSIBLE_REFUSED = 0.75, 0.90
LEAST_RIGHT, MOST_REFUSED, LEAST_OTHERS_REFUSED = 0.97, 0.02, 0.95


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def interpreter(shipped_bundle: PolicyBundle, encoder: InstructionEncoder) -> Interpreter:
    missions = {name: mission.phrases for name, mission in load_missions().items()}
    return Interpreter(shipped_bundle, encoder, phrases_for(shipped_bundle.task_names), missions)


def tasks_of(interpreter: Interpreter, sentence: str) -> tuple[str, ...]:
    outcome = interpreter.understand(sentence)
    return outcome.names if isinstance(outcome, Tasks) else ()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_phrasings_are_understood_and_other_sentences_refused(interpreter: Interpreter, file: Path) -> None:
    sentences = read(file)
    assert set(sentences["tasks"]) == set(task_names())
    found = [(tasks_of(interpreter, s), (task,)) for task, said in sentences["tasks"].items() for s in said]
    assert np.mean([understood == meant for understood, meant in found]) >= LEAST_RIGHT
    assert np.mean([not understood for understood, _ in found]) <= MOST_REFUSED
    assert np.mean([not tasks_of(interpreter, s) for s in sentences["refused"]]) >= LEAST_OTHERS_REFUSED


def test_the_classifier_knows_what_no_rule_foresees(
    interpreter: Interpreter, shipped_bundle: PolicyBundle, encoder: InstructionEncoder
) -> None:
    sentence = "kindly deal with the gaping drawer by shoving it home"
    by_rules_alone = Interpreter(shipped_bundle, encoder, phrases_for(shipped_bundle.task_names))
    by_rules_alone._classifier = None
    assert isinstance(by_rules_alone.understand(sentence), Refused)
    assert tasks_of(interpreter, sentence) == ("drawer-close",)


@pytest.mark.parametrize(
    "sentence",
    [
        "push the puck away from the goal",
        "the drawer is shut now",
        "has the peg been unplugged?",
        "do not descend on the button until it gives way",
        "the water is on",
        "open the drawer that is closed",
        "how does one press the button",
    ],
)
def test_negations_questions_and_reports_are_not_obeyed(interpreter: Interpreter, sentence: str) -> None:
    assert tasks_of(interpreter, sentence) == ()


def test_sequences_keep_their_order(interpreter: Interpreter) -> None:
    sequences = read(DATA / "sequences.yaml")["sequences"]
    assert not [s for s in sequences if tasks_of(interpreter, s["sentence"]) != tuple(s["tasks"])]


def test_sentences_that_nothing_was_tuned_on(interpreter: Interpreter) -> None:
    files = [read(DATA / f"unseen_{number}.yaml") for number in (1, 2, 3)]
    said = [(s, task) for file in files for task, sentences in file["tasks"].items() for s in sentences]
    found = [(tasks_of(interpreter, sentence), (task,)) for sentence, task in said]
    assert np.mean([understood == meant for understood, meant in found]) >= LEAST_RIGHT
    assert np.mean([not understood for understood, _ in found]) <= MOST_REFUSED
    others = [sentence for file in files for sentence in file["refused"]]
    assert np.mean([not tasks_of(interpreter, sentence) for sentence in others]) >= LEAST_OTHERS_REFUSED


def test_sequences_that_nothing_was_tuned_on(interpreter: Interpreter) -> None:
    sequences = read(DATA / "unseen_sequences.yaml")["sequences"]
    found = [(tasks_of(interpreter, s["sentence"]), tuple(s["tasks"])) for s in sequences]
    assert np.mean([understood == meant for understood, meant in found if meant]) >= LEAST_SEQUENCES_RIGHT
    assert np.mean([not understood for understood, meant in found if not meant]) >= LEAST_IMPOSSIBLE_REFUSED


def test_every_sentence_of_the_bundle_means_its_task(interpreter: Interpreter, shipped_bundle: PolicyBundle) -> None:
    for task in shipped_bundle.manifest.tasks:
        for sentence in (task.name, *task.sentences):
            assert tasks_of(interpreter, sentence) == (task.name,), sentence


@pytest.mark.parametrize(
    ("sentence", "tasks"),
    [
        ("open and then close the window", ("window-open", "window-close")),
        ("open the window and the door", ("window-open", "door-open")),
        (
            "close the drawer, the window, and press the button",
            ("drawer-close", "window-close", "button-press-topdown"),
        ),
        ("grab the handle and open the door", ("door-open",)),
        ("the drawer is open, close it", ("drawer-close",)),
        ("it is cold in here, so please close the window", ("window-close",)),
        ("push the puck to the goal, do not lift it", ("push",)),
        ("don't open the window, close it", ("window-close",)),
        ("stop and open the window", ("window-open",)),
        ("openthe widnow", ("window-open",)),
        ("press the button and press it again", ("button-press-topdown", "button-press-topdown")),
        ("press the button, then press it", ("button-press-topdown", "button-press-topdown")),
        ("take the puck, then carry it to the goal", ("pick-place",)),
        ("you see the button there? press it", ("button-press-topdown",)),
        ("the room smells, so open the window", ("window-open",)),
        ("so, open the window", ("window-open",)),
        ("I want a drink, so turn on the tap", ("faucet-open",)),
        ("close the window before the rain comes in", ("window-close",)),
        ("bring your hand down behind the puck, then push it to the goal", ("push",)),
        ("turn on teh tap so that I can rinse a cup", ("faucet-open",)),
        ("slide the window over so that it's shut", ("window-close",)),
        ("someone has to press the button, you do it", ("button-press-topdown",)),
        ("i need the door opened, can you do it", ("door-open",)),
        ("grasp the puck and then move it up to the goal position", ("pick-place",)),
        ("close your gripper, then push the puck to the goal", ("push",)),
        ("the bucket is under the faucet, turn it on", ("faucet-open",)),
        ("window is open, please close it", ("window-close",)),
        ("the window should not be open, so close it", ("window-close",)),
        ("I need two things: slide the puck to the goal and then shut the window", ("push", "window-close")),
        ("before anything else unplug the peg, then slide the window open", ("peg-unplug-side", "window-open")),
        ("shut the window, grab the peg and pull it out", ("window-close", "peg-unplug-side")),
        ("close window + close drawer", ("window-close", "drawer-close")),
        ("I want the window shut, but unplug the peg before that.", ("peg-unplug-side", "window-close")),
        ("press the button, but open the window first", ("window-open", "button-press-topdown")),
        ("close the window and do not close the drawer", ("window-close",)),
        ("move your gripper to the goal marker, leave the puck alone", ("reach",)),
        ("push the puck to the red dot", ("push",)),
        (
            "open the window, close the drawer, then open the window again",
            ("window-open", "drawer-close", "window-open"),
        ),
    ],
)
def test_what_is_left_out_is_filled_in(interpreter: Interpreter, sentence: str, tasks: tuple[str, ...]) -> None:
    assert tasks_of(interpreter, sentence) == tasks


@pytest.mark.parametrize(
    ("sentence", "part"),
    [
        ("open the window, then peel a banana", "peel a banana"),
        ("open the window and go to the kitchen", "go to the kitchen"),
        ("close the window and do not touch the window", "do not touch the window"),
        ("pick up the puck and put it in the drawer", "put it in the drawer"),
        ("open the window and fly away", "fly away"),
    ],
)
def test_a_sequence_is_refused_with_the_part_that_is_not_understood(
    interpreter: Interpreter, sentence: str, part: str
) -> None:
    outcome = interpreter.understand(sentence)
    assert isinstance(outcome, Refused)
    assert repr(part) in str(outcome)


@pytest.mark.parametrize(
    "sentence",
    [
        "open the drawer",
        "turn off the tap",
        "do not press the button",
        "is the window open",
        "who closed the window",
        "open the floor",
        "plug the peg in",
        "stop the faucet from running",
        "push the drawer off the table",
        "leave the window open",
        "move the snack to the target",
        "see the button there?",
        "open the drawer that is closed",
        "xkcd qwrt",
        "?!",
        "window",
        "make tea",
        "roll the puck in flour",
        "push the table to the goal",
        "move the marker to the left",
        "you should have closed the window",
        "the window must stay open",
        "close the drawer when I tell you",
        "the window is open now",
        "I'd like the drawer opened, please",
        "has somebody turned on the faucet",
    ],
)
def test_near_misses_are_refused(interpreter: Interpreter, sentence: str) -> None:
    assert isinstance(interpreter.understand(sentence), Refused)


def test_what_seems_to_be_left_out_or_done_twice_is_asked_about(interpreter: Interpreter) -> None:
    twice = interpreter.understand("with the window open, shut the drawer. So, open the window first.")
    assert isinstance(twice, Refused)
    assert "window-open seems to be asked for twice" in str(twice)
    first_task_only = Tasks(("window-close",))
    outcome = interpreter._doubted(first_task_only, [("close", "the", "window"), ("the", "drawer", "too")], True)
    assert str(outcome) == "'the drawer too' is not understood"


def test_what_is_taken_as_a_remark_is_named(interpreter: Interpreter) -> None:
    outcome = interpreter.understand("Papers are blowing around, close the window please")
    assert isinstance(outcome, Tasks)
    assert outcome.names == ("window-close",)
    assert "taken as a remark: 'papers are blowing around'" in str(outcome)
    assert interpreter.understand("close the window") == Tasks(("window-close",), 1.0)


def test_a_refusal_offers_the_nearest_tasks(interpreter: Interpreter) -> None:
    outcome = interpreter.understand("open the drawer")
    assert isinstance(outcome, Refused)
    assert outcome.nearest[0].task == "drawer-close"
    assert "the nearest tasks are: 'close the drawer'" in str(outcome)


@pytest.mark.parametrize("sentence", ["clear the table", "could you clear the table, please?", "Tidy up the table!"])
def test_missions_are_called_by_their_phrases(interpreter: Interpreter, sentence: str) -> None:
    assert interpreter.understand(sentence) == MissionCall("clear_the_table")
    assert not isinstance(interpreter.understand("do not clear the table"), MissionCall)


def test_words_of_control_need_no_model(random_bundle: PolicyBundle) -> None:
    silent = Interpreter(random_bundle, None)
    assert silent.understand("") is Control.STOP
    assert silent.understand("stop, you are too close") is Control.STOP
    assert silent.understand("open the window, no, stop!") is Control.STOP
    assert isinstance(silent.understand("release the emergency stop"), Refused)


def test_without_a_model_names_and_known_sentences_are_understood(random_bundle: PolicyBundle) -> None:
    silent = Interpreter(random_bundle, None)
    for sentence in ("window-open", " Window  OPEN! ", "open the window", "please open the window"):
        assert tasks_of(silent, sentence) == ("window-open",)
    assert tasks_of(silent, "window-open, then drawer-close") == ("window-open", "drawer-close")
    for sentence in ("window", "open the window now or never", "window-opener"):
        assert isinstance(silent.understand(sentence), Refused)


WORDS = sorted(Lexicon().vocabulary | {",", ".", "?", "so", "that", "because", "then", "before", "is"})
LINKS = ["the", "that", "is", "so", "it", "and", ",", ".", "then", "open", "closed", "to", "hand", "drawer", "see"]


@settings(max_examples=50)
@given(words=st.lists(st.sampled_from(LINKS) | st.sampled_from(WORDS), max_size=12))
def test_every_sentence_has_an_outcome(interpreter: Interpreter, words: list[str]) -> None:
    assert isinstance(interpreter.understand(" ".join(words)), Tasks | MissionCall | Control | Refused)


def test_own_phrases_and_aliases(shipped_bundle: PolicyBundle, encoder: InstructionEncoder) -> None:
    own = Phrases({"window-open": ("sesame",)}, ("push the puck gently",), {"hatch": "door", "wuthering": "window"})
    interpreter = Interpreter(shipped_bundle, encoder, own)
    assert tasks_of(interpreter, "sesame") == ("window-open",)
    assert tasks_of(interpreter, "open the hatch") == ("door-open",)
    assert tasks_of(interpreter, "could you shut that wuthering") == ("window-close",)
    assert tasks_of(interpreter, "push the puck gently") == ()


def test_a_policy_of_other_tasks_takes_the_same_path(shipped_bundle: PolicyBundle, encoder: InstructionEncoder) -> None:
    import dataclasses

    manifest = shipped_bundle.manifest
    task = dataclasses.replace(
        manifest.task("drawer-close"), name="drawer-open", description="open the drawer", phrasings=("pull the drawer",)
    )
    others = (*manifest.tasks, task)
    embeddings = {**shipped_bundle.embeddings, task.name: encoder.encode(task.sentences)}
    refused = tuple(s for s in manifest.refused if "drawer" not in s)
    bundle = dataclasses.replace(
        shipped_bundle,
        manifest=dataclasses.replace(manifest, tasks=others, refused=refused),
        embeddings=embeddings,
        refused=encoder.encode(refused),
    )
    interpreter = Interpreter(bundle, encoder, phrases_for(bundle.task_names))
    assert tasks_of(interpreter, "please open the drawer for me") == ("drawer-open",)
    assert tasks_of(interpreter, "shut the drawer then open it") == ("drawer-close", "drawer-open")
