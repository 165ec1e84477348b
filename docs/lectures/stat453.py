# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A character RNN, step by step
#
# STAT453, lecture 19 (Sebastian Raschka). For students who know RNN classifiers: at the end you can train a character RNN on
# your text, explain every tensor in it, and choose a temperature. The text is the help pages that come with every Python.
# His text, a COVID-19 FAQ, is used by the recipe
# `unspool train char-rnn-stat453 data.path=FILE`.
#
# This page is a Python file, `docs/lectures/stat453.py`: run it as a script, open it as a notebook (jupytext), or read it on
# the site. Figures that the lecture published are one run of its code: compare with them, and expect other values.

# %%
import regex
import torch
from anyascii import anyascii
from matplotlib.figure import Figure
from shared import SMALL, below, coloured, lines, minutes, noted, picture, results, slider, table, trained
from torch import nn

import unspool

# %%
from unspool import build
from unspool.data.corpora import corpus
from unspool.data.keypad import words_of
from unspool.data.splits import Splits
from unspool.generate.sampling import temperature
from unspool.generate.temperatures import sample_temperatures

text = anyascii(corpus("python-docs").text)  # as the lecture does: ü becomes u
print(f"{len(text):,} characters, {len(set(text))} different ones")

# %% [markdown]
# ## 1. Outline: from an RNN to a model without recurrence
#
# *Introduction.* The lecture goes from classifying a text to generating one; attention is added to an RNN, and then the RNN is
# removed. Here are the first and the last, trained on one text for the same few steps:

# %%
rnn = trained("char-lm", core={"kind": "recurrent", "cell": "elman", "width": 256}, train__steps=300)
lstm = trained("char-lm", core={"kind": "recurrent", "cell": "lstm", "width": 256, "input_width": 64}, train__steps=300)
attends = {"kind": "transformer", "width": 128, "layers": 2, "context": 128}
transformer = trained("char-lm", core=attends, train__steps=300)
runs = {"RNN": rnn, "LSTM": lstm, "transformer": transformer}
table(
    {"core": name, "validation loss": results(run)["valid/contiguous/loss"],
     "writes": "".join(run.stream("The ", length=50, seed=1))}
    for name, run in runs.items()
)  # fmt: skip

# %% [markdown]
# The one in the middle, an RNN with attention, looks at something: it needs a source. So all three stages once more, as encoder and
# decoder, with one job: read up to ten symbols and say them backwards. After 400 steps, the share that is said without an error:

# %%
gru = {"kind": "recurrent", "cell": "gru", "width": 64}
reads = {"kind": "transformer", "width": 64, "layers": 2, "heads": 2, "context": 32}
QUICK = {"train__steps": 400, "train__learning_rate": 0.005}
stages = {
    "RNN, the source as one vector": {"core": gru | {"conditioning": "initial"}},
    "RNN with attention (attention-rnn)": {"core": {"kind": "attention-rnn", "cell": "gru", "width": 64}},
    "attention without an RNN (transformer)": {"core": reads | {"cross_attention": True}, "encoder": reads | {"causal": False}},
}  # fmt: skip

# %%
solved = {name: results(trained("reverse", **QUICK, **parts))["valid/fresh/solved"] for name, parts in stages.items()}
table({"model": name, "without an error": share} for name, share in solved.items())

# %% [markdown]
# (At the end of its whole training of 1,000 steps the recipe `reverse`, the one in the middle, is nearly perfect. The one vector is
# looked into in scene 5 of the practicum's page.)
#
# **Question.** A transformer reads all characters at once. How does it know their order?
#
# <details><summary>Answer</summary>From positions alone: this one turns queries and keys by angles that grow with the position
# (rotary embeddings). Without positions it could not tell "no" from "on".</details>
#
# ## 2. An LSTM cell is clearer than an LSTM
#
# *The code, early.* `nn.LSTM` hides the loop over time; `nn.LSTMCell` shows it: hidden state and memory go in, hidden state and
# memory come out. Both compute the same.

