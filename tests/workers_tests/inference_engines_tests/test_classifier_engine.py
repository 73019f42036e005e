"""The classifier's engine against plain transformers, one conversation at a time and without a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from search_spaces.errors import CheckpointError
from workers.example_set import read_examples
from workers.inference_engines import Conversation, GenerationOptions, Message, ModelSource
from workers.inference_engines.classifier_engine import ClassifierEngine, load_classifier
from workers.inference_engines.opening import is_classifier, open_generator

ANY = GenerationOptions(1)


def loaded(folder: Path) -> tuple[Any, Any]:
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.fixture(scope="module")
def conversations(family: Path) -> list[Conversation]:
    """Both answers to prompts of many lengths."""
    examples = [e for name in ("safety", "benign") for e in read_examples(family / f"{name}.jsonl")[:12]]
    exchanges = [(example.prompt, answer) for example in examples for answer in (example.answer, example.rejected)]
    return [(Message("user", prompt), Message("assistant", answer)) for prompt, answer in exchanges]


@pytest.mark.parametrize("max_batch_tokens", [1, 100, 100_000])
def test_labels_are_those_of_one_conversation_at_a_time(
    family: Path, conversations: list[Conversation], max_batch_tokens: int
) -> None:
    model, tokenizer = loaded(family / "classifier")
    wanted = []
    for user, assistant in conversations:
        text = f"<|user|>{user.content}<|assistant|>{assistant.content}</s>"
        logits = model(torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])).logits[0]
        wanted.append("refusal" if logits[1] > logits[0] else "compliance")
    assert ClassifierEngine(model, tokenizer, max_batch_tokens).generate(conversations, ANY) == wanted
    assert set(wanted) == {"refusal", "compliance"}


def test_no_conversations_have_no_labels(family: Path) -> None:
    assert load_classifier(str(family / "classifier"), "float32", "cpu").generate([], ANY) == []


def test_what_is_too_long_loses_its_beginning(family: Path, conversations: list[Conversation]) -> None:
    model, tokenizer = loaded(family / "classifier")
    long = [(Message("user", "red dust. " * 100 + user.content), answer) for user, answer in conversations]
    ends = [tokenizer.apply_chat_template(_turns(talk), tokenize=True, return_dict=False)[-128:] for talk in long]
    wanted = [model.config.id2label[int(model(torch.tensor([ids])).logits.argmax())] for ids in ends]
    assert ClassifierEngine(model, tokenizer).generate(long, ANY) == wanted


def _turns(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in conversation]


def test_without_a_template_turns_are_a_pair_of_texts(family: Path, conversations: list[Conversation]) -> None:
    model, tokenizer = loaded(family / "classifier")
    tokenizer.chat_template = None
    engine = ClassifierEngine(model, tokenizer)
    joined = [tokenizer(*(turn.content for turn in turns))["input_ids"] for turns in conversations]
    wanted = [model.config.id2label[int(model(torch.tensor([ids])).logits.argmax())] for ids in joined]
    assert engine.generate(conversations, ANY) == wanted
    assert len(engine.generate(["a text alone"], ANY)) == 1


def test_a_tokenizer_without_padding_needs_none(family: Path, conversations: list[Conversation]) -> None:
    model, tokenizer = loaded(family / "classifier")
    wanted = ClassifierEngine(*loaded(family / "classifier")).generate(conversations, ANY)
    tokenizer.pad_token = None
    assert ClassifierEngine(model, tokenizer).generate(conversations, ANY) == wanted


def test_folders_of_classifiers_are_opened_as_such(family: Path, conversations: list[Conversation]) -> None:
    folders = [path for path in family.iterdir() if path.is_dir()]
    assert [path.name for path in folders if is_classifier(str(path))] == ["classifier"]
    opened = open_generator(ModelSource(str(family / "classifier")))
    assert isinstance(opened, ClassifierEngine)
    assert set(opened.generate(conversations, ANY)) == {"refusal", "compliance"}


def test_a_folder_without_a_configuration_is_none(tmp_path: Path) -> None:
    assert not is_classifier(str(tmp_path))


def test_a_broken_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"architectures": ["LlamaForSequenceClassification"], "model_type": "llama"}'
    )
    with pytest.raises(CheckpointError, match="must hold a model for sequence classification in safetensors with its"):
        open_generator(ModelSource(str(tmp_path)))
