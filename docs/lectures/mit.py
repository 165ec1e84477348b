# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sequences and attention, in fifteen scenes
#
# MIT 6.S191 (2023), lecture 2 (Ava Amini). For beginners who know feed-forward nets: at the end you can build an RNN and an
# attention head, and say what each of them cannot do. Nothing is downloaded: the text is the help pages that come with every
# Python, and all other data are made here.
#
# This page is a Python file, `docs/lectures/mit.py`: run it as a script, open it as a notebook (jupytext), or read it on the
# site. The minutes in italics are those of the lecture's contents list. Figures that the lecture or its lab published are
# marked so; figures marked *stored* take longer than this page may, and stand with their command.

# %%
import json
from math import log
from time import perf_counter

import shared
import torch
from matplotlib.figure import Figure
from shared import HERE, SMALL, Html, lines, noted, picture, processor, results, roll, slider, sound, table, trained
from torch import nn

import unspool

# %%
from unspool import Tokens
from unspool.data.batching.contiguous import ContiguousBatches
from unspool.data.corpora import corpus
from unspool.data.features import HOURS, LECTURES, chance
from unspool.data.music.documents import TuneDocument
from unspool.data.music.synth import RATE, synthesize, tone
from unspool.data.music.tune_grammar import tune

# %%
from unspool.look.edits import without
from unspool.look.views.patches import Patches
from unspool.nn.positions import Sinusoidal, waves
from unspool.nn.unroll import unroll_loop
from unspool.tasks.ball import BallInBox
from unspool.tasks.recall import Recall

torch.set_num_threads(1)

# %% [markdown]
# ## 1. A ball: one picture tells no direction
#
# *1 to 2 min.* Where is the ball in the next frame? Of a single frame nobody can tell; with its history it is easy. Three models
# are asked: one sees one frame, one sees two, one sees all frames so far. Each then goes on from its own predictions.

# %%
sees = {
    "one frame": (trained("ball-one-frame"), 1),
    "two frames": (trained("ball-two-frames", train__steps=500), 2),
    "all frames": (trained("ball", train__steps=300), 0),
}
path = BallInBox(seed=3).places(first=7, number=1, frames=22)[0]
flight = {"flight": "new", "across": path[:10, 0].tolist(), "up": path[:10, 1].tolist()}

# %%
curves = {"seen": (path[:10, 0], path[:10, 1]), "what follows": (path[10:, 0], path[10:, 1])}
for name, (run, frames) in sees.items():
    way = run.predict(flight, horizon=12, frames=frames)
    curves[f"predicted from {name}"] = (way.across, way.up)
alt = "A flight through a box: from one frame the prediction goes astray, from two and from all it stays near"
lines(curves, "across, box widths", "up, box widths", alt, xlim=(0, 1), ylim=(0, 1))

# %% [markdown]
# The error of the next place, in box widths (a ball moves up to 0.1 a frame): here, after a few hundred steps, and *stored*,
# after the training of the recipe (`unspool verify RECIPE`).

# %%
recipes = {"one frame": "ball-one-frame", "two frames": "ball-two-frames", "all frames": "ball"}
table(
    {"sees": name, "error here": results(sees[name][0])["valid/fresh/error"], "stored": noted(recipe, "valid/fresh/error")}
    for name, recipe in recipes.items()
)  # fmt: skip

# %% [markdown]
# **Question.** Why are two frames nearly enough?
#
# <details><summary>Answer</summary>A place and the place before it give the speed, and nothing else changes the flight. What is
# left is a bounce: between the two frames the ball may have met a wall, which more frames make plain.</details>
#
# ## 2. Problems have shapes
#
# *2 to 5 and 21 min.* Sound, letters and words are sequences. One input may give one output or many, and so may many inputs. A
# sound is a sequence of pressures, here 22,050 numbers a second.

# %%
wave = tone(69, length=RATE)  # the A of 440 Hz
print(f"{len(wave):,} numbers; the first after 0.1 s: {wave[RATE // 10 : RATE // 10 + 5].round(3).tolist()}")
sound(0.5 * wave / abs(wave).max(), RATE, "one second of an A")

# %% [markdown]
# One to one: will a student pass, who came to so many lectures and worked so many hours? Who passes is partly luck here, so even
# the rule that made the students is right for 95.3 % of them only. That is the ceiling for every model.

# %%
every = [chance(lectures, hours / 10) for lectures in range(LECTURES + 1) for hours in range(10 * int(HOURS) + 1)]
ceiling = sum(max(p, 1 - p) for p in every) / len(every)
print(f"ceiling {ceiling:.1%}; here {results(trained('pass'))['valid/all/accuracy']:.1%}")
print("stored:", noted("pass", "valid/all/accuracy"))

# %%
gru = {"kind": "recurrent", "cell": "gru", "width": 16}
order = trained("temporal-order", core=gru, train__learning_rate=0.01, train__epochs=20.0)
accuracy = results(trained("pass"))["valid/all/accuracy"]
right = [results(run)["valid/fresh/accuracy"] for run in (order, trained("flip-flop"))]
captions = noted("captions", "valid/generated:unseen/attributes") + ", stored"

