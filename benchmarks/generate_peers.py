"""The peers of benchmarks/generate.py: each gives a function that draws so many tokens for every row."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import subprocess
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import say
from torch import nn

from unspool import SequenceModel
from unspool.formats.huggingface import llama_to_hf

TEMPERATURE = 0.8
Run = Callable[[int], None]
NAMES = ("torch", "numba", "onnxruntime", "transformers", "ctranslate2", "llama_cpp_python")


def versions() -> dict[str, str]:
    """Of every peer that is installed."""
    found = {}
    for name in NAMES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            say(f"{name} is not installed")
    return found


def lstm(model: SequenceModel, batch: int, folder: str, options: Namespace) -> Iterator[tuple[str, Run]]:
    """The peers that run LSTMs."""
    cells = cells_of(model)
    yield "torch, LSTMCell", torch_cells(model, cells, batch)
    try:
        yield "ONNX Runtime, float32", onnx_lstm(model, batch, folder)
    except ImportError as error:
        say(f"left out: {error}")
    if options.rtneural and batch == 1:
        yield "RTNeural, compile-time", rtneural(model, folder, options.rtneural, options.march)


def cells_of(model: SequenceModel) -> list[nn.LSTMCell]:
    """torch's own cells with the weights of the model."""
    made = []
    for ways in model.core.layers:
        cell = ways[0]
        one = nn.LSTMCell(cell.input_size, cell.hidden_size)
        with torch.no_grad():
            one.weight_ih.copy_(cell.input.weight)
            one.weight_hh.copy_(cell.recurrent.weight)
            one.bias_ih.copy_(cell.input.bias)
            one.bias_hh.zero_()
        made.append(one)
    return made


def torch_cells(model: SequenceModel, cells: list[nn.LSTMCell], batch: int) -> Run:
    """The lecture's loop: embedding, nn.LSTMCell, linear, softmax, multinomial, for every character."""
    device = model.device
    states = [(torch.zeros(batch, one.hidden_size, device=device),) * 2 for one in cells]
    token = torch.zeros(batch, dtype=torch.long, device=device)

    def run(number: int) -> None:
        nonlocal token
        with torch.inference_mode():
            for _ in range(number):
                x = model.embedding(token)
                for layer, cell in enumerate(cells):
                    states[layer] = cell(x, states[layer])
                    x = states[layer][0]
                token = torch.multinomial(torch.softmax(model.head(x) / TEMPERATURE, -1), 1)[:, 0]

    return run


def draw(logits: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Ids (B,) from logits (B, V), by NumPy."""
    logits = logits / TEMPERATURE
    weights = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
    target = random.random((len(logits), 1)) * weights[:, -1:]
    return (weights < target).sum(axis=1)


def onnx_lstm(model: SequenceModel, batch: int, folder: str) -> Run:
    """One step as an ONNX graph: Gather, LSTM after LSTM, Gemm."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weights, nodes, inputs, outputs, x = [], [], [], [], "embedded"

    def constant(name: str, value: torch.Tensor) -> str:
        weights.append(numpy_helper.from_array(value.detach().numpy().copy(), name))
        return name

    nodes.append(helper.make_node("Gather", [constant("table", model.embedding.weight), "ids"], [x]))
    for number, ways in enumerate(model.core.layers):
        cell, size = ways[0], ways[0].hidden_size
        order = torch.cat([torch.arange(size) + gate * size for gate in (0, 3, 1, 2)])  # i, o, f, g
        names = [
            constant(f"w{number}", cell.input.weight[order][None]),
            constant(f"r{number}", cell.recurrent.weight[order][None]),
            constant(f"b{number}", torch.cat([cell.input.bias[order], torch.zeros(4 * size)])[None]),
        ]
        made, states = [f"y{number}", f"h{number}_", f"c{number}_"], [f"h{number}", f"c{number}"]
        nodes.append(helper.make_node("LSTM", [x, *names, "", *states], made, hidden_size=size))
        shape = [1, batch, size]
        inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in states]
        outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in made[1:]]
        nodes.append(
            helper.make_node("Squeeze", [f"y{number}", constant(f"axis{number}", torch.tensor([1]))], [f"x{number}"])
        )
        x = f"x{number}"
    nodes.append(helper.make_node("Squeeze", [x, constant("axis", torch.tensor([0]))], ["flat"]))
    head = [constant("head", model.head.weight), constant("bias", model.head.bias)]
    nodes.append(helper.make_node("Gemm", ["flat", *head], ["logits"], transB=1))
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, batch])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, len(model.head.weight)])
    graph = helper.make_graph(nodes, "step", [ids, *inputs], [logits, *outputs], weights)
    path = f"{folder}/step-{batch}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    state = {one.name: np.zeros([d.dim_value for d in one.type.tensor_type.shape.dim], np.float32) for one in inputs}
    names, random = [one.name for one in outputs], np.random.default_rng(0)
    fed = {"ids": np.zeros((1, batch), np.int64), **state}
    agree(model, session.run(["logits"], fed)[0], "ONNX Runtime")

    def run(number: int) -> None:
        for _ in range(number):
            scores, *after = session.run(["logits", *names], fed)
            fed["ids"] = draw(scores, random)[None]
            for name, value in zip(names, after, strict=True):
                fed[name.removesuffix("_")] = value

    return run