# %%
cell, whole = nn.LSTMCell(8, 16), nn.LSTM(8, 16, batch_first=True)
for name, weight in cell.named_parameters():
    getattr(whole, f"{name}_l0").data = weight.data
x, h, c = torch.randn(1, 5, 8), torch.zeros(1, 16), torch.zeros(1, 16)
outputs = []
for t in range(5):
    h, c = cell(x[:, t], (h, c))
    outputs.append(h)

# %%
outputs = torch.stack(outputs, dim=1)
print("loop and whole call, largest difference:", (outputs - whole(x)[0]).abs().max().item())
assert (outputs - whole(x)[0]).abs().max() < 1e-5

# %% [markdown]
# Ours, with the weights of `nn.LSTMCell`: tick by tick, and all at once.

# %%
two = {"kind": "lstm", "biases": 2}
core = unspool.cores.build("core", {"kind": "recurrent", "cell": two, "width": 16, "input_width": 8})
ours = core.layers[0][0]
theirs = cell.weight_ih, cell.bias_ih, cell.weight_hh, cell.bias_hh
for parameter, value in zip(ours.parameters(), theirs, strict=True):
    parameter.data = value.detach().clone()
state, ticks = ours.start(x[:, 0]), []
for t in range(5):
    state = ours.tick(ours.read(x[:, t]), state)
    ticks.append(state[0])

# %%
for name, some in (("tick by tick", torch.stack(ticks, dim=1)), ("at once", core(x, core.start(x))[0])):
    print(f"ours {name}, largest difference: {(some - outputs).abs().max().item():.1e}")
    assert (some - outputs).abs().max() < 1e-5
assert (state[1] - c).abs().max() < 1e-5  # the memory too

# %% [markdown]
# **Question.** Who needs the loop?
#
# <details><summary>Answer</summary>Whoever writes: each character is known only after the one before was drawn. Training knows
# them all, so it can call the whole sequence at once, which is many times as fast.</details>
#
# ## 3. The setting
#
# *Portion 200, 5,000 iterations, learning rate 0.005, embedding 100, hidden 128.* His model has 140,660 weights. An LSTM of
# PyTorch has two biases, which are only ever added to each other; ours has one, or two with `core.cell={kind="lstm", biases=2}`.


# %%
class CharRNN(nn.Module):  # as the lecture writes it
    def __init__(self):
        super().__init__()
        self.embed, self.rnn, self.fc = nn.Embedding(100, 100), nn.LSTMCell(100, 128), nn.Linear(128, 100)

    def forward(self, ids, h, c):
        h, c = self.rnn(self.embed(ids), (h, c))
        return self.fc(h), h, c


# %%
recipe, symbols = unspool.load_recipe("char-rnn-stat453"), unspool.Tokens(100)
cores = {n: recipe["core"] | {"cell": {"kind": "lstm", "biases": n}} for n in (1, 2)}
models = {n: build.model(recipe | {"core": core}, symbols, symbols) for n, core in cores.items()}
his, sizes = CharRNN(), {n: sum(p.numel() for p in model.parameters()) for n, model in models.items()}
print(f"his {sum(p.numel() for p in his.parameters()):,}; ours with two biases {sizes[2]:,}, with one {sizes[1]:,}")
assert sizes == {2: 140_660, 1: 140_148}

# %% [markdown]
# With his weights ours computes the same logits; with one bias too, when it is the sum of his two.

# %%
rnn_cell, ids = his.rnn, torch.randint(100, (1, 200))
for biases, model in models.items():
    b = [rnn_cell.bias_ih, rnn_cell.bias_hh] if biases == 2 else [rnn_cell.bias_ih + rnn_cell.bias_hh]
    inner = [rnn_cell.weight_ih, b[0], rnn_cell.weight_hh, *b[1:]]
    for parameter, value in zip(model.parameters(), [his.embed.weight, *inner, *his.fc.parameters()], strict=True):
        parameter.data = value.detach().clone()

