"""Inference with vLLM: a model in processes of its own, whose weights are merged there."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from threading import Thread
from typing import Any

from search_spaces.errors import CandidateError, CheckpointError, GenerationError
from workers.checkpoints import read_header
from workers.evaluation import FailureReason
from workers.inference_engines._base import AnswerLikelihood, InferenceEngine, TokenizedPair
from workers.inference_engines.chat_rendering import cut_at, end_token
from workers.inference_engines.conversation import GenerationOptions

_EXTENSION = "workers.inference_engines.vllm_extension.MergeExtension"
# The rest is for a guard beside the candidate, and for a saved merge that is scored by itself.
_GPU_MEMORY_SHARE = 0.7
_CPU_OPTIONS: dict[str, Any] = {
    # Compiling takes a minute, and pays on a GPU only.
    "enforce_eager": True,
    # Thousands of tokens of a small model, which is what a CPU is for; VLLM_CPU_KVCACHE_SPACE (GiB) says otherwise.
    "kv_cache_memory_bytes": 1 << 30,
    # vLLM's own 128 is more than most prompts have, and only whole blocks are kept.
    "block_size": 32,
}
# Fewer would not hold one step of each of the sequences that vLLM runs at a time.
_MIN_BATCH_TOKENS = 256
# Between two looks at whether vLLM's processes live.
_POLL_S = 1.0
# Apart by more than a call has prompts, so that the answers of two seeds have nothing in common.
_SEED_STRIDE = 1_000_003


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """How vLLM runs.

    Args:
        dtype: of weights and activations: torch's name of it.
        device: `cuda` or `cpu`; decided by which vLLM is installed, told here to whom it concerns.
        tensor_parallel: over how many GPUs (or processes) each weight is split.
        max_batch_tokens: tokens of one step.
        n_threads: of each process on a CPU; None leaves vLLM's own choice.
    """

    dtype: str = "float32"
    device: str = "cpu"
    tensor_parallel: int = 1
    max_batch_tokens: int = 4096
    n_threads: int | None = None


class VllmEngine(InferenceEngine):
    """Teacher forcing by prompt log-probabilities, decoding by vLLM's own batching.

    It starts with weights of no model: the first candidate brings the first that mean something.

    Attributes:
        head_source: the tensor that is embeddings and head in one, which vLLM is given as both; else "".

    Args:
        folder: of a checkpoint of the candidate's architecture, with its tokenizer.
        options: how it runs.

    Raises:
        CheckpointError: vLLM cannot run this model here.
    """

    def __init__(self, folder: str, options: VllmOptions) -> None:
        self.folder = folder
        self.options = options
        self.device = options.device
        self.tokenizer, generation_config = _load_tokenizer(folder)
        self.end_id = end_token(generation_config, self.tokenizer)
        self.head_source = _head_source(folder, options.device)
        self._llm: Any = None
        self.start()

    @property
    def is_running(self) -> bool:
        """Whether its processes live, as far as is known."""
        return self._llm is not None

    def start(self) -> None:
        """Start its processes.

        Raises:
            CheckpointError: see the class.
        """
        try:
            self._llm = _start(self.folder, self.options, self.head_source)
            _end_with_this_process(self._llm)
            # One token is always written after what is scored.
            self.max_tokens = int(self._llm.llm_engine.model_config.max_model_len) - 1
            # Whether its kernels take the model's shapes is told by the first tokens only.
            self._llm.generate([{"prompt_token_ids": [self.end_id]}], _scoring(), use_tqdm=False)
        except Exception as error:  # a process edge: vLLM raises whatever stopped its processes
            self._llm = None
            raise CheckpointError(
                f"vLLM must run the base '{self.folder}', but cannot: {_last_line(error)} What it logged above says "
                "why; its attention on CPUs, for one, takes heads of 32, 64 or 128 and few other sizes. "
                "`workers.engine: transformers` runs every model."
            ) from error

    def ask_workers(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of `MergeExtension` in every worker.

        Raises:
            CandidateError: its processes are lost.
        """
        found: list[Any] = self._call(lambda: self._watched(lambda: self._llm.collective_rpc(method, args=arguments)))
        return found

    def forget_prefixes(self) -> None:
        """Drop what was computed of earlier prompts: with other weights it is wrong."""
        if not self._call(lambda: self._watched(self._llm.reset_prefix_cache)):
            raise RuntimeError("vLLM must be idle while weights change, but its prefix cache is in use.")

    def answer_likelihoods(self, pairs: Sequence[TokenizedPair]) -> list[AnswerLikelihood]:
        """See `InferenceEngine.answer_likelihoods`."""
        if not pairs:
            return []
        read = self._run([(*pair.prompt, *pair.answer) for pair in pairs], [_scoring()] * len(pairs))
        return [_likelihood(output.prompt_logprobs, pair) for output, pair in zip(read, pairs, strict=True)]

    def complete(self, prompts: Sequence[tuple[int, ...]], options: GenerationOptions) -> list[str]:
        """See `InferenceEngine.complete`."""
        if not prompts:
            return []
        sampling = [_writing(options, self.end_id, index) for index in range(len(prompts))]
        written = [list(output.outputs[0].token_ids) for output in self._run(prompts, sampling)]
        texts: list[str] = self.tokenizer.batch_decode(written, skip_special_tokens=True)
        return [cut_at(text, options.stop) for text in texts]

    def _run(self, prompts: Sequence[tuple[int, ...]], sampling: list[Any]) -> list[Any]:
        """vLLM's outputs, in the order of the prompts."""
        longest = max(map(len, prompts))
        if longest > self.max_tokens:
            raise GenerationError(
                f"vLLM takes at most {self.max_tokens} tokens of this model at once, but got {longest}. "
                "Shorten the set's examples, or use `workers.engine: transformers`."
            )
        given = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        found: list[Any] = self._call(lambda: self._llm.generate(given, sampling, use_tqdm=False))
        return found

    def _watched(self, work: Callable[[], Any]) -> Any:
        """What a call returns; vLLM alone would wait for ever for a process that dies over it."""
        answer: Future[Any] = Future()
        Thread(target=_answer, args=(answer, work), daemon=True).start()
        while not wait([answer], timeout=_POLL_S).done:
            self._llm.llm_engine.engine_core.ensure_alive()
        return answer.result()

    def _call(self, work: Callable[[], Any]) -> Any:
        """What vLLM answers; when its processes are lost, that is the candidate's failure."""
        from vllm.v1.engine.exceptions import EngineDeadError

        if not self.is_running:
            raise CandidateError(FailureReason.WORKER_LOST, "vLLM's processes must run, but were lost before.")
        try:
            return work()
        except EngineDeadError as error:
            self._llm = None
            message = f"vLLM's processes were lost over this candidate: {_last_line(error)}"
            raise CandidateError(FailureReason.WORKER_LOST, message) from error