def agree(model: SequenceModel, logits: np.ndarray, name: str) -> None:
    """Stop where a peer's logits behind token 0 are not the model's."""
    ids = torch.zeros(len(logits), 1, dtype=torch.long)
    with torch.inference_mode():
        wanted = model(ids, model.start(ids))[0][:, -1].numpy()
    difference = float(np.abs(wanted - logits).max())
    say(f"{name}: logits differ by {difference:.1e}")
    if difference > 1e-3:
        raise SystemExit(f"{name} computes something else")


CPP = """
#include <RTNeural/RTNeural.h>
#include <vector>
#include <cmath>
using namespace RTNeural;
static ModelT<float, {inputs}, {size}, {layers} DenseT<float, {hidden}, {size}>> model;
static std::vector<float> table;
static int token = 0;
static unsigned long long s = 88172645463325252ull;
static std::vector<std::vector<float>> rows(const float* w, int n, int m) {{
  std::vector<std::vector<float>> out(n, std::vector<float>(m));
  for (int i = 0; i < n; ++i) for (int j = 0; j < m; ++j) out[i][j] = w[i * m + j];
  return out;
}}
extern "C" void load(const float* embedding, const float** w, const float** u, const float** b, const float* head,
                     const float* bias) {{
  table.assign(embedding, embedding + {size} * {inputs});
{loads}
  auto& dense = model.get<{count}>();
  auto h = rows(head, {size}, {hidden});
  dense.setWeights(h); dense.setBias(bias);
  model.reset();
}}
extern "C" void run(int n) {{
  alignas(64) float x[{inputs}];
  for (int t = 0; t < n; ++t) {{
    for (int i = 0; i < {inputs}; ++i) x[i] = table[token * {inputs} + i];
    model.forward(x);
    const float* y = model.getOutputs();
    float most = -1e30f, total = 0, weights[{size}];
    for (int v = 0; v < {size}; ++v) most = std::max(most, y[v]);
    for (int v = 0; v < {size}; ++v) total += weights[v] = std::exp((y[v] - most) / 0.8f);
    s ^= s << 13; s ^= s >> 7; s ^= s << 17;
    float target = (s >> 40) * (1.0f / 16777216.0f) * total; token = 0;
    for (float sum = weights[0]; sum < target && token < {size} - 1; sum += weights[++token]);
  }}
}}
extern "C" void logits(float* out) {{
  alignas(64) float x[{inputs}];
  model.reset();
  for (int i = 0; i < {inputs}; ++i) x[i] = table[i];
  model.forward(x);
  for (int v = 0; v < {size}; ++v) out[v] = model.getOutputs()[v];
  model.reset();
}}
"""


def rtneural(model: SequenceModel, folder: str, checkout: str, march: str) -> Run:
    """RTNeural's compile-time API with Eigen, -O3 -march=... -ffast-math, in a shared library."""
    layers = [ways[0] for ways in model.core.layers]
    size, hidden, inputs = len(model.head.weight), layers[0].hidden_size, layers[0].input_size
    types = "".join(f"LSTMLayerT<float, {one.input_size}, {hidden}>, " for one in layers)
    loads = "\n".join(
        f"  {{ auto& l = model.get<{n}>(); auto a = rows(w[{n}], {one.input_size}, {4 * hidden}); l.setWVals(a);\n"
        f"    auto c = rows(u[{n}], {hidden}, {4 * hidden}); l.setUVals(c);\n"
        f"    std::vector<float> d(b[{n}], b[{n}] + {4 * hidden}); l.setBVals(d); }}"
        for n, one in enumerate(layers)
    )
    source = Path(folder) / "peer.cpp"
    source.write_text(CPP.format(inputs=inputs, size=size, layers=types, hidden=hidden, loads=loads, count=len(layers)))
    built = ["g++", "-std=c++17", "-O3", f"-march={march}", "-ffast-math", "-shared", "-fPIC", "-DRTNEURAL_USE_EIGEN=1",
             "-DRTNEURAL_DEFAULT_ALIGNMENT=32",
             "-DEIGEN_STACK_ALLOCATION_LIMIT=0", f"-I{checkout}", f"-I{checkout}/modules/Eigen",
             f"-I{checkout}/modules", "-I/usr/include/eigen3", str(source), "-o", f"{folder}/peer.so"]  # fmt: skip
    built += [str(one) for one in Path(checkout, "RTNeural").glob("RTNeural.cpp")]
    subprocess.run(built, check=True, stderr=subprocess.DEVNULL)
    library = ctypes.CDLL(f"{folder}/peer.so")
    kept = [  # input x gates, as Keras has it
        [one.input.weight.detach().T.contiguous().numpy() for one in layers],
        [one.recurrent.weight.detach().T.contiguous().numpy() for one in layers],
        [one.input.bias.detach().numpy() for one in layers],
    ]
    pointer = ctypes.POINTER(ctypes.c_float)

    def of(array: np.ndarray) -> Any:
        return array.ctypes.data_as(pointer)

    lists = [(pointer * len(layers))(*map(of, arrays)) for arrays in kept]
    flat = [one.detach().contiguous().numpy() for one in (model.embedding.weight, model.head.weight, model.head.bias)]
    library.load(of(flat[0]), *lists, of(flat[1]), of(flat[2]))
    out = np.zeros((1, size), np.float32)
    library.logits(of(out))
    agree(model, out, "RTNeural")
    return lambda number: library.run(number)