# %%
h, c, logits = torch.zeros(1, 128), torch.zeros(1, 128), []
for t in range(200):
    scores, h, c = his(ids[:, t], h, c)
    logits.append(scores)
for biases, model in models.items():
    difference = (model(ids, model.start(ids))[0] - torch.stack(logits, dim=1)).abs().max().item()
    print(f"biases={biases}: largest difference of 200 x 100 logits {difference:.1e}")
    assert difference < 1e-5

# %% [markdown]
# **Question.** Where are the 512 that ours does not have?
#
# <details><summary>Answer</summary>4 gates x 128 units: the second bias.</details>
#
# ## 4. Characters as numbers
#
# *In the middle.* Python's `string.printable` has 100 symbols; a character's number is its place among them.

# %%
printable = unspool.tokenizers.build("tokenizer", {"kind": "char", "alphabet": "printable"}).fit("")
print(printable.size, printable.encode("abcDEF").tolist())  # 100 and [10, 11, 12, 39, 40, 41], as in the lecture

# %% [markdown]
# **Question.** What becomes of a character that is none of the 100, such as *ü*?
#
# <details><summary>Answer</summary>The lecture transliterates the text first (<code>data.ascii=true</code>: ü becomes u). A
# tokenizer that is fitted to the text has a number for every character in it, and one for all unknown ones.</details>
#
# ## 5. Portions, and targets one character later
#
# *A random portion may begin in the middle of a word; real use wants sentences. The target is the input, moved by one.*

# Here are both, as `task.batching=windows` and `task.batching=sentences` train on them; chopped words are red.

# %%
batches = {}
for batching in ("windows", "sentences"):
    kind = recipe["task"] | {"batching": batching, "batch_size": 4}
    task = build.task(recipe | {"task": kind}, Splits(text))
    batches[batching] = task.train_batches()[0]


# %%
def shown(row):
    portion = printable.decode(row.tolist())
    begin = text.find(portion)
    chopped = regex.match(r"\w*", portion)[0] if text[begin - 1].isalnum() else ""
    return [(chopped, "#ffb3b3"), (portion[len(chopped) : 60].replace("\n", " ") + "\n", "")]


# %%
parts = []
for batching, batch in batches.items():
    parts += [(f"{batching}\n", "#dddddd"), *(part for row in batch.inputs for part in shown(row))]
    assert torch.equal(batch.targets[:, :-1], batch.inputs[:, 1:])
coloured(parts)

# %%
inputs, targets = batches["windows"].inputs[0], batches["windows"].targets[0]
print(tuple(inputs.shape), repr(printable.decode(inputs[:30].tolist())), repr(printable.decode(targets[:30].tolist())))

# %% [markdown]
# **Question.** The lecture's code draws a start from 0 to the length of the text minus 200, inclusive. Which start is too far?
#
# <details><summary>Answer</summary>The last: the portion needs 201 characters, since the last input has a target too. His code
# fails there, which happens in about 6 % of runs.</details>
#
# ## 6. The embedding, and scores for every character
#
# *An integer becomes a vector of 100, the vector a state of 128, the state one score for each character; no softmax.* Looking
# up row i is the same as multiplying the matrix by a one-hot vector. A model that knows nothing gives each of 100 characters
# the same probability, so its loss is ln 100 = 4.605 (published: 4.63 at iteration 0).

# %%
weights = nn.Embedding(100, 100)
three = torch.tensor([2, 0, 1])
one_hot = nn.functional.one_hot(three, 100).float()
print("lookup = product:", torch.equal(weights(three), one_hot @ weights.weight))
core = unspool.cores.build("core", recipe["core"])
model = unspool.SequenceModel(unspool.embedding(unspool.Tokens(100), 100), core, unspool.head(unspool.Tokens(100), 128))
logits, _ = model(inputs[None], model.start(inputs[None]))
print(tuple(logits.shape), "loss", round(nn.functional.cross_entropy(logits[0], targets).item(), 3))