def _end_with_this_process(llm: Any) -> None:
    """However this one ends, vLLM's processes end, too, and give their memory back."""
    # An owner that is killed cannot tell them.
    llm.collective_rpc("end_with", args=(os.getpid(),))
    # Python would first wait for them to end by themselves, and they for Python.
    atexit.register(_shut_down, weakref.ref(llm.llm_engine.engine_core))


def _shut_down(engine_core: weakref.ref[Any]) -> None:
    if (running := engine_core()) is not None:
        running.shutdown()


def _answer(answer: Future[Any], work: Callable[[], Any]) -> None:
    try:
        answer.set_result(work())
    except BaseException as error:  # raised again where the answer is awaited
        answer.set_exception(error)


def _load_tokenizer(folder: str) -> tuple[Any, Any]:
    """Tokenizer and generation configuration; never code from the folder, never the network."""
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        if os.path.exists(os.path.join(folder, "generation_config.json")):
            return tokenizer, GenerationConfig.from_pretrained(folder, local_files_only=True)
        return tokenizer, GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder, **options))
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"'{folder}' must hold a causal language model with its tokenizer, but: {_last_line(error)}"
        ) from error


def _head_source(folder: str, device: str) -> str:
    names = read_header(folder).merged_names
    if any(name.startswith("lm_head.") for name in names):
        return ""
    found = next((name for name in names if name.endswith("embed_tokens.weight")), "")
    if not found and device == "cpu":
        raise CheckpointError(
            "vLLM on a CPU needs a head, or embeddings called `embed_tokens`, in the base's checkpoint, "
            f"but '{folder}' has neither. Use `workers.engine: transformers`."
        )
    return found


def _start(folder: str, options: VllmOptions, head_source: str) -> Any:
    # It would tell its makers of every start; and what it logs is in the way of a command's own output.
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    # A forked process would hold locks of threads that it does not have.
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    if options.device == "cpu" and options.n_threads:
        # vLLM would take all cores for itself, and every worker of a node the same ones.
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        os.environ.setdefault("OMP_NUM_THREADS", str(options.n_threads))
    from vllm import LLM

    on_cpu = options.device == "cpu"
    return LLM(
        model=folder,
        dtype=options.dtype,
        tensor_parallel_size=options.tensor_parallel,
        # Inside a placement group vLLM would ask Ray for GPUs, which this worker holds already: all on this node.
        distributed_executor_backend="mp" if options.tensor_parallel > 1 else None,
        # As many as the model has positions and the memory takes.
        max_model_len=-1,
        max_num_batched_tokens=max(_MIN_BATCH_TOKENS, options.max_batch_tokens),
        # Chat models' generation configurations set sampling parameters, and then the answer is another one.
        generation_config="vllm",
        worker_extension_cls=_EXTENSION,
        # The first candidate overwrites what would be read.
        load_format="dummy",
        # On a CPU vLLM works with a packed copy of the head, which it renews only where the head is loaded itself.
        hf_overrides={"tie_word_embeddings": False} if on_cpu and head_source else {},
        use_tqdm_on_load=False,
        **(_CPU_OPTIONS if on_cpu else {"gpu_memory_utilization": _GPU_MEMORY_SHARE}),
    )


def _scoring() -> Any:
    """Of each prompt token its log-probability, and which token has the highest; one token, unused, is written."""
    from vllm import SamplingParams

    return SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=1, detokenize=False)


def _writing(options: GenerationOptions, end_id: int, index: int) -> Any:
    from vllm import SamplingParams

    return SamplingParams(
        max_tokens=options.max_new_tokens,
        temperature=options.temperature,
        # All tokens stay possible, as with the transformers engine.
        top_p=1.0,
        top_k=0,
        repetition_penalty=1.0,
        seed=(options.seed * _SEED_STRIDE + index) % 2**63 if options.temperature else None,
        stop=list(options.stop),
        # The end token alone ends an answer, whatever else the model's configuration names.
        ignore_eos=True,
        stop_token_ids=[end_id],
        detokenize=bool(options.stop),
    )


def _likelihood(logprobs: list[Any], pair: TokenizedPair) -> AnswerLikelihood:
    """Of what vLLM tells of every token of prompt and answer: token → log-probability and rank."""
    answer = [entry[token] for entry, token in zip(logprobs[len(pair.prompt) :], pair.answer, strict=True)]
    # Where several tokens share the highest probability, rank 1 is the one that decoding would write.
    greedy = all(entry.rank == 1 for entry in answer)
    return AnswerLikelihood(sum(entry.logprob for entry in answer), len(pair.answer), greedy)


def _last_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[-1]