def llama(model: SequenceModel, batch: int, folder: str) -> Iterator[tuple[str, Run]]:
    """The peers that run Llama's form."""
    try:
        import transformers
    except ImportError as error:
        say(f"left out: {error}")
        return
    theirs = hugging_face(model)
    yield "Hugging Face generate, float32", by_hugging_face(theirs, batch)
    path = f"{folder}/hf"
    if not Path(path).exists():
        theirs.save_pretrained(path)
        words = {f"w{id}": id for id in range(theirs.config.vocab_size)}
        Path(path, "vocabulary.json").write_text(json.dumps(list(words)))
    transformers.logging.set_verbosity_error()
    for name, make in (("CTranslate2", by_ctranslate2), ("llama.cpp", by_llama_cpp)):
        try:
            yield from make(theirs, model, batch, folder)
        except (ImportError, RuntimeError, ValueError, OSError) as error:
            say(f"{name} left out: {error}")


def hugging_face(model: SequenceModel) -> Any:
    """transformers' Llama with the weights of the model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    core = model.core
    block = core.layers[0]
    config = LlamaConfig(
        vocab_size=len(model.head.weight), hidden_size=core.width, num_hidden_layers=len(core.layers),
        num_attention_heads=block.attention.heads, num_key_value_heads=block.attention.kv_heads,
        intermediate_size=block.feed_forward.down.in_features, max_position_embeddings=core.context,
        rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=0, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    theirs = LlamaForCausalLM(config).eval()
    theirs.load_state_dict(llama_to_hf(model.state_dict()))
    with torch.inference_mode():
        agree(model, theirs(torch.zeros(1, 1, dtype=torch.long)).logits[:, -1].numpy(), "Hugging Face")
    return theirs


def by_hugging_face(theirs: Any, batch: int) -> Run:
    """generate() with its own cache and sampling."""
    prompt = torch.zeros(batch, 1, dtype=torch.long, device=theirs.device)

    def run(number: int) -> None:
        left = number
        while left > 0:
            now = min(left, 250)
            with torch.inference_mode():
                theirs.generate(
                    prompt, max_new_tokens=now, min_new_tokens=now, do_sample=True, temperature=TEMPERATURE, top_k=0,
                    attention_mask=torch.ones_like(prompt),
                )  # fmt: skip
            left -= now

    return run


def by_ctranslate2(theirs: Any, model: SequenceModel, batch: int, folder: str) -> Iterator[tuple[str, Run]]:
    """CTranslate2's Generator in float32 and int8."""
    import ctranslate2

    words = [f"w{id}" for id in range(theirs.config.vocab_size)]
    for precision in ("float32", "int8"):
        path = Path(folder, f"ct2-{precision}")
        if not path.exists():
            path.mkdir()
            spec = ctranslate2_spec(theirs)
            spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = words[0]
            spec.register_vocabulary(words)
            spec.validate()
            spec.optimize(quantization=precision)
            spec.save(str(path))
        generator = ctranslate2.Generator(str(path), device="cpu", compute_type=precision, inter_threads=1)

        def run(number: int, generator: Any = generator) -> None:
            left = number
            while left > 0:
                now = min(left, 250)
                generator.generate_batch(
                    [[words[1]]] * batch, max_length=now, min_length=now, sampling_topk=0,
                    sampling_temperature=TEMPERATURE, include_prompt_in_result=False,
                )  # fmt: skip
                left -= now

        yield f"CTranslate2, {precision}", run