# %%
rows = [
    ("one to one", "pass", "two numbers", "pass or fail", accuracy),
    ("one to many", "captions", "an image", "words", captions),
    ("many to one", "temporal-order", "nine symbols", "one of four", right[0]),
    ("many to many", "flip-flop", "40 symbols", "40 bits", right[1]),
]  # fmt: skip
table(dict(zip(("shape", "recipe", "in", "out", "right"), row, strict=True)) for row in rows)

# %% [markdown]
# **Question.** Which shape has your problem? Which of the four needs no memory?
#
# <details><summary>Answer</summary>Only one to one needs none: nothing comes before its input. Translation is many to many too, but
# its output has a length of its own; `unspool recipes` groups all recipes by shape.</details>
#
# ## 3. Recurrence: a state links the steps
#
# *5 to 15 min.* Copies of a net, one for each step, share nothing. A state that each step hands to the next links them. The
# lecture's loop reads a sentence word by word and guesses the word that follows. So does this one, with a character model.

# %%
lstm = {"kind": "recurrent", "cell": "lstm", "width": 128, "input_width": 64}
reader = trained("char-lm", core=lstm, train__steps=800)
words = "If the object is not a string , a TypeError is raised".replace(" ,", ",").split()
state, strip, rows = None, [], []
for number, word in enumerate(words, start=1):
    state = reader.read(word if state is None else f" {word}", state=state)  # the state goes on
    strip.append(state.core[0][0][0][0])  # the hidden state of the only layer, (H,)
    guesses = unspool.suggest(reader.model, reader.tokenizer, [" ".join(words[:number]) + " "], k=3)[0]
    rows.append({"read": word, "likeliest next words": ", ".join(guess.word for guess in guesses)})
table(rows)