# %% [markdown]
# **Question.** Why is there no softmax before the loss?
#
# <details><summary>Answer</summary><code>cross_entropy</code> takes logits and has the softmax inside, where its logarithm can
# be taken without overflow.</details>
#
# ## 7. The training loop
#
# *The state is zero at the start of each portion; the loss is divided by the 200 characters, so that the learning rate does not
# depend on the length; backward; step.* Published at iterations 0, 200, ..., 1,000: 4.63, 2.08, 2.07, 1.76, 1.43, 1.56, and 0.92 at
# 4,800. Here is the loop by hand, for two lengths.


# %%
def new_model():
    torch.manual_seed(123)
    core = unspool.cores.build("core", recipe["core"])
    return unspool.SequenceModel(
        unspool.embedding(unspool.Tokens(100), 100), core, unspool.head(unspool.Tokens(100), 128)
    )


# %%
tokens = torch.as_tensor(printable.encode(text))


def random_portion(length):
    start = torch.randint(len(tokens) - length, ()).item()
    return tokens[None, start : start + length + 1]


# %%
def losses(model, length, steps):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(steps):
        portion = random_portion(length)
        logits, _ = model(portion[:, :-1], model.start(portion))
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), portion[0, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


# %%
curves = {}
for length in (50, 200):
    each = torch.tensor([*losses(new_model(), length, steps=20 if SMALL else 400)])
    means = each.unflatten(0, (-1, 20)).mean(dim=1)
    curves[f"portions of {length}"] = (range(10, len(each), 20), means.tolist())
lines(curves, "iteration", "loss, nats per character",
      "Loss of portions of 50 and of 200 characters: both fall from 4.6 to about 2")  # fmt: skip

# %% [markdown]
# **Question.** Why does a curve of one portion at a time zigzag?
#
# <details><summary>Answer</summary>Each loss is of another portion, and some portions are easier: a table of functions is not a
# paragraph of prose. Average a few hundred (the recipe's claim is the mean of the last fifth) or take more rows at a
# time.</details>
#
# The recipe trains all 5,000 iterations, with losses equal to the loop's. Its mean over iterations 4,000 to 4,999, on the
# lecturer's text (the five values that he logged there average 1.12; he published 3.97 minutes):

# %%
print(noted("char-rnn-stat453", "train/loss"), "in", minutes("char-rnn-stat453"))

# %% [markdown]
# ## 8. Writing, with a prime
#
# *Late.* "Th" builds up the state; then each drawn character is the next input. (He says a hundred characters, the code writes
# 200.) Reading the prime at once, or one character after the other, gives the same state.

# %%
stream = lstm.stream("Th", length=200, seed=1, sampling=unspool.Sampling(temperature=0.8))
written = "".join(stream)
print("Th" + written)
whole, pieces = lstm.read("The list"), lstm.read("list", state=lstm.read("The "))
print("largest difference of the logits:", (whole.logits - pieces.logits).abs().max().item())

# %% [markdown]
# **Question.** Would you prime with a whole word? What is different?
#
# <details><summary>Answer</summary>A longer prime tells the state more: where it is in a line, what the sentence is about. The
# first characters are then drawn from a sharper distribution.</details>
#
# ## 9. Temperature
#
# *exp(scores / T), drawn.* A small T is sharp; with a high one the text is more diverse and has more mistakes. (In the lecture it
# is first said the other way round, then corrected.)


# %%
def bars(t, state):
    p, ids = (state.logits[0] / t).softmax(-1).sort(descending=True)
    figure = Figure(figsize=(6, 2))
    ax = figure.add_subplot()
    ax.bar([repr(lstm.tokenizer.decode([int(i)]))[1:-1] for i in ids[:15]], p[:15].tolist())
    ax.set(ylim=(0, 1), ylabel="probability")
    sample = "".join(lstm.stream("The ", length=150, seed=1, sampling=unspool.Sampling(temperature=t)))
    drawn = picture(figure, f"The fifteen likeliest characters after 'The ' at a temperature of {t}")
    return below([drawn, coloured([("The " + sample, "")])])


# %%
TEMPERATURES = 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0
slider("temperature", {str(t): bars(t, lstm.read("The ")) for t in TEMPERATURES})

# %% [markdown]
# On eight texts of 400 characters at each temperature (in a shell `unspool look RUN --temperatures`): words that the training text
# has, different words, and passages of four words that stood in the same text before. The last column is the mean entropy of the next
# character over a text, in nats: it rises with T, towards that of equal chances.

# %%
known = {word.lower() for word in words_of(text)}
some = torch.as_tensor(lstm.tokenizer.encode(text[:1000]))[None]
with torch.no_grad():
    scores = lstm.model(some, lstm.model.start(some))[0][0]
entropy = {t: torch.distributions.Categorical(logits=scores / t).entropy().mean().item() for t in TEMPERATURES}
assert sorted(entropy.values()) == list(entropy.values())
print(f"equal chances: {torch.tensor(float(lstm.tokenizer.size)).log():.2f} nats")

# %%
size = {"rows": 2, "length": 100} if SMALL else {"rows": 8, "length": 400}
table(
    {"temperature": one.temperature, "real words": one.real_words, "different words": one.distinct_words,
     "repeated passages": one.repeated, "entropy": entropy[one.temperature]}
    for one in sample_temperatures(lstm.model, lstm.tokenizer, known, TEMPERATURES, prompt="The ", **size)
)  # fmt: skip

# %% [markdown]
# The draws follow the softmax: of 20,000 characters drawn after the same prime, each comes as often as its probability says
# (chi-square test; a p-value under 0.001 would be suspicious).

# %%
p = (lstm.read("The ").logits[0] / 0.8).softmax(-1)
prompt = torch.as_tensor(lstm.tokenizer.encode("The ")).expand(20000, -1)
ids = next(unspool.sample_tokens(lstm.model, prompt, temperature(0.8), seed=1)).ids
counts, expected = torch.bincount(ids.flatten(), minlength=len(p)).double(), 20000 * p.double()
often = expected > 5
statistic = ((counts - expected)[often] ** 2 / expected[often]).sum()
freedom = torch.tensor(float(often.sum() - 1))
print(
    "chi-square", round(float(statistic), 1), "p", round(float(torch.special.gammaincc(freedom / 2, statistic / 2)), 3)
)

# %% [markdown]
# **Question.** Is T = 0 allowed?
#
# <details><summary>Answer</summary>As a formula no, it divides by zero. As a limit it always takes the likeliest character;
# <code>temperature=0</code> means that here.</details>
#
# ## 10. From gibberish to words
#
# *The end.* After two minutes words of the corpus appear; it still means nothing. The same prime and the same random numbers
# after more and more steps; words of the text are green. (The share is that of eight such texts. Single letters count as words, so it
# does not begin at 0.)


# %%
def progress(steps):
    core = {"kind": "recurrent", "cell": "lstm", "width": 128, "input_width": 64}
    run = trained("char-lm", train__steps=steps, core=core)
    written = "".join(run.stream("The ", length=220, seed=1, sampling=unspool.Sampling(temperature=0.8)))
    green = [(part, "#c8efc8" if part.lower() in known else "") for part in regex.split(r"(\p{L}+)", written)]
    (more,) = sample_temperatures(run.model, run.tokenizer, known, (0.8,), rows=8, length=200, prompt="The ")
    return coloured(
        [(f"after {steps} steps, {more.real_words or 0:.0%} real words: The ", "#dddddd"), *green, ("\n", "")]
    )


# %%
stages = [progress(steps) for steps in (20, 60, 180, 540, 1200)]
below(stages)

# %% [markdown]
# **Question.** More layers, another temperature, or more time: which helps most?
#
# <details><summary>Answer</summary>Try it: <code>core.layers=2</code>, <code>sample --temperature 0.5</code>,
# <code>train.steps=5000</code>. Time, at this size; a low temperature only hides the mistakes.</details>
#
# *The lecture ends by announcing attention: the page of MIT 6.S191, scenes 12 to 15, has it.*