def ctranslate2_spec(theirs: Any) -> Any:
    """The weights as CTranslate2 wants them."""
    from ctranslate2.specs import common_spec, transformer_spec

    config = theirs.config
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        config.num_hidden_layers, config.num_attention_heads, activation=common_spec.Activation.SWISH, pre_norm=True,
        ffn_glu=True, rms_norm=True, rotary_dim=0, rotary_interleave=False, rotary_base=10_000,
        num_heads_kv=config.num_key_value_heads,
    )  # fmt: skip
    weights = {name: value.numpy().copy() for name, value in theirs.state_dict().items()}
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = weights["model.embed_tokens.weight"]
    decoder.layer_norm.gamma = weights["model.norm.weight"]
    decoder.projection.weight = weights["lm_head.weight"]
    for number, layer in enumerate(decoder.layer):
        at = f"model.layers.{number}."
        layer.self_attention.layer_norm.gamma = weights[at + "input_layernorm.weight"]
        layer.ffn.layer_norm.gamma = weights[at + "post_attention_layernorm.weight"]
        read = [weights[f"{at}self_attn.{part}_proj.weight"] for part in "qkv"]
        layer.self_attention.linear[0].weight = np.concatenate(read)
        layer.self_attention.linear[1].weight = weights[at + "self_attn.o_proj.weight"]
        layer.ffn.linear_0.weight = weights[at + "mlp.gate_proj.weight"]
        layer.ffn.linear_0_noact.weight = weights[at + "mlp.up_proj.weight"]
        layer.ffn.linear_1.weight = weights[at + "mlp.down_proj.weight"]
    return spec


def by_llama_cpp(theirs: Any, model: SequenceModel, batch: int, folder: str) -> Iterator[tuple[str, Run]]:
    """llama.cpp's decode, one call a token for all rows, and the likeliest token (its fastest use)."""
    import llama_cpp

    for precision in ("f32", "bf16", "q8_0"):
        path = Path(folder, f"{precision}.gguf")
        if not path.exists():
            write_gguf(theirs, path, precision)
        yield f"llama.cpp, {precision}", decode(llama_cpp, path, batch, len(model.head.weight), theirs.config)


def write_gguf(theirs: Any, path: Path, precision: str) -> None:
    """The weights as llama.cpp reads them; its rotary positions pair neighbours, so q and k are reordered."""
    import gguf

    config = theirs.config
    kind = {"f32": gguf.GGMLQuantizationType.F32, "bf16": gguf.GGMLQuantizationType.BF16,
            "q8_0": gguf.GGMLQuantizationType.Q8_0}[precision]  # fmt: skip
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    parts = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
             "post_attention_layernorm": "ffn_norm"}  # fmt: skip
    for name, value in theirs.state_dict().items():
        stem, array = name.removesuffix(".weight"), value.numpy()
        if stem.startswith("model.layers."):
            number, _, part = stem.removeprefix("model.layers.").partition(".")
            if part in ("self_attn.q_proj", "self_attn.k_proj"):
                heads = config.num_attention_heads if "q_proj" in part else config.num_key_value_heads
                array = array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
            stem = f"blk.{number}.{parts[part]}"
        else:
            stem = names[stem]
        if array.ndim == 1 or precision == "f32":
            writer.add_tensor(f"{stem}.weight", array.astype(np.float32))
        else:
            writer.add_tensor(f"{stem}.weight", gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def decode(library: Any, path: Path, batch: int, size: int, config: Any) -> Run:
    """llama_decode token by token, the likeliest of its logits next."""
    library.llama_backend_init()
    parameters = library.llama_model_default_params()
    model = library.llama_model_load_from_file(str(path).encode(), parameters)
    if not model:
        raise RuntimeError(f"{path.name} was not loaded")
    wanted = library.llama_context_default_params()
    wanted.n_ctx, wanted.n_batch, wanted.n_seq_max = 256 * batch, 512, batch
    wanted.n_threads = wanted.n_threads_batch = 2
    context = library.llama_init_from_model(model, wanted)
    tokens = library.llama_batch_init(batch, 0, 1)
    memory = library.llama_get_memory(context)
    position, next_ids = 0, np.zeros(batch, np.int64)

    def run(number: int) -> None:
        nonlocal position, next_ids
        for _ in range(number):
            if position >= 250:
                library.llama_memory_clear(memory, True)
                position = 0
            tokens.n_tokens = batch
            for row in range(batch):
                tokens.token[row], tokens.pos[row] = int(next_ids[row]), position
                tokens.n_seq_id[row], tokens.seq_id[row][0], tokens.logits[row] = 1, row, True
            if library.llama_decode(context, tokens):
                raise RuntimeError("llama_decode failed")
            logits = np.ctypeslib.as_array(library.llama_get_logits(context), (batch, size))
            next_ids, position = logits.argmax(axis=1), position + 1

    return run