# %%
figure = Figure(figsize=(8, 3))
ax = figure.add_subplot()
ax.imshow(torch.stack(strip, dim=1)[:32].numpy(), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
ax.set_xticks(range(len(words)), words, rotation=40, ha="right")
ax.set(ylabel="unit")
picture(
    figure, "The first 32 units of the state after each word: a column a word; some units keep their colour for long"
)

# %% [markdown]
# **Question.** Shuffle the words. Does the state at the end stay the same?
#
# <details><summary>Answer</summary>No: each step changes the state that the step before left, so order counts. The cell below
# measures it.</details>

# %%
ends = [reader.read(" ".join(some)).core[0][0][0][0] for some in (words, words[::-1])]
print("distance of the two last states:", round((ends[0] - ends[1]).norm().item(), 2))
assert (ends[0] - strip[-1]).abs().max() < 1e-5  # word by word or at once: the same state

# %% [markdown]
# ## 4. An RNN from scratch
#
# *15 to 21 min.* Two matrices update the state, a third makes the output; the same three are used at every step. The losses of
# all steps are added. First the layer as the lecture writes it, as a class.
#
# `h[t] = tanh(W_xh x[t] + W_hh h[t-1])` and `y[t] = W_hy h[t]`


# %%
class MyRNN(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.W_xh = nn.Linear(inputs, hidden)
        self.W_hh = nn.Linear(hidden, hidden, bias=False)
        self.W_hy = nn.Linear(hidden, outputs)

    def forward(self, x, h):
        h = torch.tanh(self.W_xh(x) + self.W_hh(h))
        return self.W_hy(h), h


# %% [markdown]
# Then the one-liner. With the same weights both give the same outputs.

# %%
torch.manual_seed(0)
mine, h, x, y = MyRNN(8, 16, 5), torch.zeros(2, 16), torch.randn(2, 20, 8), torch.randint(5, (2, 20))
ours = unspool.cores.build("core", "recurrent", cell="elman", width=16, input_width=8)  # the one-liner
ours.layers[0][0].input.load_state_dict(mine.W_xh.state_dict())
ours.layers[0][0].recurrent.load_state_dict(mine.W_hh.state_dict())
outputs = []
for t in range(20):
    output, h = mine(x[:, t], h)
    outputs.append(output)

# %%
outputs = torch.stack(outputs, dim=1)
difference = (mine.W_hy(ours(x, ours.start(x))[0]) - outputs).abs().max().item()
assert difference < 1e-5
losses = nn.functional.cross_entropy(outputs.flatten(0, 1), y.flatten(), reduction="none").unflatten(0, (2, 20))
print(f"largest difference {difference:.1e}")
print(f"loss of a row, added over 20 steps {losses.sum(1).mean():.2f}, mean of the steps {losses.mean():.2f}")
print(f"{sum(p.numel() for p in mine.parameters())} weights")

# %% [markdown]
# A sum grows with the length of the text, and the gradient with it; a mean does not, so the learning rate may stay. The cell is
# a file of twenty lines in the package (`nn/cells/elman.py`); [add a cell](../add-a-cell.md) shows how one of yours gets a name.
#
# **Question.** Count the 485 weights.
#
# <details><summary>Answer</summary>8 x 16 + 16 to read the input, 16 x 16 for the state, 16 x 5 + 5 for the output: 144 + 256 +
# 85 = 485. The number of steps is not in it.</details>
#
# ## 5. Four criteria
#
# *22 to 25 min.* A model of sequences should take any length, keep long dependencies, know the order, and share its weights over
# time. The RNN beside a feed-forward net over a window of the last T inputs (`window-mlp`), both untrained.


# %%
def core_of(kind, length):
    torch.manual_seed(0)
    window = {"window": length, "layers": 2, "inner": 64} if kind == "window-mlp" else {"cell": "elman"}
    return unspool.cores.build("core", {"kind": kind, "width": 16, **window})


def last(core, x):
    return core(x, core.start(x))[0][:, -1]


weights = {kind: [sum(p.numel() for p in core_of(kind, T).parameters()) for T in (10, 100, 1000)]
           for kind in ("recurrent", "window-mlp")}  # fmt: skip

# %%
rows = []
for kind, numbers in weights.items():
    core, x = core_of(kind, 10), torch.randn(1, 50, 16, requires_grad=True)
    (slopes,) = torch.autograd.grad(last(core, x).sum(), x)
    reach = 49 - int(slopes[0].norm(dim=-1).nonzero()[0])
    swapped = x.detach()[:, [*range(40), *range(49, 39, -1)]]  # the last ten the other way round
    change = (last(core, swapped) - last(core, x)).norm().item()
    rows.append({"core": kind, "weights at T = 10, 100, 1,000": f"{numbers}", "outputs for 50 inputs": len(core(x, core.start(x))[0][0]),
                 "looks back (T = 10)": f"{reach} steps", "change if the order changes": change})  # fmt: skip
table(rows)

# %% [markdown]
# The RNN meets all four, the second only in principle: the next scenes show how little of the far past reaches it. The window
# knows the order, has other weights for each place, and sees nothing before it.
#
# **Question.** Which of the four does attention lose?
#
# <details><summary>Answer</summary>Order. Scene 13 puts it back.</details>
#
# ## 6. Words become vectors
#
# *25 to 29 min.* A net needs numbers: an index for each word, a one-hot vector for each index, or a learned vector, an embedding.
# Looking a vector up is the same as multiplying a matrix by the one-hot vector.

# %%
vectors = nn.Embedding(6, 3)
index = {word: number for number, word in enumerate(["he", "tossed", "the", "tennis", "ball", "."])}
ids = torch.tensor([index["tennis"], index["ball"]])
one_hot = nn.functional.one_hot(ids, 6)
assert torch.equal(vectors(ids), one_hot.float() @ vectors.weight)
print("indices", ids.tolist(), "one-hot", one_hot.tolist(), "vectors", vectors(ids).detach().numpy().round(2))

# %% [markdown]
# What has the character model of scene 3 made of its characters? A map of its embedding, in the two directions in which the
# vectors differ most. They show little of all 64, and after so short a training little has been arranged; neighbours are found
# in all 64.

# %%
embeddings = reader.look(split="valid").view("embeddings")
print("\n".join(embeddings.summary()))
picture(embeddings.plot().figure, "Characters in a plane: punctuation marks lie to the left, letters are scattered")

# %% [markdown]
# **Question.** Why not the index itself, as one number?
#
# <details><summary>Answer</summary>It would say that word 5 is more than word 4, and close to it. The numbers were given in the order
# of a list; nothing in them is meant.</details>
#
# ## 7. Back through time
#
# *30 to 33 min.* The losses flow back through every step to the start, and at each step they are multiplied by the recurrent
# matrix. Large weights make them explode, small ones let them vanish. Here the recurrent matrix is 0.5, 1 or 1.5 times the
# identity, and all states are positive, so that ReLU passes everything.


# %%
def relu_rnn(scale, width=16):
    torch.manual_seed(0)
    cell = {"kind": "elman", "activation": "relu", "initial": "identity"}
    core = unspool.cores.build("core", {"kind": "recurrent", "width": width, "cell": cell})
    core.layers[0][0].recurrent.weight.data.mul_(scale)
    return core


# %%
norms = {}
for scale in (0.5, 1.0, 1.5):
    core, x = relu_rnn(scale), torch.rand(4, 31, 16, requires_grad=True)
    core.layers[0][0].input.weight.data.abs_()
    core.layers[0][0].input.bias.data.abs_()
    (slopes,) = torch.autograd.grad(last(core, x).sum(), x)
    norms[scale] = slopes.norm(dim=-1).mean(dim=0).flip(0)  # by lag
    assert ((norms[scale][1:] / norms[scale][:-1] - scale).abs() < 0.01 * scale).all()  # a step back: times `scale`

# %%
curves = {f"{scale} x identity": (range(31), found.tolist()) for scale, found in norms.items()}
alt = "Gradient norm by lag on a logarithmic scale: a falling, a flat and a rising straight line"
lines(curves, "lag, steps back", "gradient norm", alt, yscale="log")

# %% [markdown]
# What explosion does to a training: a ReLU RNN of 64 units, begun as the identity, reads text in portions of 64 characters. Its
# first gradient has a norm over 100. Without clipping one step is enough: the loss or its gradient is no finite number,
# and the trainer stops. Clipped to a norm of 1, it learns.

# %%
ids, size = torch.as_tensor(reader.tokenizer.encode(corpus("python-docs").text[:60000])), Tokens(reader.tokenizer.size)
portions = ContiguousBatches(ids, batch_size=8, length=64)


def train_rnn(clip, done):
    torch.manual_seed(0)
    model = unspool.SequenceModel(unspool.embedding(size, 64), relu_rnn(1.0, 64), unspool.head(size, 64))
    options = {"optimizer": "sgd", "learning_rate": 0.3, "schedule": "constant", "clip": clip}
    for step in unspool.Trainer(model, portions, steps=10 if SMALL else 150, **options):
        done.append(f"{step.loss:.2f} (gradient norm {step.grad_norm:.1f})")


# %%
clipped, free = [], []
train_rnn(1.0, clipped)
print(f"clipped to 1: loss {clipped[0]} at first, {clipped[-1]} at the end")
try:
    train_rnn(0.0, free)
except unspool.TrainingError as error:
    print(f"not clipped: loss {free[0]} at first, then: {error}")

# %% [markdown]
# **Question.** Pick a clip for your own training. Where do you look?
#
# <details><summary>Answer</summary>At the norms of the gradient, which every step reports (<code>step.grad_norm</code>; in a run folder
# <code>metrics.jsonl</code>). A clip a little above the usual norm touches only the rare steps that explode.</details>
#
# ## 8. Vanishing, and three cures
#
# *33 to 38 min.* Products of many small numbers fade, so an RNN learns short dependencies only. Three cures: ReLU, whose slope is 1
# for positive states; a recurrent matrix that begins as the identity; gates, through which a memory goes on unchanged. Four
# cores of 128 units, 400 steps each on the text of `char-lm`: how much does the loss at a character depend on the input so many
# characters before?

# %%
cells = {
    "tanh RNN": {"kind": "elman", "initial": "uniform"},
    "ReLU, identity": {"kind": "elman", "activation": "relu", "initial": "identity"},
    "LSTM": {"kind": "lstm"},
    "GRU": {"kind": "gru"},
}
readers = {name: trained("char-lm", core=lstm | {"cell": cell}, train__steps=400) for name, cell in cells.items()}
fades = {name: run.look(length=4000).view("gradient", lags=64).norms["inputs"] for name, run in readers.items()}

# %%
curves = {name: (range(len(found)), [norm / found[0] for norm in found]) for name, found in fades.items()}
alt = "Gradient norm by lag, relative to lag 0: the tanh RNN falls steeply, ReLU and identity, LSTM and GRU slowly"
lines(curves, "lag, characters back", "gradient norm, relative to lag 0", alt, yscale="log")

# %% [markdown]
# All read from an empty state 64 characters before, which is why the last lags may rise. At lag 30, as a share of the present. *Stored* are the values of `python benchmarks/inside.py gradients` (seed 0, the same
# settings).

# %%
stored = {"tanh RNN": "1e-8", "ReLU, identity": "6e-4", "LSTM": "3e-4", "GRU": "2e-3"}
table(
    {"core": name, "at lag 30": f"{fades[name][30] / fades[name][0]:.0e}", "stored": stored[name],
     "loss": results(run)["valid/contiguous/loss"], "weights of the core": sum(p.numel() for p in run.model.core.parameters())}
    for name, run in readers.items()
)  # fmt: skip

# %% [markdown]
# **Question.** Which cure costs weights?
#
# <details><summary>Answer</summary>Gates: an LSTM has four times the weights of a simple cell, a GRU three times. The other two only
# change where training begins, and a slope.</details>
#
# ## 9. Music
#
# *40 to 41 min.* The next note, again and again: an RNN wrote a third movement for Schubert's unfinished symphony. In the course's
# lab an LSTM learns 817 Irish songs, written in 83 symbols, so the loss of an untrained model is near ln 83 = 4.42:

# %%
symbols, untrained = Tokens(83), unspool.cores.build("core", "recurrent", width=32)
lab = unspool.SequenceModel(unspool.embedding(symbols, 32), untrained, unspool.head(symbols, 32))
notes = torch.randint(83, (4, 101))
scores, _ = lab(notes[:, :-1], lab.start(notes))
print(f"loss {nn.functional.cross_entropy(scores.flatten(0, 1), notes[:, 1:].flatten()):.2f}, ln 83 = {log(83):.2f}")

# %% [markdown]
# The recipe `music` learns tunes that a grammar makes, in the same notation (ABC). First a tune of the grammar, then *stored*
# tunes of the model at three temperatures (`tunes.json` beside this page has their text, and the command). Listen, and look at
# the piano rolls: both parts are played twice.


# %%
def player(text, seconds=12, theme=0):
    score = TuneDocument(0, text, ended=True).score()
    if score is None:
        return Html(f"<pre>{text}</pre>", f"no tune: {text}")
    heard = sound(synthesize(score, rate=8000)[: seconds * 8000], 8000, f"{score.title}, its first seconds")
    return Html(roll(score, theme).html + heard.html, heard.text)


# %%
made = json.loads((HERE / "tunes.json").read_text(encoding="utf-8"))
tunes = {"of the grammar": tune(0, 4)} | {
    f"of the model, temperature {t}": texts[n] for n, (t, texts) in enumerate(made["tunes"].items())
}
slider("tune", {name: player(text) for name, text in tunes.items()})

# %%
print("stored:", made["command"])
rows = [{"temperature": t, **shares} for t, shares in made["shares"].items()]
print("stored, the whole training of `unspool verify music` at 0.7:", "parse", noted("music", "valid/generated/parses"),
      "full bars", noted("music", "valid/generated/full_bars"))  # fmt: skip
table(rows)

# %% [markdown]
# As the course wants it for Schubert, a theme is continued: four bars of Beethoven's, by a smaller model that is trained here for less
# than a minute. The theme is a file (ABC or MIDI); the model reads it and goes on.

# %%
THEME = "X:1\nT:Ode to Joy\nM:4/4\nL:1/8\nK:D\nF2F2 G2A2|A2G2 F2E2|D2D2 E2F2|F3E E4|\n"
small = {"kind": "recurrent", "cell": "lstm", "width": 256, "input_width": 64}
composer = trained("music", core=small, train__steps=400).pipeline()
(shared.KEPT / "theme.abc").write_text(THEME)
theme = composer.read_piece(str(shared.KEPT / "theme.abc"))
made = composer.generate_documents(3, prompt=theme.text, sampling=unspool.Sampling(temperature=0.5), seed=2)
continued = [document.text for document in sorted(made, key=lambda document: document.number)]
assert all(text.startswith(theme.text) for text in continued)
print(theme.summary.partition("abc: ")[2], continued[0], sep="\n")

# %%
tunes = {"alone": player(THEME, theme=16)}
tunes |= {f"continued, {n}": player(text, seconds=20, theme=16) for n, text in enumerate(continued, start=1)}
slider("theme", tunes)

# %% [markdown]
# Bars and scale fit (the grammar's tunes are in such keys); it was trained on jigs, reels and waltzes, so it goes on as one. It does not
# take up the melody again, except where a part is repeated.
#
# **Question.** Continue a theme of your own. How?
#
# <details><summary>Answer</summary>Train <code>unspool train music --run runs/music</code> (about a minute; with
# <code>data.path=irish.abc</code> on real tunes), then <code>unspool sample runs/music --prompt theme.mid --to FOLDER</code>, or a
# file .abc: the first part of a tune, one voice. The pieces begin with the theme, and a line says where it ends.</details>
#
# ## 10. Limits
#
# *42 to 45 min.* Everything that was read must pass through one state (a bottleneck); steps follow each other, so it is slow; and
# the memory does not reach over tens of thousands of steps. The task `copy` measures the first: five symbols, a wait, then say
# them again. Chance is 1 in 8. (400 steps, one seed; of the learning rates 0.003 and 0.01 each recurrent net has its better one.)
# Stored: a GRU that learned to keep three symbols for 100 steps recalls them after 1,000 and 10,000 steps too, a transformer only after
# the wait that it was trained with (`unspool verify memory-1000`; nine cores in docs/memory.md).

# %%
rnn = {"kind": "recurrent", "cell": "elman", "width": 64}
transformer = {"kind": "transformer", "width": 32, "layers": 2, "heads": 2}
rows = []
for wait in (5,) if SMALL else (5, 20, 60):
    options = {"task__wait": wait, "train__steps": 400}
    runs = {"RNN": trained("copy", core=rnn, train__learning_rate=0.003, **options),
            "GRU": trained("copy", core=rnn | {"cell": "gru"}, **options),
            "transformer": trained("copy", core=transformer, train__learning_rate=0.003, **options)}  # fmt: skip
    rows.append({"wait": wait} | {name: results(run)["valid/fresh/accuracy"] for name, run in runs.items()})
table(rows)

# %%
for wait in (1000, 10000):
    print(
        f"GRU, trained with a wait of 100, after {wait:,} steps:", noted("memory-1000", f"valid/wait_{wait}/accuracy")
    )

# %% [markdown]
# And the time: reading 8 rows of so many tokens, forward and backward, in microseconds a token, the least of three. "Steps" is
# the RNN's loop as its equation says, "kernel" the same loop in one call of the library.


# %%
def cost(read, length):
    x, spent = torch.randn(8, length, 64), []
    for _ in range(3):
        began = perf_counter()
        read(x).sum().backward()
        spent.append(perf_counter() - began)
    return 1e6 * min(spent) / x[..., 0].numel()


# %%
simple = unspool.cores.build("core", rnn)
reads = unspool.cores.build("core", transformer | {"width": 64, "context": 1024})
cell = simple.layers[0][0]
ways = {
    "RNN, steps": lambda x: unroll_loop(cell, x, cell.start(x))[0],
    "RNN, kernel": lambda x: simple(x, simple.start(x))[0],
    "transformer": lambda x: reads(x, reads.start(x))[0],
}

# %%
print(processor(), "one thread", sep=", ")
lengths = (16, 64) if SMALL else (64, 256, 1024)
table({"tokens": T} | {name: cost(way, T) for name, way in ways.items()} for T in lengths)

# %% [markdown]
# On one thread the transformer's cost of a token grows with the length, since each token looks at all before it; but all tokens
# are read at the same time, which a machine with many cores uses. The RNN's cost stays, and its steps cannot be shared out.
#
# **Question.** Which of the three limits does an LSTM cure?
#
# <details><summary>Answer</summary>The third, in part: its memory lasts longer. It is as slow, and all still passes through one
# state.</details>
#
# ## 11. Squash everything into one input
#
# *46 to 47 min.* Feed all steps at once into a dense net: no recurrence is left. But it is huge, the order is lost, says the
# lecture, and so is long memory. Weights for inputs of 64 numbers a step:


# %%
def squash(T):
    return unspool.cores.build("core", {"kind": "window-mlp", "width": 64, "window": T, "layers": 2, "inner": 128})


def count(core):
    return sum(p.numel() for p in core.parameters())


simple = unspool.cores.build("core", "recurrent", cell="elman", width=64)
table({"steps": T, "dense net": f"{count(squash(T)):,}", "RNN": f"{count(simple):,}"} for T in (10, 100, 1000))

# %% [markdown]
# More exactly: a dense net does see the place, as it has weights of its own for each. It shares nothing between places: what it
# learned of a word at place 3 it does not know at place 4. Move the input by one step, with a zero in front: for the dense net
# it is another input, for an RNN without bias the same.

# %%
simple.layers[0][0].input.bias.data.zero_()
x = torch.randn(1, 9, 64)
first, moved = torch.cat([x, 0 * x[:, :1]], dim=1), torch.cat([0 * x[:, :1], x], dim=1)
dense = squash(10)
print(f"dense net: outputs differ by {(last(dense, first) - last(dense, moved)).norm():.2f}")
difference = (last(simple, x) - last(simple, moved)).abs().max().item()
print(f"RNN, nine steps or a zero and nine steps: {difference:.1e}")
assert difference < 1e-5

# %% [markdown]
# **Question.** What would a dense net need to know a word wherever it stands?
#
# <details><summary>Answer</summary>Examples of it at every place. Sharing the weights over places is what recurrence, convolution and
# attention have in common.</details>
#
# ## 12. Attention is search
#
# *48 to 53 min.* Find the important part, then take it. You search videos: your words are the query, each title has a key, the video
# is the value. Score the query against each key; the softmax of the scores are weights; the answer is the values' weighted mean.
# Three titles as vectors of four features (animals, teaching, computers, sport):


# %%
def attend(query, keys, values, scale):
    weights = (query @ keys.mT / scale).softmax(dim=-1)
    return weights, weights @ values


titles = ["Giant sea turtles", "Introduction to deep learning", "The best of basketball"]
keys = torch.tensor([[3.0, 0, 0, 0], [0, 3, 3, 0], [0, 0, 0, 3]])
queries = {"deep learning": [0.0, 1, 2, 0], "a good match": [0.0, 0, 0, 2], "learn basketball": [0.0, 1, 0, 2]}
found = {words: attend(torch.tensor(query), keys, torch.eye(3), scale=2.0)[0] for words, query in queries.items()}
table({"query": words} | dict(zip(titles, weights.tolist(), strict=True)) for words, weights in found.items())

# %% [markdown]
# One title fits "deep learning", basketball does not; basketball wins when the query has the feature that its key has.
#
# Search in images: `shapes` cuts an image into 8 x 8 patches. Here the patches are pooled by attention: a learned query scores
# each patch. Which patches does it look at? (Few and short steps; the recipe itself, which takes the mean, reaches the stored
# accuracy.)

# %%
settings = {"core__by": "attention", "data__scenes": 300 if SMALL else 3000, "train__epochs": 4.0}
looker = trained("shapes", core__core={"kind": "transformer", "causal": False, "positions": "learned", "context": 64,
                                      "layers": 1, "heads": 4, "feed_width": 128}, **settings)  # fmt: skip
print(f"right: {results(looker)['valid/all/accuracy']:.1%}; stored:", noted("shapes", "valid/all/accuracy"))
batch = looker.look().batch
with torch.no_grad(), unspool.watch(looker.model, keep="core.weights") as trace:
    looker.model.hidden_states_of(batch)
looks = trace["core.weights"][0][..., 0]
looks = looks / looks.sum(dim=1, keepdim=True)  # (images, 64), each row sums to 1

# %%
background = batch.inputs.median(dim=1, keepdim=True).values
drawn = (batch.inputs - background).abs().mean(dim=-1) > 0.1  # (images, 64): the patches with a part of the shape
most = drawn.gather(1, looks.argmax(dim=1, keepdim=True)).float().mean()
print(f"{drawn.float().mean():.0%} of the patches have a part of the shape; the patch with most weight: {most:.0%}")

# %%
figure = Figure(figsize=(8, 3.2))
for number, axes in enumerate(figure.subplots(2, 6).T):
    pixels = batch.inputs[number].unflatten(0, (8, 8)).unflatten(2, (4, 4, 3)).transpose(1, 2).reshape(32, 32, 3)
    axes[0].imshow((pixels - pixels.min()) / (pixels.max() - pixels.min()))
    axes[1].imshow(looks[number].unflatten(0, (8, 8)), cmap="Blues", vmin=0)
    for ax in axes:
        ax.set_axis_off()
picture(
    figure, "Six images, each with one shape, and below each the weights of its patches: the darkest mostly at its edge"
)

# %% [markdown]
# The patch with the largest weight mostly has a part of the shape, often a corner or an edge; the inside of a large
# square gets little. Much weight is spread over the background, where it does no harm. (Trained for so few steps; longer trainings
# were not looked at.)
#
# And a whole sentence: each word of a caption is a search of its own. A decoder with attention (`captions`, an `attention-rnn`, here
# 500 steps instead of 3,600) looks at the patches before it chooses a word. In a shell: `unspool look RUN --what patches`.

# %%
CAPTIONS = {"data__scenes": 100, "task__batch_size": 8} if SMALL else {"data__scenes": 4000}
captioner = trained("captions", train__steps=500, **CAPTIONS)
words = captioner.look().view("patches")
print(words.summary()[0])
alt = "Two scenes, and beside each the same once for every word of its caption; the paler a patch, the less it is looked at"
picture(Patches(words.images[1:3]).plot().figure, alt)

# %% [markdown]
# The line above says how much of the weight lies on the two things, beside their share of the patches. Most words look at a thing, the
# end of the caption at the background. Not all have to: convolutions have read the patches, so each knows something of its
# neighbours. More on such pictures: [see inside](../inside.md#where-a-caption-looks).
#
# **Question.** Make the turtles win. Which query do you need, and how large must it be for a weight of 0.99?
#
# <details><summary>Answer</summary>[q, 0, 0, 0]: the scores are 3q/2, 0 and 0, so the weight is e^(1.5 q) / (e^(1.5 q) + 2): 0.99 from
# q = 3.53 on. A longer query is a sharper one.</details>
#
# ## 13. Order, put back
#
# *53 to 54 min.* Attention reads all steps at once, and nothing in it says which came first. So the place is encoded and added to
# each input. Swap two words: without positions the outputs only swap; with them they change.

# %%
swap, x = [0, 4, 2, 3, 1], torch.randn(1, 5, 16)
for positions in ("none", "sinusoidal"):
    torch.manual_seed(0)
    encoder = {"kind": "transformer", "width": 16, "layers": 2, "heads": 2, "causal": False, "positions": positions}
    core = unspool.cores.build("core", encoder)
    y, swapped = (core(some, core.start(some))[0] for some in (x, x[:, swap]))
    difference = (y[:, swap] - swapped).abs().max().item()
    print(f"positions {positions}: the swapped outputs differ by {difference:.1e}")
    assert (difference < 1e-5) == (positions == "none")

# %% [markdown]
# The fixed encoding of 2017: sines and cosines of many wavelengths, E(p, 2i) = sin(p / 10000^(2i/d)), E(p, 2i+1) = cos(the same).
# A row is a place; each has its own pattern of stripes, and it is added to the vector of the word.

# %%
places = torch.arange(64)
stripes = waves(places, 32)
assert torch.allclose(Sinusoidal(context=64).add(x, places[None, :5]), x + waves(places[:5], 16).float())
figure = Figure(figsize=(6, 3))
figure.add_subplot(xlabel="number in the vector", ylabel="place").imshow(stripes, cmap="RdBu_r", aspect="auto")
picture(figure, "Stripes: the first columns change quickly from place to place, the last hardly at all")

# %% [markdown]
# **Question.** Is this encoding learned?
#
# <details><summary>Answer</summary>No, it has no weights. <code>core.positions=learned</code> has a vector for each place that is
# trained; the lecture leaves open which it means. The default here, "rotary", turns queries and keys instead.</details>
#
# ## 14. Score, weights, output
#
# *55 to 59 min.* Three layers make queries, keys and values of the same inputs. The scaled dot product of query and key, a softmax,
# and the weighted mean of the values. Four keys by hand (the numbers are those of another course's notebook, Canziani's, whose
# heads have a width of 64):

# %%
K = torch.tensor([[10.0, 0, 0], [0, 10, 0], [0, 0, 10], [0, 0, 10]])
V = torch.tensor([[1.0, 0, 0], [10, 0, 0], [100, 5, 0], [1000, 6, 0]])
for Q in ([0.0, 10, 0], [0.0, 0, 10], [10.0, 10, 0]):
    weights, output = attend(torch.tensor([Q]), K, V, scale=64**0.5)
    fused = nn.functional.scaled_dot_product_attention(torch.tensor([Q]), K, V, scale=1 / 8)
    assert torch.allclose(output, fused, rtol=1e-5, atol=1e-5)  # the library's operation
    print(
        f"Q = {Q}: weights {[f'{w:.5g}' for w in weights[0].tolist()]}, output {[f'{o:.5g}' for o in output[0].tolist()]}"
    )

# %%
published = [3.7266e-06, 0.99999, 3.7266e-06, 3.7266e-06], [10.004, 4.0993e-05, 0]
weights, output = attend(torch.tensor([0.0, 10, 0]), K, V, scale=8)
for ours, theirs in zip((weights, output), published, strict=True):
    assert torch.allclose(ours, torch.tensor(theirs), rtol=1e-4)
weights, output = attend(torch.tensor([0.0, 0, 10]), K, V, scale=8)
assert torch.allclose(weights[2:], torch.tensor(0.5), atol=1e-5)
assert torch.allclose(output, torch.tensor([549.9979, 5.5, 0]), rtol=1e-5)

# %% [markdown]
# The first query finds the second key and gets its value, 10. The third and the fourth key are the same, so the second query gets
# half of each value: 550 and 5.5.
#
# A map of a trained model: `recall` reads four pairs of a key and a value, then keys alone, and says their values. Rows sum to 1,
# and the future has exactly 0.

# %%
recaller = trained("recall")
heads = recaller.look().view("attention")
for layer in heads.layers:
    assert torch.allclose(layer.weights.sum(dim=-1), torch.tensor(1.0), atol=1e-5)
    assert (layer.weights.triu(diagonal=1) == 0).all()
picture(
    heads.plot().figure,
    "The weights of four heads: in layer 1 a value attends to the key before it, in layer 2 a key that is asked for to its value",
)

# %% [markdown]
# In layer 1 each value attends to the key before it, so that it knows whose value it is. In layer 2 a key that is asked for (the
# last four rows) attends to its value.
#
# The lecture's sentence, "he tossed the tennis ball to serve": in the decoder of `translate-transformer` a head of layer 3 puts
# 0.99 of its weight at "ball" on "tossed", and another all of it on "tennis" (*stored*; [the command and the
# picture](../inside.md#what-a-transformer-attends-to)).
#
# **Question.** Why divide by √d?
#
# <details><summary>Answer</summary>A dot product of d random numbers grows with √d; without the division the softmax of a wide head
# gives nearly all weight to one key from the start, and then its gradient is nearly zero. The cell below measures it.</details>

# %%
torch.manual_seed(0)
for d in (4, 64, 1024):
    products = torch.randn(1000, 8, d) @ torch.randn(1000, d, 1)  # 8 keys for each of 1,000 queries
    largest = [(products / scale).softmax(dim=1).amax(dim=1).mean().item() for scale in (1, d**0.5)]
    print(f"d = {d}: largest of 8 weights {largest[0]:.2f}, divided by the root {largest[1]:.2f}")

# %% [markdown]
# ## 15. Heads, and what they are used for
#
# *59 to 62 min.* Several heads look for different things at the same time. Self-attention is behind large language models, models
# of proteins and of images. Which head matters? Take one away at a time (its weights become 0), and measure.

# %%
asked = Recall(seed=99, batch_size=256).train_batches()[0]


def measured(edits):
    with torch.no_grad(), unspool.watch(recaller.model, keep=False, edits=edits):
        loss, _ = recaller.model.loss(asked)
        answers, _ = recaller.model(asked.inputs, recaller.model.start(asked.inputs))
    return {
        "loss": loss.item(),
        "recalled": (answers.argmax(-1) == asked.targets)[asked.loss_mask].float().mean().item(),
    }


# %%
rows = [{"without": "nothing", **measured({})}]
for number, layer in enumerate(heads.layers, start=1):
    for head in range(len(layer.weights)):
        rows.append({"without": f"layer {number}, head {head + 1}", **measured({layer.place: without([head])})})
    rows.append({"without": f"layer {number}, both heads", **measured({layer.place: without([0, 1])})})
table(rows)

# %% [markdown]
# What the heads attend to, in the words of `unspool look`:

# %%
print("\n".join(heads.summary()))

# %% [markdown]
# **Question.** Which head would you cut?
#
# <details><summary>Answer</summary>The one whose absence changes the loss least, here one of layer 2. But measure again after each cut:
# the two heads of layer 2 do the same, so either can be missed; without both, little more than chance (6 %) is recalled.</details>
